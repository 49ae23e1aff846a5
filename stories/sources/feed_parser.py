"""Parses a feed from standard input and writes it to standard output as JSON; a separate program.

A hostile feed of a few hundred kilobytes can keep feedparser busy for minutes, and nothing stops a
regular expression from inside its process. So the feed is parsed in a process of its own with three
seconds of processor time and half a gigabyte of memory. It runs isolated, so it imports nothing of
this project.

The JSON: ``{version, link, entries: [{id, link, title, text, author, date, moment}]}``, all text;
``moment`` is an ISO time in UTC or empty, ``date`` is what the feed wrote.
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
    texts = [_text(part, "value", TEXT) for part in entry.get("content") or []]
    time = entry.get("published_parsed") or entry.get("updated_parsed")
    try:
        moment = datetime.fromtimestamp(calendar.timegm(time), UTC).isoformat() if time else ""
    except (OSError, OverflowError, ValueError):
        moment = ""
    return {
        "id": _text(entry, "id", FIELD),
        "link": _text(entry, "link", FIELD),
        "title": _text(entry, "title", FIELD),
        "author": _text(entry, "author", FIELD),
        "text": max([*texts, _text(entry, "summary", TEXT)], key=len),
        "date": _text(entry, "published", FIELD) or _text(entry, "updated", FIELD),
        "moment": moment,
    }


def _text(element: Any, name: str, limit: int) -> str:
    return str(element.get(name) or "")[:limit]


if __name__ == "__main__":
    main()
