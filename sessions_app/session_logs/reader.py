"""Reading a session's lines back: newest first, found by id, request, level or text."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from sessions_app import context
from sessions_app.files import storage
from sessions_app.session_logs import writer
from sessions_app.session_logs.writer import LogFile

ENVIRONMENTS = ("browser", "server", "worker", "command", "agent")
LEVELS = ("debug", "info", "warning", "error", "critical")
CHUNK = 1 << 16
NEAR = 200  # so many lines of one file may stand in another order than their ids
MOST_BYTES = 16_000_000  # read for one page; the next page goes on from there

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines: those that agree with all that is given; ``before`` is the id of a line."""

    environment: str = ""
    level: str = ""  # this one and what is worse
    request: str = ""
    text: str = ""
    before: str = ""

    def reads(self, file: LogFile) -> bool:
        """Whether the file can hold such lines, by its name."""
        if self.environment and file.stem != self.environment:
            return False
        made = context.time_of_id(self.text)
        if made is not None and file.day not in _around(made):
            return False
        asked, last = context.time_of_id(self.request), context.time_of_id(self.before)
        too_early = asked is not None and file.day < asked.date()
        return not too_early and (last is None or file.day <= last.date())

    def takes(self, raw: bytes) -> Line | None:
        """The line, if it is one of them; what is no JSON object is none."""
        if self.text and self.text.casefold() not in raw.decode("utf-8", "replace").casefold():
            return None
        if self.request and self.request.encode() not in raw:
            return None
        line = _parsed(raw)
        if line is None or (self.before and line["id"] >= self.before):
            return None
        if self.request and line.get("request") != self.request:
            return None
        return line if _rank(line.get("level")) >= _rank(self.level) else None


def _around(made: datetime) -> set[Any]:
    """A line is written a moment after it was made."""
    return {made.date(), (made + timedelta(minutes=5)).date()}


def _rank(level: object) -> int:
    return LEVELS.index(level) if level in LEVELS else 0


def _parsed(raw: bytes) -> Line | None:
    try:
        found = json.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("id"), str) else None


@dataclass(slots=True)
class Page:
    """Lines, newest first; ``next`` is the id before which older ones are, "" at the end.

    ``stopped`` is the time down to which everything was looked through, where the search ended
    because of its length.
    """

    lines: list[Line] = field(default_factory=list)
    next: str = ""
    stopped: datetime | None = None


class ByteBudget:
    """How much of a search's length is left."""

    def __init__(self, most: int) -> None:
        self.left = most


def find(folder: str, wanted: LogQuery, limit: int = 100, *, most_bytes: int = MOST_BYTES) -> Page:
    """One page of a session's lines."""
    meter = ByteBudget(most_bytes)
    found = [file for file in writer.log_files(folder, writer.LOGS) if wanted.reads(file)]
    page, at = Page(), wanted.before
    for line_id, line in _merged(found, wanted, meter):
        if line is not None and len(page.lines) == limit:
            page.next = page.lines[-1]["id"]
            return page
        at = line_id
        if line is not None:
            page.lines.append(line)
        if meter.left <= 0:
            page.next, page.stopped = at, context.time_of_id(at)
            return page
    return page


def _merged(
    found: list[LogFile], wanted: LogQuery, meter: ByteBudget
) -> Iterator[tuple[str, Line | None]]:
    """The lines of all files, day by day, newest first; None for those that are not wanted."""
    for day in sorted({file.day for file in found}, reverse=True):
        streams = [_of_file(file, wanted, meter) for file in found if file.day == day]
        yield from heapq.merge(*streams, key=lambda pair: pair[0], reverse=True)


def _of_file(
    file: LogFile, wanted: LogQuery, meter: ByteBudget
) -> Iterator[tuple[str, Line | None]]:
    """A file's lines from its end; those that crossed on their way are put in order."""
    heap: list[tuple[int, int, str, Line | None]] = []
    for number, raw in enumerate(lines_backwards(file.path, meter, wanted.before)):
        line_id = _id_in(raw)
        if line_id is None:
            continue
        heapq.heappush(heap, (-int(line_id, 16), number, line_id, wanted.takes(raw)))
        if len(heap) > NEAR:
            _, _, line_id, line = heapq.heappop(heap)
            yield line_id, line
    while heap:
        _, _, line_id, line = heapq.heappop(heap)
        yield line_id, line


def _id_in(raw: bytes) -> str | None:
    """The id a line begins with, without parsing the rest."""
    found = raw[7:27].decode("ascii", "replace") if raw.startswith(b'{"id":"') else ""
    return found if context.time_of_id(found) is not None else None


def lines_backwards(path: str, meter: ByteBudget, before: str = "") -> Iterator[bytes]:
    """The whole lines of a file from its end, or from about the line with the id ``before``.

    What is half written is left out.
    """
    with storage.full_path(path).open("rb") as file:
        end, tail, first = _end_of(file, before), b"", True
        while end > 0:
            begin = max(0, end - CHUNK)
            file.seek(begin)
            lines = (file.read(end - begin) + tail).split(b"\n")
            meter.left -= end - begin
            end, tail = begin, lines[0]
            if first:
                first = False
                lines[-1] = b""
            yield from (line for line in reversed(lines[1:]) if line)
        if tail:
            yield tail


def _end_of(file: BinaryIO, before: str) -> int:
    """Where reading begins: by halves, as ids grow along the file, with room for lines that cross."""
    size = file.seek(0, os.SEEK_END)
    low, high = 0, size if before else 0
    while high - low > CHUNK:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()
        line_id = _id_in(file.readline())
        if line_id is not None and line_id < before:
            low = middle
        else:
            high = middle
    return min(size, high + CHUNK) if before else size
