"""OPML, in which feed readers exchange lists of feeds: reading one safely, and writing one."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from sessions_app.errors import Invalid
from stories.sources.feed_document import ILLEGAL

LARGEST = 1_000_000  # bytes
MOST = 500  # feeds of one file
LONGEST = 2000  # characters of an address
HEAD = 10_000  # characters in which the root of a file begins, after comments
BLANK = "\ufeff \t\r\n"


def is_opml(text: str) -> bool:
    """Whether a pasted text is a list of feeds, and not lines of addresses."""
    return text.lstrip(BLANK).startswith("<") and "<opml" in text[:HEAD]


def addresses(document: str | bytes) -> list[str]:
    """Returns the address of each feed in the file, each once; Invalid when it is not OPML."""
    if isinstance(document, str):
        # Its declaration names the encoding of the file, which a pasted text no longer has.
        document = document.lstrip(BLANK)
        if document.startswith("<?xml"):
            document = document.partition("?>")[2].lstrip(BLANK)
        document = document.encode(errors="replace")
    if len(document) > LARGEST:
        raise Invalid("The file is larger than 1 MB. Split it into several files.")
    try:
        root = fromstring(document, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise Invalid("This is not a valid OPML file. Export it again from your reader.") from None
    if root.tag.lower() != "opml":
        raise Invalid("This file is not OPML. Choose the list of feeds that your reader exports.")
    found: dict[str, None] = {}
    for outline in root.iter():
        # Some readers write the attribute in lower case.
        names = {name.lower(): value.strip() for name, value in outline.attrib.items()}
        address = names.get("xmlurl") or (names.get("type") in ("rss", "atom") and names.get("url"))
        if address and len(address) <= LONGEST:
            found[address] = None
    if not found:
        raise Invalid("The file names no feed.")
    if len(found) > MOST:
        raise Invalid(f"The file names {len(found)} feeds; at most {MOST} can be read at once.")
    return list(found)


def document(title: str, feeds: Iterable[tuple[str, str]]) -> bytes:
    """Returns an OPML file of feeds, each a name and an address."""
    root = Element("opml", version="2.0")
    SubElement(SubElement(root, "head"), "title").text = ILLEGAL.sub("", title)
    body = SubElement(root, "body")
    for feed in feeds:
        name, address = (ILLEGAL.sub("", text) for text in feed)
        SubElement(body, "outline", type="rss", text=name, title=name, xmlUrl=address)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written
