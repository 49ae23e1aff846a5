"""Parses a feed from standard input and writes it to standard output as JSON; a separate program.

A hostile feed of a few hundred kilobytes can keep feedparser busy for minutes, and nothing stops a
regular expression from inside its process. So the feed is parsed in a process of its own with three
seconds of processor time and half a gigabyte of memory. It runs isolated, so it imports nothing of
this project.

The JSON: ``{version, link, entries: [{id, link, title, title_type, text, text_type, author, date,
moment}]}``, all text; ``moment`` is an ISO time in UTC or empty, ``date`` is what the feed wrote. The
types say how to read title and text: "plain" (``<`` is a character) or "html" (markup and entities).
"""

from __future__ import annotations

import calendar
import contextlib
import json
import re
import resource
import sys
from datetime import UTC, datetime
from typing import Any

SECONDS = 3
BYTES = 512 * 1024 * 1024
ENTRIES = 2000
FIELD = 20_000  # characters
TEXT = 200_000  # characters
_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)


def main() -> None:
    for limit, value in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, BYTES)):
        with contextlib.suppress(OSError, ValueError):  # some systems do not know the limit
            # The soft and the hard limit, so that the process cannot raise it again.
            resource.setrlimit(limit, (value, value))
    body = sys.stdin.buffer.read()
    # Declared entities can expand without bound. NUL bytes go first: UTF-16 would hide the word.
    if _ENTITY.search(body.replace(b"\0", b"")):
        sys.exit("entities")
    sys.stdout.write(json.dumps(parsed(body, sys.argv[1])))


def parsed(body: bytes, content_type: str) -> dict[str, object]:
    """Returns the feed as the JSON object that the module describes."""
    # Imported after the limits are set, which then apply to its own start too.
    import feedparser

    # The caller strips all markup and resolves addresses, so neither is done here.
    feed = feedparser.parse(
        body,
        response_headers={"content-type": content_type},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    return {
        "version": str(feed.get("version") or ""),
        "link": _text(feed.feed, "link", FIELD),
        "entries": [_entry(entry) for entry in feed.entries[:ENTRIES]],
    }


def _entry(entry: Any) -> dict[str, str]:
    # The longest of an entry's contents and its summary is its text.
    summary = {**(entry.get("summary_detail") or {}), "value": entry.get("summary")}
    parts = [part for part in (*(entry.get("content") or []), summary) if _is_text(part)]
    texts = [(_text(part, "value", TEXT), _type(part)) for part in parts]
    text, text_type = max(texts, key=lambda pair: len(pair[0]), default=("", "plain"))
    time = entry.get("published_parsed") or entry.get("updated_parsed")
    try:
        moment = datetime.fromtimestamp(calendar.timegm(time), UTC).isoformat() if time else ""
    except (OSError, OverflowError, ValueError):
        moment = ""
    return {
        "id": _text(entry, "id", FIELD),
        "link": _text(entry, "link", FIELD),
        "title": _text(entry, "title", FIELD),
        "title_type": _type(entry.get("title_detail") or {}),
        "text": text,
        "text_type": text_type,
        "author": _text(entry, "author", FIELD),
        "outlet": _text(entry.get("source") or {}, "title", FIELD),
        "date": _text(entry, "published", FIELD) or _text(entry, "updated", FIELD),
        "moment": moment,
    }


def _is_text(part: Any) -> bool:
    """Whether a part of an entry is text; Atom's content can be a picture in base64."""
    return not re.match(r"(image|audio|video|application)/(?!xhtml)", str(part.get("type") or ""))


def _type(part: Any) -> str:
    # Atom declares the type. For RSS feedparser decides: a description is HTML, and a title is if
    # it has a closing tag or an entity and no tag that is unknown in HTML.
    return "html" if "html" in str(part.get("type") or "").lower() else "plain"


def _text(element: Any, name: str, limit: int) -> str:
    return str(element.get(name) or "")[:limit]


if __name__ == "__main__":
    main()
