"""Reads what the page of a replay shows in the studio and on the watch page alike."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.models import Airing
from broadcast.queries import key_of
from broadcast.replay import runs
from broadcast.replay.frames import SILENCE, SPEEDS
from broadcast.replay.runs import Recording, RunRow
from broadcast.speech import sounds
from sessions_app.events import recorder

STORIES_MOST = 100


class ReplayStory(TypedDict):
    """A story of the run; times count from the beginning of the run."""

    id: int
    title: str
    state: str
    at: int  # milliseconds
    seconds: int
    corrected: bool  # after the run


class ReplayPage(TypedDict):
    """The run, how it can be played, and one page of its stories in the order of airing."""

    run: RunRow
    began: str
    length: int  # milliseconds
    at: int  # milliseconds after the beginning at which the replay starts
    speeds: tuple[int, ...]
    silence: int  # seconds
    stories: list[ReplayStory]
    later: int | None  # the ``after`` of the next page of stories
    air: Mapping[str, object]


def page(recording: Recording, audience: str, query: Mapping[str, str]) -> ReplayPage:
    """Returns the page of a replay; ``query`` has its parameters ``after`` and ``at``."""
    rows = Airing.objects.filter(run=recording.run, pk__gt=key_of(query.get("after", "")) or 0)
    if audience != recorder.OWNER:
        rows = rows.filter(story__state__in=sounds.PUBLISHED)
    airings = list(rows.select_related("story").order_by("pk")[: STORIES_MOST + 1])
    return {
        "run": runs.row(recording.run),
        "began": recorder.timestamp(recording.began),
        "length": recording.milliseconds,
        "at": min(key_of(query.get("at", "")) or 0, recording.milliseconds),
        "speeds": SPEEDS,
        "silence": int(SILENCE.total_seconds()),
        "stories": [_story(recording, airing) for airing in airings[:STORIES_MOST]],
        "later": airings[STORIES_MOST - 1].pk if len(airings) > STORIES_MOST else None,
        "air": orchestrator.payload(None),
    }


def _story(recording: Recording, airing: Airing) -> ReplayStory:
    story = airing.story
    offset = recording.offset(airing.aired_at)
    return {
        "id": story.pk,
        "title": story.title,
        "state": story.state,
        "at": offset,
        "seconds": offset // 1000,
        "corrected": story.corrected_at is not None and story.corrected_at > recording.ended,
    }
