"""Exports captions (SRT): the aired stories sentence by sentence, at the time they were on air.

For one run the times count from when the run went live. For a whole session the runs follow one
another, each from the end of the one before, as their recordings would when joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from textwrap import TextWrapper

from broadcast.models import Airing
from broadcast.transfer.formats.base import Chunk, ExportRequest, State, caption, pieces
from broadcast.transfer.tables import AIRINGS
from sessions_app.models.session import DEFAULT_PACE
from stories import disclosure
from stories.models import Story
from stories.text.sentences import reading_seconds, sentences, word_count, word_set

LINE, LINES = 42, 2  # the longest line in characters, and the most lines of a caption
SHOWN = (Story.State.AIRING, Story.State.AIRED)


def write(request: ExportRequest, state: State) -> Iterator[Chunk]:
    """Writes the captions; the state is the last airing's id, their number and the clock."""
    clock = _Clock(**state.get("clock", {}))
    number = state.get("cues", 0)
    for batch in pieces(_airings(request, state.get("after", 0))):
        text = ""
        for airing in batch:
            first = airing.run.number != clock.run
            start, end = clock.place(airing)
            spoken = airing.story.narrative
            # A caption of its own at the beginning of each run.
            captioned = f"[{disclosure.GENERAL}.]\n\n{spoken}" if first else spoken
            for begin, until, lines in cues(captioned, start, end):
                number += 1
                text += f"{number}\n{timestamp(begin)} --> {timestamp(until)}\n{lines}\n\n"
        position = {"after": batch[-1].pk, "cues": number, "clock": clock.state}
        yield Chunk(text.encode(), len(batch), position)


def _airings(request: ExportRequest, after: int) -> Iterator[Airing]:
    snapshot = request.snapshot
    rows = Airing.objects.filter(session=snapshot.session, pk__lte=snapshot.upto[AIRINGS])
    # A retracted story is not repeated in captions.
    rows = rows.filter(story__state__in=SHOWN)
    if request.run is not None:
        rows = rows.filter(run__number=request.run)
    rows = rows.select_related("run", "story").order_by("pk")
    while True:
        airings = list(rows.filter(pk__gt=after)[:500])
        yield from airings
        if len(airings) < 500:
            return
        after = airings[-1].pk


class _Clock:
    """Computes the times of airings in seconds from the beginning of the captions."""

    def __init__(self, run: int = 0, began: float = 0.0, ended: float = 0.0) -> None:
        self.run, self.began, self.ended = run, began, ended

    @property
    def state(self) -> dict[str, float]:
        return {"run": self.run, "began": self.began, "ended": self.ended}

    def place(self, airing: Airing) -> tuple[float, float]:
        """Returns the begin and end of the airing, which must be passed in the order of air."""
        if airing.run.number != self.run:
            self.run, self.began = airing.run.number, self.ended
        offset = (airing.aired_at - (airing.run.live_at or airing.aired_at)).total_seconds()
        start = max(self.began + offset, self.ended)
        seconds = min(airing.finished_at or airing.finish_at, airing.finish_at) - airing.aired_at
        # An airing that ended at once was not waited for; it gets the time that reading it takes.
        if seconds < timedelta(seconds=1):
            seconds = timedelta(
                seconds=max(1, reading_seconds(word_count(airing.story.narrative), DEFAULT_PACE))
            )
        self.ended = start + seconds.total_seconds()
        return start, self.ended


_WRAP = TextWrapper(LINE, break_on_hyphens=False).wrap
# Where a speaker pauses, and words before which one may; a caption ends there rather than elsewhere.
_CLAUSE_ENDS = tuple(",;:)\u2014\u2013\u201d")
_OPENERS = word_set("""
    and but or which who whom whose that because while after before when where as if so though although
    since until unless than to for with from by at on in into over under
""")
# A caption does not end with one of these, nor with an abbreviation, nor with a figure before its unit.
_UNFINISHED = word_set("""
    a an the of and or but to in on at by for from with as is are was were has have had not no than
""")


def captions(text: str) -> list[str]:
    """Returns the captions of a text: two lines at most, divided where a clause ends if one does.

    No caption has parts of two sentences.
    """
    found: list[str] = []
    for sentence in sentences(text):
        words = caption(sentence).split()
        if max(map(len, words), default=0) > LINE:
            # A script without spaces, or an address.
            lines = _WRAP(" ".join(words))
            found += ["\n".join(lines[at : at + LINES]) for at in range(0, len(lines), LINES)]
            continue
        while words:
            # More words than fit even if each had one letter.
            lines = _WRAP(" ".join(words[: LINE * LINES]))
            most = sum(len(line.split(" ")) for line in lines[:LINES])
            size = most if most == len(words) else max(range(1, most + 1), key=_ending(words))
            found.append("\n".join(_WRAP(" ".join(words[:size]))))
            words = words[size:]
    return found


def _ending(words: Sequence[str]) -> Callable[[int], float]:
    """Returns how good it is to end a caption after so many of the words."""

    def value(size: int) -> float:
        last = words[size - 1]
        # Short captions are worse, also the one that would follow.
        length = len(" ".join(words[:size])) / (LINE * LINES)
        left = len(" ".join(words[size : size + 4])) / (LINE * LINES)
        good = min(length, 0.6) + length / 10 + min(left, 0.2)
        good += 0.5 * last.endswith(_CLAUSE_ENDS) + 0.25 * (words[size].lower() in _OPENERS)
        unfinished = last.lower() in _UNFINISHED or last.endswith(".") or last[-1].isdigit()
        return good - 0.5 * unfinished

    return value


def cues(
    text: str, start: float, end: float, measure: Callable[[str], int] = len
) -> Iterator[tuple[float, float, str]]:
    """Yields the text in captions: begin, end, and lines; longer captions are shown longer.

    ``measure`` gives the length of a caption: its letters, or its words where a page shows a word at
    a time.
    """
    parts = captions(text)
    whole = sum(map(measure, parts)) or 1
    begin = start
    for shown in parts:
        until = begin + (end - start) * measure(shown) / whole
        yield begin, until, shown
        begin = until


def spoken_cues(
    text: str, times: Sequence[Sequence[float]], start: float, end: float
) -> Iterator[tuple[float, float, str]]:
    """Yields the captions of a text whose sound plays from ``start`` to ``end``.

    ``times`` has the begin and end of each caption from the begin of the sound; of each sentence in a
    sound of an older version. Captions divide the whole sound by their lengths if neither fits.
    """
    if len(parts := captions(text)) == len(times):
        for shown, (begin, until) in zip(parts, times, strict=True):
            yield start + begin, start + until, shown
    elif len(parts := sentences(text)) == len(times):
        for sentence, (begin, until) in zip(parts, times, strict=True):
            yield from cues(sentence, start + begin, start + until)
    else:
        yield from cues(text, start, end)


def webvtt(captions: Iterable[tuple[float, float, str]]) -> str:
    """Returns captions as WebVTT, which browsers and most podcast apps read."""
    lines = ["WEBVTT", ""]
    for begin, end, text in captions:
        lines += [f"{timestamp(begin, '.')} --> {timestamp(end, '.')}", text, ""]
    return "\n".join(lines)


def timestamp(seconds: float, mark: str = ",") -> str:
    """Returns the time as hours, minutes, seconds and, after the mark, milliseconds."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"
