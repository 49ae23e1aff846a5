"""Reads what the page of a replay shows in the studio and on the watch page alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.models import Airing
from broadcast.queries import key_of
from broadcast.replay import runs
from broadcast.replay.frames import SILENCE, SPEEDS
from broadcast.replay.runs import Recording, RunRow
from broadcast.speech import sounds
from broadcast.transfer.formats.srt_format import cues, timestamp
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.models.session import DEFAULT_PACE
from stories.disclosure import GENERAL
from stories.text.sentences import reading_seconds, word_count

STORIES_MOST = 100
CHAPTERS_MOST = 12  # on the watch page


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
    first: int  # the same of the first story
    speeds: tuple[int, ...]
    silence: int  # seconds
    stories: list[ReplayStory]
    later: int | None  # the ``after`` of the next page of stories
    air: Mapping[str, object]


def page(recording: Recording, audience: str, query: Mapping[str, str]) -> ReplayPage:
    """Returns the page of a replay; ``query`` has its parameters ``after`` and ``at``."""
    rows = Airing.objects.filter(run=recording.run).order_by("pk")
    if audience != recorder.OWNER:
        rows = rows.filter(story__state__in=sounds.PUBLISHED)
    # Before the first story nothing is heard.
    first_aired_at = rows.values_list("aired_at", flat=True).first()
    starts = recording.offset(first_aired_at) if first_aired_at else 0
    asked = key_of(query.get("at", ""))
    rows = rows.filter(pk__gt=key_of(query.get("after", "")) or 0)
    airings = list(rows.select_related("story")[: STORIES_MOST + 1])
    return {
        "run": runs.row(recording.run),
        "began": recorder.timestamp(recording.began),
        "length": recording.milliseconds,
        "at": min(starts if asked is None else asked, recording.milliseconds),
        "first": starts,
        "speeds": SPEEDS,
        "silence": int(SILENCE.total_seconds()),
        "stories": [_story(recording, airing) for airing in airings[:STORIES_MOST]],
        "later": airings[STORIES_MOST - 1].pk if len(airings) > STORIES_MOST else None,
        "air": orchestrator.payload(None),
    }


class LastShow(TypedDict):
    """The latest finished run that the audience can replay, with the first of its stories."""

    run: RunRow
    stories: list[ReplayStory]
    more: bool


def last_show(listed: Sequence[RunRow], session: Session) -> LastShow | None:
    """Returns the first of the listed runs with its stories as chapters; None without any run.

    What the recap says in sentences stays with the owner: no editor has read it, and a story that
    was pulled since may be in it.
    """
    if not listed:
        return None
    found = page(runs.find(session, listed[0]["number"], recorder.PUBLIC), recorder.PUBLIC, {})
    chapters, later = found["stories"], found["later"]
    return {
        "run": found["run"],
        "stories": chapters[:CHAPTERS_MOST],
        "more": later is not None or len(chapters) > CHAPTERS_MOST,
    }


LABEL_SECONDS = 5


def captions(recording: Recording) -> str:
    """Returns the words of a run as WebVTT, each at the time at which a replay reaches it.

    The words of a story are spread evenly over its airing, as static/js/reveal.js does.
    """
    rows = Airing.objects.filter(run=recording.run, story__state__in=sounds.PUBLISHED)
    airings = list(rows.select_related("story").order_by("pk"))
    lines = ["WEBVTT", ""]
    for airing, following in zip_longest(airings, airings[1:]):
        begin, end = (recording.offset(at) / 1000 for at in (airing.aired_at, airing.finish_at))
        over = recording.offset(airing.finished_at or airing.finish_at) / 1000
        if end - begin < 1:
            # Without waiting on air a story has no time of its own: it is shown until the next one.
            end = begin + reading_seconds(airing.story.word_count, DEFAULT_PACE)
            over = recording.offset(following.aired_at) / 1000 if following else end
        if len(lines) == 2:
            # Above the words, which keep their time.
            label = f"{timestamp(begin, '.')} --> {timestamp(begin + LABEL_SECONDS, '.')} line:0"
            lines += [label, f"[{GENERAL}.]", ""]
        for since, until, text in cues(airing.story.narrative, begin, end, word_count):
            # A break-in ends a story before all of it has been read.
            if since < over:
                lines += [
                    f"{timestamp(since, '.')} --> {timestamp(min(until, over), '.')}",
                    text,
                    "",
                ]
    return "\n".join(lines)


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
