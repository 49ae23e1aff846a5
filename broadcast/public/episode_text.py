"""The text of an episode with its times: its transcript (WebVTT, SubRip) and its chapters."""

from __future__ import annotations

from collections.abc import Iterator

from broadcast.models import Episode
from broadcast.speech.programme import Part
from broadcast.transfer.formats.srt_format import cues, timestamp
from sessions_app.templatetags.newsroom import weburl
from stories.models import Story

# The silence at the end of each sound, in which no caption is shown.
PAUSE = 0.8
IDENTIFICATION = "Station identification"


def webvtt(episode: Episode) -> str:
    """Returns the transcript as WebVTT, which browsers and most podcast apps read."""
    lines = ["WEBVTT", ""]
    for begin, end, text in _captions(episode):
        lines += [f"{timestamp(begin, '.')} --> {timestamp(end, '.')}", text, ""]
    return "\n".join(lines)


def subrip(episode: Episode) -> str:
    """Returns the transcript as SubRip (SRT)."""
    lines = []
    for number, (begin, end, text) in enumerate(_captions(episode), start=1):
        lines += [str(number), f"{timestamp(begin)} --> {timestamp(end)}", text, ""]
    return "\n".join(lines)


def chapters(episode: Episode) -> dict[str, object]:
    """Returns the chapters as JSON, one for each story and each identification."""
    stories = _stories(episode)
    rows: list[dict[str, object]] = []
    for part in _parts(episode):
        story = stories.get(part["story"] or 0)
        if part["story"] is None:
            rows.append({"startTime": part["at"], "title": IDENTIFICATION})
        elif story is not None:
            row: dict[str, object] = {"startTime": part["at"], "title": story.title}
            if story.post is not None and (url := weburl(story.post.url)):
                row["url"] = url
            rows.append(row)
    return {"version": "1.2.0", "title": episode.title, "chapters": rows}


def _captions(episode: Episode) -> Iterator[tuple[float, float, str]]:
    stories = _stories(episode)
    for part in _parts(episode):
        story = stories.get(part["story"] or 0)
        text = part["text"] if part["story"] is None else story.narrative if story else ""
        end = part["at"] + max(part["seconds"] - PAUSE, 0.1)
        yield from cues(text, part["at"], end)


def _parts(episode: Episode) -> list[Part]:
    parts: list[Part] = episode.contents
    return parts


def _stories(episode: Episode) -> dict[int, Story]:
    ids = [part["story"] for part in _parts(episode) if part["story"] is not None]
    rows = Story.objects.filter(pk__in=ids, session=episode.session, state=Story.State.AIRED)
    return {story.pk: story for story in rows.select_related("post")}
