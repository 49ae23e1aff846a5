"""Captions (SRT): what was said, sentence by sentence, at the time it was on air.

Of one run the clock starts when the run went live. Of a whole session the runs follow one another,
each from where the one before ended, as their recordings would when joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from textwrap import wrap

from broadcast.models import Airing
from broadcast.transfer.formats.base import Chunk, State, Wanted, caption, pieces
from sessions_app.models.session import DEFAULT_PACE
from stories.models import Story
from stories.text import reading_seconds, sentences, word_count

LINE, LINES = 42, 2
TOLD = (Story.State.AIRING, Story.State.AIRED)


def write(wanted: Wanted, state: State) -> Iterator[Chunk]:
    """State: the last airing, how many cues there are, where the last ended and its run began."""
    clock = _Clock(**state.get("clock", {}))
    number = state.get("cues", 0)
    for some in pieces(_airings(wanted, state.get("after", 0))):
        text = ""
        for airing in some:
            start, end = clock.place(airing)
            for begin, until, lines in cues(airing.story.narrative, start, end):
                number += 1
                text += f"{number}\n{_stamp(begin)} --> {_stamp(until)}\n{lines}\n\n"
        reached = {"after": some[-1].pk, "cues": number, "clock": clock.state}
        yield Chunk(text.encode(), len(some), reached)


def _airings(wanted: Wanted, after: int) -> Iterator[Airing]:
    rows = Airing.objects.filter(
        session=wanted.snapshot.session, pk__lte=wanted.snapshot.upto["airings"],
        story__state__in=TOLD,
    )  # fmt: skip
    if wanted.run is not None:
        rows = rows.filter(run__number=wanted.run)
    rows = rows.select_related("run", "story").order_by("pk")
    while True:
        piece = list(rows.filter(pk__gt=after)[:500])
        yield from piece
        if len(piece) < 500:
            return
        after = piece[-1].pk


class _Clock:
    """Where airings lie on the clock of the captions, in seconds."""

    def __init__(self, run: int = 0, began: float = 0.0, ended: float = 0.0) -> None:
        self.run, self.began, self.ended = run, began, ended

    @property
    def state(self) -> dict[str, float]:
        return {"run": self.run, "began": self.began, "ended": self.ended}

    def place(self, airing: Airing) -> tuple[float, float]:
        """Begin and end; stories that were not waited for follow each other as they are spoken."""
        if airing.run.number != self.run:
            self.run, self.began = airing.run.number, self.ended
        offset = (airing.aired_at - (airing.run.live_at or airing.aired_at)).total_seconds()
        start = max(self.began + offset, self.ended)
        seconds = min(airing.finished_at or airing.finish_at, airing.finish_at) - airing.aired_at
        if seconds < timedelta(seconds=1):
            seconds = timedelta(
                seconds=max(1, reading_seconds(word_count(airing.story.narrative), DEFAULT_PACE))
            )
        self.ended = start + seconds.total_seconds()
        return start, self.ended


def cues(text: str, start: float, end: float) -> Iterator[tuple[float, float, str]]:
    """The text in captions of at most two lines, each as long as its share of the letters."""
    shown = [lines for each in sentences(text) for lines in _captions(caption(each))]
    letters = sum(map(len, shown)) or 1
    at = start
    for lines in shown:
        until = at + (end - start) * len(lines) / letters
        yield at, until, lines
        at = until


def _captions(sentence: str) -> Iterator[str]:
    lines = wrap(sentence, LINE)
    for first in range(0, len(lines), LINES):
        yield "\n".join(lines[first : first + LINES])


def _stamp(seconds: float) -> str:
    whole = round(seconds * 1000)
    minutes, millis = divmod(whole, 60_000)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{millis // 1000:02},{millis % 1000:03}"
