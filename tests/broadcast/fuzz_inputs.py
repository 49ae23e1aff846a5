"""Feeds the product damaged feeds, archives and messages; each is read, refused or set aside."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

from channels.testing import WebsocketCommunicator
from django.db import transaction
from django.utils import timezone

from sessions_app.errors import SmnbError
from sessions_app.models import Artifact, SessionEvent
from smnb.asgi import application
from stories.models import Story
from stories.sources import feed_parser, rss
from stories.sources.http_client import Response
from stories.types import FetchedPost
from tests.broadcast.session_with_history import Bring, changed
from tests.smnb.fuzz import damaged, damaged_lines

FEEDS = Path(__file__).parents[1] / "data" / "feeds"


MESSAGES = (b'{"after": 5}', b'{"after": 0, "more": [1, {"a": null}]}', b"", b"ping")


async def send_messages(path: str, seeds: Iterable[int]) -> None:
    """Sends damaged messages, as text and as bytes; a socket ends by a code and not by an error."""
    for seed in seeds:
        socket = WebsocketCommunicator(application, path)
        opened, _ = await socket.connect(timeout=60)
        assert opened
        for number in range(15):
            data = damaged(f"{seed} {number}", MESSAGES[number % len(MESSAGES)]) or b"{"
            if number % 3:
                await socket.send_to(text_data=data.decode("utf-8", "replace"))
            else:
                await socket.send_to(bytes_data=data)
        # An error of the consumer is raised here.
        await socket.disconnect(timeout=60)


def read_feeds(seeds: Iterable[int]) -> int:
    """Reads each feed of the tests with one damage per seed; returns how many still had posts."""
    read = 0
    for path in sorted(FEEDS.glob("*")):
        whole = path.read_bytes()
        for seed in seeds:
            body = damaged(f"{path.name} {seed}", whole)
            # The process of the parser exits when it is not safe.
            with contextlib.suppress(SmnbError, SystemExit):
                read += bool(posts_of(body))
    return read


def posts_of(body: bytes) -> list[FetchedPost]:
    """Reads a feed as the product does, but without a process for each."""
    response = Response(200, "https://news.example/feed.xml", {"content-type": "text/xml"}, body)

    def parse(_: Response) -> rss.ParsedFeed:
        try:
            found: rss.ParsedFeed = json.loads(json.dumps(feed_parser.parsed(body, "text/xml")))
        except ValueError:
            # feedparser's own: its process ends, and the feed is refused.
            raise SystemExit from None
        return found

    with patch.object(rss, "_parse", parse):
        return rss.posts_of(response, timezone.now())


def bring_in(archive: bytes, bring: Bring, seeds: Iterable[int]) -> int:
    """Imports damaged archives; a refused one leaves nothing. Returns how many were refused."""
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        members = sorted(name for name in found.namelist() if name.startswith("data/"))
    refused = 0
    for seed in seeds:
        # Every second one is whole as a ZIP and agrees with its manifest.
        member = members[seed // 2 % len(members)]
        data = (
            changed(archive, {member: damaged_lines(f"{member} {seed}")})
            if seed % 2
            else damaged(f"archive {seed}", archive)
        )
        before = counts()
        with transaction.atomic():
            try:
                bring(data)
            except SmnbError:
                refused += 1
                assert counts() == before, (seed, member)
            transaction.set_rollback(True)
    return refused


def counts() -> tuple[int, int, int]:
    events = SessionEvent.objects.filter(type="story.aired").count()
    return events, Story.objects.count(), Artifact.objects.count()
