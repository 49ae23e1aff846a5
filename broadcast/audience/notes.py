"""Show notes: what an episode tells, with sources and corrections; public."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from broadcast.audience.feeds import clean
from broadcast.models import Airing, Episode
from sessions_app.templatetags.newsroom import weburl
from stories import feed
from stories.models import Story

Note = dict[str, Any]


def of_episodes(episodes: Sequence[Episode], most: int) -> dict[int, list[Note]]:
    """By run: its stories (public payloads) in the order of airing, at most ``most``; one query."""
    aired = Airing.objects.filter(
        run__in=[episode.run_id for episode in episodes], story__state=Story.State.AIRED
    )
    place = Window(RowNumber(), partition_by=F("run"), order_by=F("id").asc())
    rows = aired.annotate(place=place).filter(place__lte=most).order_by("id")
    found: dict[int, list[Note]] = defaultdict(list)
    for one in rows.select_related("story__post__source", "story__thread"):
        found[one.run_id].append(feed.public_payload(feed.payload(one.story)))
    return found


def plain(stories: Sequence[Note]) -> str:
    """The show notes as plain text, a story a line."""
    return clean("\n".join(map(_line, stories)))


def _line(story: Note) -> str:
    parts = [story["title"]]
    if post := story["post"]:
        parts += [f"({post['source']})", weburl(post["url"])]
    if story["correction"]:
        parts.append(f"Correction: {story['correction']}")
    return " ".join(part for part in parts if part)
