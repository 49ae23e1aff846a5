"""Turns the bytes of a feed into one XML document: its encoding, its entities, what surrounds it.

The labels of a feed are often wrong, so the bytes decide. feed_parser.py imports this module in its
isolated process, so it needs the standard library alone.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from html.entities import html5

GROWTH = 1_000_000  # characters that entities may add to a document
VALUE = 10_000  # characters of one entity
DEPTH = 8  # entities within entities

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    # Without a mark, by how the first character is written.
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
    (b"{\0", "utf-16-le"),
    (b"\0{", "utf-16-be"),
    (b"\x4c\x6f\xa7\x94", "cp037"),
)
# As browsers read these labels: each is a superset of what the label names.
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
# Labels of feeds that Python does not know.
_ALIASES = {
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
    "x-big5": "big5hkscs",
    "win-1251": "cp1251",
    "win1251": "cp1251",
    "utf8mb4": "utf-8",
}
# Without a label that fits, the language of the feed tells more than a guess from the bytes.
_BY_LANGUAGE = {
    "cp1251": ("ru", "uk", "be", "bg", "sr", "mk"),
    "cp1250": ("pl", "cs", "sk", "hu", "sl", "hr", "ro"),
    "cp1253": ("el",),
    "cp1254": ("tr",),
    "cp1255": ("he", "iw"),
    "cp1256": ("ar", "fa", "ur"),
    "cp1257": ("lt", "lv", "et"),
    "cp874": ("th",),
    "cp932": ("ja",),
    "cp949": ("ko",),
    "big5hkscs": ("zh-tw", "zh-hk"),
    "gb18030": ("zh", "zh-cn", "zh-sg"),
}
# Codecs that are no character encodings of the web.
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"})
_UNICODE = frozenset(
    {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"}
)
_MULTIBYTE = frozenset({"gb18030", "big5hkscs", "cp932", "cp949", "euc_jp"})
_SEVEN_BIT = frozenset({"hz", "iso2022_jp", "iso2022_kr"})

_DECLARED = re.compile(rb"""<\?xml[^<>]*\bencoding\s*=\s*["']([\w.:-]{1,40})["']""", re.IGNORECASE)
_LANGUAGE = re.compile(
    rb"""<(?:dc:)?language>\s*([a-z]{2}(?:-[a-z]{2})?)|\bxml:lang\s*=\s*["']([a-z]{2}(?:-[a-z]{2})?)""",
    re.IGNORECASE,
)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
# A comment is matched whole, so that nothing inside it is found; one that never ends takes the rest.
# Without that each opening would be read to the end of the document.
_START = re.compile(
    r"<!--.*?(?:-->|\Z)|(<\?xml\s|<!DOCTYPE\s)|<((?:\w+:)?(?:rss|rdf|feed))[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_SUBSET = re.compile(r"\"[^\"]*\"|'[^']*'|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|[\[\]<>]", re.DOTALL)
_ENTITY = re.compile(
    r"""<!--.*?(?:-->|\Z)|<!ENTITY\s+([\w.:-]+)\s+(?:"([^"]*)"|'([^']*)'|(?:SYSTEM|PUBLIC)\s[^>]*)""",
    re.DOTALL,
)
_CDATA = re.compile(r"(<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z))", re.DOTALL)
_REFERENCE = re.compile(r"&(?:#(\d+|[xX][0-9a-fA-F]+);|([A-Za-z_][\w.-]*);)?")
_PREDEFINED = frozenset({"amp", "lt", "gt", "quot", "apos"})
ILLEGAL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class UnsafeEntities(Exception):
    """The entities of the document expand without bound."""


def document_of(decoded_text: str) -> str:
    """Returns the root element as text, or all of it without one; raises UnsafeEntities."""
    text = ILLEGAL.sub("", decoded_text).replace("\ufeff", "")
    begin = None
    # Blank lines and messages of PHP come before the document, trackers after it.
    for match in _START.finditer(text):
        if begin is None and (match[1] or match[2]):
            begin = match.start()
        if match[2]:
            head, text = text[begin : match.start()], text[match.start() :]
            if (end := text.rfind(f"</{match[2]}>")) > 0:
                text = text[: end + len(match[2]) + 3]
            return _expanded(text, _entities(head))
    return text


def decoded(body: bytes, content_type: str) -> str:
    """Returns the bytes as text: by their mark, as UTF-8 if they are, else by a label that fits."""
    for mark, encoding in _BOMS:
        if not body.startswith(mark):
            continue
        text = body.decode(encoding, "ignore")
        if encoding != "utf-8" and re.search("[<{]", text[:1000]):
            return text
        # A mark of UTF-8 promises nothing, and other marks come before UTF-8 too.
        body = body.removeprefix(mark) if mark[0] > 0x7B else body
        break
    labels = _labels(body, content_type)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return _by_label(body, labels)
    if b"\x1b" in body or b"~{" in body:
        for label in filter(_SEVEN_BIT.__contains__, labels):
            return body.decode(label, "ignore")
    # A few Chinese characters can be UTF-8 of two bytes each by chance; a longer text cannot, and
    # in UTF-8 they have three.
    beyond_ascii = re.findall(rb"[\x80-\xff]", body)
    by_chance = 0 < len(beyond_ascii) < 12 and max(beyond_ascii) < b"\xe0"
    for label in filter(_MULTIBYTE.__contains__, labels if by_chance else []):
        try:
            return body.decode(label)
        except UnicodeDecodeError:
            continue
    return text


def _labels(body: bytes, content_type: str) -> list[str]:
    """Returns the declared encodings that exist, as Python names them, the likelier one first."""
    header, prolog = _CHARSET.search(content_type), _DECLARED.search(body[:1024])
    names = [header[1] if header else "", prolog[1].decode("ascii") if prolog else ""]
    labels = []
    for name in filter(None, names):
        try:
            label = codecs.lookup(_ALIASES.get(name.lower(), name)).name
        except LookupError:
            continue
        if label not in _NO_CHARSETS:
            labels.append(_SUPERSETS.get(label, label))
    # Latin-1 in a header is what web servers add by default; the author wrote the declaration.
    return labels[::-1] if labels and labels[0] == "cp1252" else labels


def _by_label(body: bytes, labels: list[str]) -> str:
    """Returns the text of bytes that are not valid UTF-8 throughout."""
    sequences = len(re.findall(rb"[\xc2-\xf4][\x80-\xbf]+", body))
    text = body.decode("utf-8", "surrogateescape")
    damaged = sum("\udc80" <= character <= "\udcff" for character in text)
    # UTF-8 in which few characters were cut in two, or were pasted in another encoding.
    if sequences >= 3 * damaged and not set(labels) & _MULTIBYTE:
        return _with_windows_1252(text)
    for label in [*labels, *_of_language(body)]:
        if label in _UNICODE:
            continue
        try:
            return body.decode(label)
        except UnicodeDecodeError:
            text = body.decode(label, "replace")
            if text.count("\ufffd") * 100 < len(text):
                return text.replace("\ufffd", "")
    return _with_windows_1252(body.decode("ascii", "surrogateescape"))


def _of_language(body: bytes) -> list[str]:
    """Returns the encoding that is usual for the language of the feed, if it declares one."""
    match = _LANGUAGE.search(body[:10_000])
    language = (match[1] or match[2]).decode("ascii").lower() if match else ""
    for name in (language, language[:2]):
        for encoding, languages in _BY_LANGUAGE.items():
            if name in languages:
                return [encoding]
    return []


def _with_windows_1252(text: str) -> str:
    """Replaces each byte that ``surrogateescape`` left in the text."""
    return re.sub(
        "[\udc80-\udcff]",
        lambda match: bytes([ord(match[0]) - 0xDC00]).decode("cp1252", "ignore"),
        text,
    )


def _entities(head: str) -> dict[str, str]:
    """Returns the entities of the internal subset; an external one is empty, as it is not fetched."""
    doctype = re.search(r"<!DOCTYPE\s", head)
    if doctype is None:
        return {}
    begin, depth = 0, 0
    for token in _SUBSET.finditer(head, doctype.end()):
        if token[0] == "[" and not begin:
            begin = token.end()
        elif token[0] in "<>" and begin:
            depth += 1 if token[0] == "<" else -1
        elif (token[0] == "]" and not depth) or (token[0] == ">" and not begin):
            subset = head[begin : token.start()] if begin else ""
            break
    else:
        return {}
    entities: dict[str, str] = {}
    for name, double, single in _ENTITY.findall(subset):
        # The first declaration of a name counts.
        if name:
            entities.setdefault(name, double or single)
    return entities


def _expanded(text: str, entities: dict[str, str]) -> str:
    """Replaces what XML does not define: entities of the document and of HTML, bare ampersands.

    feedparser reads a well-formed document more faithfully than one that it has to guess about.
    """
    values: dict[str, str] = {}
    growth = 0

    def value_of(name: str, depth: int) -> str:
        if depth > DEPTH:
            raise UnsafeEntities
        if name not in values:
            inner = _REFERENCE.sub(lambda match: replaced(match, depth + 1), entities[name])
            if len(inner) > VALUE:
                raise UnsafeEntities
            values[name] = inner
        return values[name]

    def replaced(match: re.Match[str], depth: int = 0) -> str:
        number, name = match.groups()
        if number:
            code = int(number[1:], 16) if number[0] in "xX" else int(number[:9])
            legal = code < 0x110000 and not ILLEGAL.match(chr(code))
            return f"&#{code};" if legal else ""
        if name in entities and name not in _PREDEFINED:
            nonlocal growth
            value = value_of(name, depth)
            growth += len(value)
            if growth > GROWTH:
                raise UnsafeEntities
            return value
        if name in _PREDEFINED:
            return match[0]
        if name and (characters := html5.get(f"{name};")):
            return "".join(f"&#{ord(character)};" for character in characters)
        return "&amp;" + match[0][1:]

    parts = _CDATA.split(text)
    # Every second part is CDATA or a comment, in which nothing is a reference.
    parts[::2] = [_REFERENCE.sub(replaced, part) for part in parts[::2]]
    return "".join(parts)


_VERSION = re.compile(r"https?://(?:www\.)?jsonfeed\.org/version/1(?:\.\d+)?/?")


def feed_of(text: str) -> dict[str, object] | None:
    """Returns the JSON Feed of a document, or None when it is none; other JSON is none either."""
    # Messages of PHP may come before it.
    begin = re.search(r'\{\s*"', text)
    try:
        feed: object = json.JSONDecoder().raw_decode(text, begin.start())[0] if begin else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(feed, dict) or not isinstance(feed.get("items"), list):
        return None
    return feed if _VERSION.fullmatch(str(feed.get("version") or "").strip()) else None


def entries_of(feed: dict[str, object]) -> Iterable[dict[str, str]]:
    """Yields the items of a JSON Feed as entries of feed_parser.py."""
    items = feed["items"]
    assert isinstance(items, list)
    for item in items:
        if not isinstance(item, dict):
            continue
        html = _text(item.get("content_html"))
        link = _text(item.get("url")) or _text(item.get("external_url"))
        identity = _text(item.get("id"))
        yield {
            "id": identity,
            "link": link or (identity if identity.startswith(("http://", "https://")) else ""),
            "title": _text(item.get("title")),
            "title_type": "plain",
            "text": html or _text(item.get("content_text")) or _text(item.get("summary")),
            "text_type": "html" if html else "plain",
            "author": _author(item) or _author(feed),
            "outlet": "",
            "date": _text(item.get("date_published")) or _text(item.get("date_modified")),
            "updated": _text(item.get("date_modified")),
        }


def _author(item: dict[str, object]) -> str:
    """Returns the names of ``authors`` (1.1) or of ``author`` (1.0)."""
    listed = item.get("authors")
    authors = listed if isinstance(listed, list) else [item.get("author")]
    names = [_text(author.get("name")) for author in authors if isinstance(author, dict)]
    return ", ".join(filter(None, names))


def _text(value: object) -> str:
    # An id may be a number, though the format wants a text.
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
