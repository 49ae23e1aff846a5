"""JSON Feed 1.0 and 1.1 as the feed that feed_parser.py reports; the standard library alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

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
