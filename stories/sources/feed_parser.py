"""Parses a feed from standard input and writes it to standard output as JSON; a separate program.

A hostile feed of a few hundred kilobytes can keep feedparser busy for minutes, and nothing stops a
regular expression from inside its process. So the feed is parsed in a process of its own with three
seconds of processor time and half a gigabyte of memory. It runs isolated; of this project it imports
only its two neighbours that need the standard library alone.

The JSON: ``{version, link, entries: [{id, link, title, title_type, text, text_type, author, date,
updated}]}``, all text; the dates are as the feed wrote them. A type is ``plain``, ``html`` or
``markdown``, or empty where the format leaves it open (RSS).
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import resource
import sys
from itertools import islice
from pathlib import Path
from typing import Any

SECONDS = 3
BYTES = 512 * 1024 * 1024
ENTRIES = 20_000
FIELD = 20_000  # characters
TEXT = 200_000  # characters


def main() -> None:
    for limit, value in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, BYTES)):
        with contextlib.suppress(OSError, ValueError):  # some systems do not know the limit
            # The soft and the hard limit, so that the process cannot raise it again.
            resource.setrlimit(limit, (value, value))
    # An isolated interpreter does not look for modules here. Last, so that no name of ours hides one
    # of the standard library.
    sys.path.append(str(Path(__file__).parents[2]))
    body = sys.stdin.buffer.read()
    sys.stdout.write(json.dumps(parsed(body, sys.argv[1])))


def parsed(body: bytes, content_type: str) -> dict[str, object]:
    """Returns the feed as the JSON object that the module describes; exits when it is not safe."""
    # Imported after the limits are set, which then apply to their own start too.
    import feedparser

    from stories.sources.feed_document import (
        UnsafeEntities,
        decoded,
        document_of,
        entries_of,
        feed_of,
    )

    text = decoded(body, content_type)
    if json_document := feed_of(text):
        entries = islice(entries_of(json_document), ENTRIES)
        return {
            "version": str(json_document["version"]),
            "link": str(json_document.get("home_page_url") or "")[:FIELD],
            "entries": list(entries),
        }
    try:
        document = document_of(text)
    except UnsafeEntities:
        sys.exit("entities")
    # The caller strips all markup and resolves addresses, so neither is done here. A stream, because
    # feedparser would take bytes for the name of a file first.
    feed = feedparser.parse(
        io.BytesIO(document.encode()),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    return {
        "version": str(feed.get("version") or ""),
        "link": _text(feed.feed, "link", FIELD),
        "entries": [
            _entry(entry, str(feed.get("version") or "").startswith("atom"))
            for entry in feed.entries[:ENTRIES]
        ],
    }


def _entry(entry: Any, atom: bool) -> dict[str, str]:
    # The longest of an entry's contents and its summary is its text.
    summary = {**(entry.get("summary_detail") or {}), "value": entry.get("summary")}
    parts = [part for part in (*(entry.get("content") or []), summary) if _is_text(part)]
    texts = [(_text(part, "value", TEXT), _type(part, atom)) for part in parts]
    text, text_type = max(texts, key=lambda pair: len(pair[0]), default=("", ""))
    return {
        "id": _text(entry, "id", FIELD),
        "link": _text(entry, "link", FIELD),
        "title": _text(entry, "title", FIELD),
        "title_type": _type(entry.get("title_detail") or {}, atom),
        "text": text,
        "text_type": text_type,
        "author": _text(entry, "author", FIELD),
        "outlet": _text(entry.get("source") or {}, "title", FIELD),
        "date": _text(entry, "published", FIELD) or _text(entry, "updated", FIELD),
        "updated": _text(entry, "updated", FIELD),
    }


def _is_text(part: Any) -> bool:
    """Whether a part of an entry is text; Atom's content can be a picture in base64."""
    return not re.match(r"(image|audio|video|application)/(?!xhtml)", str(part.get("type") or ""))


def _type(detail: Any, atom: bool) -> str:
    """Returns the type that an Atom element declares; "text" is the default of the format."""
    if not atom:
        return ""
    declared = str(detail.get("type") or "text/plain").lower()
    if "markdown" in declared:
        return "markdown"
    return "plain" if declared.startswith("text/") and declared != "text/html" else "html"


def _text(element: Any, name: str, limit: int) -> str:
    return str(element.get(name) or "")[:limit]


if __name__ == "__main__":
    main()
