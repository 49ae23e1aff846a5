"""Plain text from HTML of unknown origin: lines, paragraphs, addresses, sentences, lengths, names.

Every function takes hostile input in linear time: the raw text is cut to a limit first, and the HTML
parser gets complete tags only.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import SplitResult, quote, unquote_plus, urljoin, urlsplit, urlunsplit

MAX_URL = 2000

ELLIPSIS = "…"


def word_set(text: str) -> frozenset[str]:
    """Returns the words of a list that is written as text."""
    return frozenset(text.split())


_BLOCKS = word_set("""
    address article aside blockquote div dl fieldset figure footer form h1 h2 h3 h4 h5 h6
    header hr main nav ol p pre section table ul
""")

_LINES = word_set("br dd dt figcaption li td th tr")

_INLINE = word_set("""
    a abbr acronym area audio b base bdi bdo big body button canvas caption center cite code
    col colgroup data datalist del details dfn dialog em embed font frame frameset head html i
    iframe img input ins kbd label legend link map mark meta meter noscript object optgroup
    option output param picture progress q rp rt ruby s samp script select slot small source
    span strike strong style sub summary sup svg math tbody template textarea tfoot thead time
    title track tt u var video wbr
""")

_ELEMENTS = _BLOCKS | _LINES | _INLINE

_UNREAD = ("script", "style")

_BLOCK_TAG = re.compile(
    r"</?(?:" + "|".join(sorted(_BLOCKS | _LINES)) + r")\b[^<>]*>", re.IGNORECASE
)

_DECLARATION = re.compile(r"<[!?][^<>]*>")

_NO_TAG = re.compile(r"<(?!/?[a-zA-Z][^<>]*>)")

# int() raises ValueError above 4,300 digits, which html.unescape() does not catch.
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{8,}+;?")

_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co"})

_MARKS_IN_A_ROW = 4


class _Characters(dict[int, int | str | None]):
    """A table for ``str.translate`` that computes and stores a character's entry at its first use."""

    def __missing__(self, code: int) -> int | str | None:
        char = chr(code)
        entry: int | str | None = code
        if char in "\r\n\x0b\x0c\x85\u2028\u2029":
            entry = "\n"
        elif char == "\t" or unicodedata.category(char) == "Zs":
            entry = " "
        # Control, format (bidi), surrogate and private characters, and variation selectors.
        elif unicodedata.category(char) in _DROPPED_CATEGORIES or 0xE0100 <= code <= 0xE01EF:
            entry = None
        self[code] = entry
        return entry


_CHARACTERS = _Characters()


class _Reader(HTMLParser):
    """Collects the text of a document.

    With ``blocks``, only elements make line breaks; otherwise those in the text stay.
    """

    def __init__(self, blocks: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._blocks = blocks
        self._skipping = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNREAD:
            self._skipping = tag
        self._tag(tag, self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag(tag, self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skipping:
            self._skipping = ""
        self._tag(tag, "")

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.pieces.append(re.sub(r"\s", " ", data) if self._blocks else data)

    def _tag(self, tag: str, raw: str) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n\n")
        elif tag in _LINES:
            self.pieces.append("\n")
        elif tag not in _ELEMENTS and re.fullmatch(r"<\w+>", raw):
            self.pieces.append(raw)  # "Vec<T>" is text, not markup


def _without(text: str, opening: str, closing: str) -> str:
    """Removes each ``opening … closing`` part; one that is not closed loses its opening only."""
    pieces: list[str] = []
    at = 0
    while (start := text.find(opening, at)) >= 0:
        pieces.append(text[at:start])
        end = text.find(closing, start + len(opening))
        if end < 0:
            pieces.append(text[start:].replace(opening, ""))
            return "".join(pieces)
        at = end + len(closing)
    pieces.append(text[at:])
    return "".join(pieces)


def _plain(text: str, limit: int) -> str:
    """Returns the text of possible HTML with its line breaks; reads only what ``limit`` can need."""
    text = text[: limit * 8 + 4096].replace("\0", "").replace("\r\n", "\n")
    if "<" in text:
        text = _without(text, "<!--", "-->").replace("<![CDATA[", "").replace("]]>", "")
        text = _DECLARATION.sub("", text)
        # A script or style tag that is not closed would hide all the text after it.
        for tag in _UNREAD:
            last = text.lower().rfind(f"</{tag}")
            opening = re.compile(rf"<{tag}\b[^<>]*>", re.IGNORECASE)
            text = text[: last + 1] + opening.sub("", text[last + 1 :])
        text = _NO_TAG.sub("&lt;", text)
        reader = _Reader(_BLOCK_TAG.search(text) is not None)
        reader.feed(_ENDLESS_NUMBER.sub("", text))
        reader.close()
        text = "".join(reader.pieces)
    elif "&" in text:
        text = html.unescape(_ENDLESS_NUMBER.sub("", text))
    text = text.translate(_CHARACTERS)
    if text.isascii():
        return text
    # Many combining marks on one letter cover the lines around it, and make normalising slow.
    pieces: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= _MARKS_IN_A_ROW:
            pieces.append(char)
    return unicodedata.normalize("NFC", "".join(pieces))


def cut(text: str, limit: int) -> str:
    """Returns at most ``limit`` characters of ``text``; a cut is after a word and ends in "…"."""
    if len(text) <= limit:
        return text
    head = text[: max(limit - 1, 0)]
    space = max(head.rfind(" "), head.rfind("\n"))
    if not text[len(head)].isspace() and space > len(head) // 2:
        head = head[:space]
    return (head.rstrip(" \n,;:-\u2013—") + ELLIPSIS)[:limit]


def clean_line(text: str, limit: int) -> str:
    """Returns one line of plain text of at most ``limit`` characters."""
    return cut(" ".join(_plain(text, limit).split()), limit)


def clean_text(text: str, limit: int) -> str:
    """Returns plain text of at most ``limit`` characters, with empty lines between paragraphs."""
    lines = (" ".join(line.split()) for line in _plain(text, limit).split("\n"))
    return cut(re.sub(r"\n{3,}+", "\n\n", "\n".join(lines).strip("\n")), limit)


_TRACKING = word_set("""
    gclid gclsrc dclid gbraid wbraid fbclid msclkid yclid twclid igshid igsh mc_cid mc_eid _ga
    _gl ref ref_src ref_source ref_url referrer cmpid cmp ncid smid xtor mkt_tok share_id si
    at_medium at_campaign rss spm
""")

_DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\]")


def canonical_url(url: str, base: str = "") -> str:
    """Returns the canonical form of a web address, equal for all addresses of one page.

    Empty for an address that is not http(s), has a user name, is longer than 2,000 characters or
    cannot be parsed.
    """
    if len(url) > MAX_URL * 2:
        return ""
    tidy = re.sub(r"[\t\r\n]", "", url.strip(" \t\r\n\0\x0b\x0c"))
    try:
        parts = urlsplit(urljoin(base, tidy) if base else tidy)
        canonical = _canonical(parts)
    except ValueError:
        return ""
    return canonical if len(canonical) <= MAX_URL else ""


def _canonical(parts: SplitResult) -> str:
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or "@" in parts.netloc or "\\" in parts.netloc + parts.path[:1]:
        return ""
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"  # IPv6
    elif not host.isascii():
        host = host.encode("idna").decode("ascii")
    if not _HOST.fullmatch(host):
        return ""
    if parts.port not in (None, _DEFAULT_PORTS[scheme]):
        host = f"{host.rstrip('.')}:{parts.port}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    pairs = []
    for pair in filter(None, parts.query.split("&")):
        # Parameters that only track who follows the link differ between addresses of one page.
        name = unquote_plus(pair.split("=", 1)[0]).lower()
        if not name.startswith("utm_") and name not in _TRACKING:
            pairs.append(pair)
    query = "&".join(pairs)
    return urlunsplit(
        (scheme, host.rstrip("."), path, quote(query, safe="/%:@!$&'()*+,;=~-._?[]"), "")
    )


def credit(locator: str) -> str:
    """Returns the public name of a source: of an address only the host, as its query may hold a key."""
    if "://" not in locator:
        return locator
    return (urlsplit(locator).hostname or "").removeprefix("www.")


_END = re.compile(r"(?<![.!?…。\uff01\uff1f])[.!?…。\uff01\uff1f]++[\"'”\u2019»)\]」』]*+")

_FULL_STOPS = "。\uff01\uff1f"

# A full stop after these words never ends a sentence.
_TITLES = word_set("""
    mr mrs ms mx dr prof sr jr st mt ft gen col capt lt sgt cmdr rev hon gov sen rep pres vs
    cf fig approx
""")

# A full stop after these words ends a sentence only before a common opening word.
_SHORTENED = word_set("""
    inc ltd co corp dept univ est etc jan feb mar apr jun jul aug sep sept oct nov dec tue thu
    fri al
""")

_OPENERS = word_set("""
    the a an it its this that these those he she they we you i in on at but and for after
    before when while as if however meanwhile police officials there his her their our my no
    not so then what who
""")

_COUNTED = word_set("no nos art sec vol pp p")

_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")


def sentences(text: str) -> list[str]:
    """Splits a text into sentences; abbreviations and decimals end none, a line break does."""
    pieces: list[str] = []
    for line in text.split("\n"):
        start = 0
        for end in _END.finditer(line):
            if _ends(line, end):
                pieces.append(line[start : end.end()].strip())
                start = end.end()
        pieces.append(line[start:].strip())
    return [sentence for sentence in pieces if sentence]


def _ends(line: str, end: re.Match[str]) -> bool:
    """Whether the punctuation ends a sentence, by the words before and after it."""
    if end[0][0] in _FULL_STOPS:
        return True
    after = line[end.end() : end.end() + 40]
    if after and not after[0].isspace():
        return False
    following = after.split(None, 1)[0].strip("\"'“\u2018«([") if after.strip() else ""
    if following[:1].islower():
        return False
    if not following or not end[0].startswith("."):
        return True
    before = line[max(end.start() - 24, 0) : end.start()]
    word = re.split(r"[\s(\"'“\u2018\[]", before)[-1].lower()
    if word in _TITLES:
        return False
    if word in _COUNTED:
        return not following[0].isdigit()
    if word in _SHORTENED or _INITIALS.fullmatch(word):
        return following.lower() in _OPENERS
    return True


_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]++"
)

_JOINED = re.compile(r"(?<=\w)['\u2019.,\-\u2011:/](?=\w)")


def tokens_of(text: str) -> int:
    """Returns about how many tokens a text has: one for four ASCII characters, one for any other."""
    plain = sum(char < "\x80" for char in text)
    return (plain + 3) // 4 + len(text) - plain


def within(text: str, tokens: int) -> str:
    """Returns the beginning of ``text`` of at most ``tokens`` tokens, cut at a word."""
    spent = 0.0
    for at, char in enumerate(text):
        spent += 0.25 if char < "\x80" else 1
        if spent > tokens:
            return cut(text, at)
    return text


def word_count(text: str) -> int:
    """Returns the number of words; in scripts without spaces each character counts as one."""
    return len(_WORD.findall(_JOINED.sub("", text)))


def reading_seconds(words: int, wpm: int) -> float:
    """Returns the seconds that ``words`` take at ``wpm`` words a minute; 0 for a pace of 0."""
    return words * 60 / wpm if wpm > 0 else 0.0


MAX_NAME = 40
_NAME = r"[^\W\d_a-z][\w'\u2019-]*+"

_RUN = re.compile(rf"{_NAME}(?:\s(?:of\s(?:the\s)?)?{_NAME})*+(?:\s\d[\d.]*+(?![\w-]))?")

NO_NAME = word_set("""
    i a an the this that these those he she it they we you his her its their our my in on at by for
    from with of to and but or nor so if as when while after before since until then there here what
    why how who which where about all both each every more most no not one some such two three four
    five six seven eight nine ten today tomorrow yesterday tonight monday tuesday wednesday thursday
    friday saturday sunday january february march april may june july august september october
    november december mr mrs ms dr opinion analysis correction update breaking yes will reddit edit
    tomorrow's today's half ask just new let version
""")


def names_in(text: str) -> Iterator[tuple[str, bool]]:
    """Yields each run of capitalised words, and whether it is certainly a name.

    The first word of the text may be capitalised only for its place.
    """
    for run in _RUN.finditer(text):
        words = run[0].split()
        # "New" begins sentences as well as "New York".
        while words and words[0].lower() in NO_NAME and (words[0] != "New" or len(words) == 1):
            words.pop(0)
        name = re.sub(r"['\u2019]s$", "", " ".join(words)).strip("'\u2019-")
        if 2 < len(name) <= MAX_NAME and not name[0].islower():
            inside = re.search(r"\w", text[: run.start()])
            yield name, inside is not None or len(words) > 1 or len(words) < len(run[0].split())


def in_title_case(text: str) -> bool:
    """Whether most words are capitalised, so that a capital letter does not mark a name."""
    words = [word for word in text.split() if word[0].isalpha() and len(word) > 3]
    return sum(word[0].isupper() for word in words) > 0.7 * len(words)
