"""What people paste as the address of a source, without what came along with it."""

from __future__ import annotations

import re
import unicodedata

# Not the joiners U+200C and U+200D, which host names can need.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_PUNCTUATION = ".,;:!?\u2026\u3002\uff0c\u3001\uff1b"
_BULLET = re.compile("[-*\u2013\u2022\u00b7] +")
_LINK = re.compile(
    r"""\[[^\]]*\]\(\s*<?([^)\s>]+)|<a\s[^>]*href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE
)
_ADDRESS = re.compile(r"(?:https?|feed)://[^\s<>]+", re.IGNORECASE)
_SCHEME = re.compile(
    r"(?:url:\s*|view-source:|(?:feed|rss|podcast|pcast|itpc):(?!\d)/*)+", re.IGNORECASE
)
_SLASHES = re.compile(r"(?:https?:?/+)*(https?)(?::/*|//+)(?=[^/:])", re.IGNORECASE)


def tidy(text: str) -> str:
    """Returns the address or name in a pasted text: no quotes, brackets or final punctuation.

    Of a Markdown or HTML link, or a sentence around one address, only the address is left.
    """
    tidied = " ".join(_INVISIBLE.sub("", text).split())
    if link := _LINK.search(tidied):
        tidied = link[1] or link[2]
    addresses = list(_ADDRESS.finditer(tidied)) if " " in tidied else []
    if len(addresses) == 1:
        before, address, after = tidied[: addresses[0].start()], addresses[0][0], addresses[0].end()
        rest = tidied[after:].lstrip()
        # What follows an address at the beginning may be the rest of it, which has a space then.
        if before or address[-1] in _PUNCTUATION or not rest[:1].isalnum():
            tidied = address
    tidied = _BULLET.sub("", tidied, count=1) if _BULLET.match(tidied) else tidied
    last = None
    while last != tidied:
        last = tidied
        while tidied and _is_quote(tidied[0]):
            tidied = tidied[1:]
        while tidied and _is_quote(tidied[-1]):
            tidied = tidied[:-1]
        tidied = tidied.rstrip(_PUNCTUATION + " ").lstrip()
        if len(tidied) > 1 and tidied[0] + tidied[-1] in {"''", "()", "[]", "{}"}:
            tidied = tidied[1:-1]
        for opening, closing in ("()", "[]", "{}"):
            # A bracket that was opened belongs to the address, as in /wiki/Mercury_(planet).
            if tidied.endswith(closing) and tidied.count(opening) < tidied.count(closing):
                tidied = tidied[:-1]
    if scheme := _SCHEME.match(tidied):
        tidied = tidied[scheme.end() :]
    if slashes := _SLASHES.match(tidied):
        tidied = f"{slashes[1]}://{tidied[slashes.end() :]}"
    return tidied


def _is_quote(character: str) -> bool:
    """Whether a character is a quotation mark, or an angle bracket of any script."""
    if character in '"`<>\uff1c\uff1e':
        return True
    return unicodedata.category(character) in {"Pi", "Pf", "Ps", "Pe"} and character not in "()[]{}"
