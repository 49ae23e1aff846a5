"""A stand-in for Reddit: the token endpoint, listings and feeds that PRAW and we really ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.standins.server import StandIn

Post = dict[str, Any]
# A subreddit, the posts of a user, a user's multireddit.
_LISTING = re.compile(
    r"/(?:r/([^/]+)|(user/[^/]+)/submitted|(user/[^/]+/m/[^/]+))"
    r"/?(?:(hot|new|top|rising)/?)?(\.rss)?"
)


def post(key: str, title: str, **more: Any) -> Post:
    """A submission with the fields of 2026."""
    return {
        "id": key,
        "name": f"t3_{key}",
        "title": title,
        "selftext": "",
        "author": "wren",
        "subreddit": "tides",
        "permalink": f"/r/tides/comments/{key}/x/",
        "is_self": False,
        "url": f"https://example.org/{key}",
        "score": 10,
        "num_comments": 2,
        "over_18": False,
        "stickied": False,
        "created_utc": 1_795_000_000.0,
        "removed_by_category": None,
        **more,
    }


class RedditStandIn(StandIn):
    """Serves what was published; ``answer`` replaces every listing, ``token_answer`` every token.

    Either is (status, headers, body). ``remaining`` and ``reset`` go out as x-ratelimit fields.
    """

    def __init__(self, client_id: str = "id", client_secret: str = "secret") -> None:
        super().__init__()
        self._keys = (client_id, client_secret)
        self._posts: dict[str, list[Post]] = {}
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self.token_answer: tuple[int, dict[str, str], bytes] | None = None
        self.remaining, self.used, self.reset_seconds = 500, 1, 1
        self.hangs = False

    def publish(self, subreddit: str, posts: Sequence[Post]) -> None:
        """Put posts before those of a subreddit, of ``user/NAME`` or of ``user/NAME/m/NAME``."""
        self._posts[subreddit] = [*posts, *self._posts.get(subreddit, [])]

    def replay(self, path: Path) -> None:
        """Answer every listing as a recorded error was answered."""
        found = json.loads(path.read_text())
        kept = {"retry-after", "location", "www-authenticate", "content-type"}
        headers = {k: str(v) for k, v in found["headers"].items() if k.lower() in kept}
        body = found["body"] if isinstance(found["body"], str) else json.dumps(found["body"])
        self.answer = (found["status"], headers, body.encode())

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        if self.hangs:
            self.stopping.wait(20)
            return
        if parts.path == "/api/v1/access_token":
            self._token(request)
            return
        found = _LISTING.fullmatch(parts.path)
        name = next(filter(None, found.groups())) if found else ""
        if self.answer is not None:
            status, headers, body = self.answer
            self.reply(request, status, body, headers)
        elif found is None or name not in self._posts:
            self.reply(request, 302, b"", {"Location": "https://www.reddit.com/subreddits/search"})
        elif found[5]:
            self._feed(request, name)
        else:
            self._listing(request, name, parse_qs(parts.query))

    def _token(self, request: BaseHTTPRequestHandler) -> None:
        if self.token_answer is not None:
            status, headers, body = self.token_answer
            self.reply(request, status, body, {**headers, "Connection": "close"})
            return
        answer = {"access_token": "t", "token_type": "bearer", "expires_in": 86400, "scope": "*"}
        # PRAW asks for the token on a connection of its own.
        self._json(request, answer, {"Connection": "close"})

    def _json(
        self, request: BaseHTTPRequestHandler, answer: object, more: dict[str, str] | None = None
    ) -> None:
        limits = {
            "x-ratelimit-remaining": f"{self.remaining}.0",
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-reset": str(self.reset_seconds),
        }
        body = json.dumps(answer).encode()
        self.reply(
            request, 200, body, {"Content-Type": "application/json", **limits, **(more or {})}
        )

    def _listing(
        self, request: BaseHTTPRequestHandler, subreddit: str, query: dict[str, list[str]]
    ) -> None:
        posts = self._posts[subreddit]
        after = query.get("after", [""])[0]
        names = [each["name"] for each in posts]
        first = names.index(after) + 1 if after in names else 0
        page = posts[first : first + int(query.get("limit", ["25"])[0])]
        more = first + len(page) < len(posts)
        # As Reddit does: only raw_json=1 leaves the three characters as people wrote them.
        if query.get("raw_json") != ["1"]:
            texts = ("title", "selftext")
            page = [
                {**each, **{name: escape(each.get(name) or "", quote=False) for name in texts}}
                for each in page
            ]
        data = {
            "after": page[-1]["name"] if more and page else None,
            "before": None,
            "children": [{"kind": "t3", "data": each} for each in page],
        }
        self._json(request, {"kind": "Listing", "data": data})

    def _feed(self, request: BaseHTTPRequestHandler, subreddit: str) -> None:
        entries = "".join(
            f"<entry><id>{each['name']}</id><title>{escape(each['title'])}</title>"
            f"<author><name>/u/{each['author']}</name></author>"
            f'<link href="https://www.reddit.com{each["permalink"]}"/>'
            f"<updated>2026-11-20T10:00:00+00:00</updated></entry>"
            for each in self._posts[subreddit]
        )
        feed = f'<feed xmlns="http://www.w3.org/2005/Atom"><title>r</title>{entries}</feed>'
        self.reply(request, 200, feed.encode(), {"Content-Type": "application/atom+xml"})
