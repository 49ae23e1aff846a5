"""Plain text from what a source sends: clean lines and paragraphs, addresses, sentences, lengths.

Everything here takes hostile input in linear time: the raw text is capped first, and the HTML
parser only ever sees complete tags.

Names in running text: runs of capitalised words, and the words that are never one.
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
    """The words of a list that is written as running text."""
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

# int() refuses more than 4,300 digits, and html.unescape does not expect that.
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{8,}+;?")

_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co"})

_MARKS_IN_A_ROW = 4


class _Characters(dict[int, int | str | None]):
    """A table for ``str.translate`` that learns each character's fate when it first meets it."""

    def __missing__(self, code: int) -> int | str | None:
        char = chr(code)
        fate: int | str | None = code
        if char in "\r\n\x0b\x0c\x85\u2028\u2029":
            fate = "\n"
        elif char == "\t" or unicodedata.category(char) == "Zs":
            fate = " "
        elif unicodedata.category(char) in _DROPPED_CATEGORIES or 0xE0100 <= code <= 0xE01EF:
            fate = None
        self[code] = fate
        return fate


_CHARACTERS = _Characters()


class _Reader(HTMLParser):
    """Collects the text of a document; block elements become line ends when ``blocks`` is set."""

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
            self.pieces.append(raw)  # "Vec<T>" is prose, not markup


def _without(text: str, opening: str, closing: str) -> str:
    """Remove each ``opening … closing`` stretch; one never closed loses its opening only."""
    kept: list[str] = []
    at = 0
    while (start := text.find(opening, at)) >= 0:
        kept.append(text[at:start])
        end = text.find(closing, start + len(opening))
        if end < 0:
            kept.append(text[start:].replace(opening, ""))
            return "".join(kept)
        at = end + len(closing)
    kept.append(text[at:])
    return "".join(kept)


def _without_unread(text: str) -> str:
    """Drop script and style tags that are never closed: what follows is text somebody wrote."""
    for tag in _UNREAD:
        last = text.lower().rfind(f"</{tag}")
        opening = re.compile(rf"<{tag}\b[^<>]*>", re.IGNORECASE)
        text = text[: last + 1] + opening.sub("", text[last + 1 :])
    return text


def _plain(text: str, limit: int) -> str:
    """The text of possibly-HTML with its line ends, read only as far as ``limit`` can need."""
    text = text[: limit * 8 + 4096].replace("\0", "").replace("\r\n", "\n")
    if "<" in text:
        text = _without(text, "<!--", "-->").replace("<![CDATA[", "").replace("]]>", "")
        text = _NO_TAG.sub("&lt;", _without_unread(_DECLARATION.sub("", text)))
        reader = _Reader(_BLOCK_TAG.search(text) is not None)
        reader.feed(_ENDLESS_NUMBER.sub("", text))
        reader.close()
        text = "".join(reader.pieces)
    elif "&" in text:
        text = html.unescape(_ENDLESS_NUMBER.sub("", text))
    return _composed(text.translate(_CHARACTERS))


def _composed(text: str) -> str:
    """NFC, with few combining marks on one letter: more attacks the eye, and slows the sorting."""
    if text.isascii():
        return text
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= _MARKS_IN_A_ROW:
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters of ``text``: where cut, after a whole word, ending in "…"."""
    if len(text) <= limit:
        return text
    head = text[: max(limit - 1, 0)]
    space = max(head.rfind(" "), head.rfind("\n"))
    if not text[len(head)].isspace() and space > len(head) // 2:
        head = head[:space]
    return (head.rstrip(" \n,;:-\u2013—") + ELLIPSIS)[:limit]


def clean_line(text: str, limit: int) -> str:
    """One line of plain text of at most ``limit`` characters."""
    return cut(" ".join(_plain(text, limit).split()), limit)


def clean_text(text: str, limit: int) -> str:
    """Plain text of at most ``limit`` characters; a blank line stands between paragraphs."""
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
    """The one form of a web address used to tell whether two posts link to the same page.

    Empty when it is no http(s) address, carries a user name, is longer than 2,000 characters or
    cannot be read.
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
    host = _ascii_host(parts.hostname or "")
    if not _HOST.fullmatch(host):
        return ""
    if parts.port not in (None, _DEFAULT_PORTS[scheme]):
        host = f"{host.rstrip('.')}:{parts.port}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = "&".join(pair for pair in parts.query.split("&") if pair and not _tracks(pair))
    return urlunsplit(
        (scheme, host.rstrip("."), path, quote(query, safe="/%:@!$&'()*+,;=~-._?[]"), "")
    )


def _ascii_host(host: str) -> str:
    if ":" in host:
        return f"[{host}]"
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _tracks(pair: str) -> bool:
    name = unquote_plus(pair.split("=", 1)[0]).lower()
    return name.startswith("utm_") or name in _TRACKING


def credit(locator: str) -> str:
    """Returns the public name of a source: of an address only the host, as its query may hold a key."""
    if "://" not in locator:
        return locator
    return (urlsplit(locator).hostname or "").removeprefix("www.")


_END = re.compile(r"(?<![.!?…。\uff01\uff1f])[.!?…。\uff01\uff1f]++[\"'”\u2019»)\]」』]*+")

_FULL_STOPS = "。\uff01\uff1f"

# Never the end of a sentence, whatever follows.
_TITLES = word_set("""
    mr mrs ms mx dr prof sr jr st mt ft gen col capt lt sgt cmdr rev hon gov sen rep pres vs
    cf fig approx
""")

# The end of a sentence only when a common opening word follows.
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
    """Split into sentences; abbreviations, initials and decimals end none, a line end does."""
    found: list[str] = []
    for line in text.split("\n"):
        start = 0
        for end in _END.finditer(line):
            if _ends(line, end):
                found.append(line[start : end.end()].strip())
                start = end.end()
        found.append(line[start:].strip())
    return [sentence for sentence in found if sentence]


def _ends(line: str, end: re.Match[str]) -> bool:
    """Whether the punctuation found closes a sentence, judged by the words before and after it."""
    if end[0][0] in _FULL_STOPS:
        return True
    after = line[end.end() : end.end() + 40]
    if after and not after[0].isspace():
        return False
    following = after.split(None, 1)[0].strip("\"'“\u2018«([") if after.strip() else ""
    if following[:1].islower():
        return False
    return not following or not end[0].startswith(".") or _full_stop(line, end, following)


def _full_stop(line: str, end: re.Match[str], following: str) -> bool:
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
    """About how many tokens a text is, rather more than fewer: four letters of ASCII, one other."""
    plain = sum(char < "\x80" for char in text)
    return (plain + 3) // 4 + len(text) - plain


def within(text: str, tokens: int) -> str:
    """The beginning of ``text`` that is at most so many tokens, cut at a word."""
    spent = 0.0
    for at, char in enumerate(text):
        spent += 0.25 if char < "\x80" else 1
        if spent > tokens:
            return cut(text, at)
    return text


def word_count(text: str) -> int:
    """Words as a reader counts them; in scripts without spaces each character counts as one."""
    return len(_WORD.findall(_JOINED.sub("", text)))


def reading_seconds(words: int, wpm: int) -> float:
    """How long ``words`` take at ``wpm`` words a minute; 0 words a minute means no waiting."""
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
    """Each run of capitalised words, and whether its place proves it a name."""
    for run in _RUN.finditer(text):
        words = run[0].split()
        while words and words[0].lower() in NO_NAME and not _opens_name(words):
            words.pop(0)
        name = re.sub(r"['\u2019]s$", "", " ".join(words)).strip("'\u2019-")
        if 2 < len(name) <= MAX_NAME and not name[0].islower():
            inside = re.search(r"\w", text[: run.start()])
            yield name, inside is not None or len(words) > 1 or len(words) < len(run[0].split())


def _opens_name(words: list[str]) -> bool:
    """ "New" opens a headline as well as New York."""
    return words[0] == "New" and len(words) > 1


def in_title_case(text: str) -> bool:
    """Whether most words are capitalised anyway, so that a capital proves nothing."""
    words = [word for word in text.split() if word[0].isalpha() and len(word) > 3]
    return sum(word[0].isupper() for word in words) > 0.7 * len(words)
