"""Reads a session's log lines, newest first, filtered by id, request, level or text."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO, TypeAlias

from sessions_app import context
from sessions_app.files import storage
from sessions_app.session_logs import writer
from sessions_app.session_logs.writer import LogFile

ENVIRONMENTS = ("browser", "server", "worker", "command", "agent")
LEVELS = ("debug", "info", "warning", "error", "critical")
CHUNK = 1 << 16
NEAR = 200  # the number of lines by which the order in a file may differ from the order of ids
MAX_BYTES = 16_000_000  # read for one page

# The fields of a line depend on its event.
Line: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A filter for lines; those match that agree with all given fields.

    ``level`` includes the levels above it; ``before`` is the id of a line.
    """

    environment: str = ""
    level: str = ""
    request: str = ""
    text: str = ""
    before: str = ""

    def may_match(self, file: LogFile) -> bool:
        """Whether the file can contain matching lines, judged by its name."""
        if self.environment and file.stem != self.environment:
            return False
        created = context.time_of_id(self.text)
        # A line is written some time after its id was made, perhaps on the next day.
        if created is not None and file.day not in {
            created.date(),
            (created + timedelta(minutes=5)).date(),
        }:
            return False
        requested, last = context.time_of_id(self.request), context.time_of_id(self.before)
        too_early = requested is not None and file.day < requested.date()
        return not too_early and (last is None or file.day <= last.date())

    def match(self, raw: bytes) -> Line | None:
        """Returns the parsed line when it matches; None also for a line that is no JSON object."""
        # Parsing is slow, so most lines are ruled out by their bytes.
        if self.text and self.text.casefold() not in raw.decode("utf-8", "replace").casefold():
            return None
        if self.request and self.request.encode() not in raw:
            return None
        try:
            line = json.loads(raw)
        except ValueError:
            return None
        if not isinstance(line, dict) or not isinstance(line.get("id"), str):
            return None
        if self.before and line["id"] >= self.before:
            return None
        if self.request and line.get("request") != self.request:
            return None
        return line if _rank(line.get("level")) >= _rank(self.level) else None


def _rank(level: object) -> int:
    return LEVELS.index(level) if level in LEVELS else 0


@dataclass(slots=True)
class Page:
    """Lines, newest first; ``next`` is the id before which older lines are, "" at the end.

    ``stopped`` is the time down to which lines were searched, when the search reached its limit.
    """

    lines: list[Line] = field(default_factory=list)
    next: str = ""
    stopped: datetime | None = None


class ByteBudget:
    """The number of bytes that a search may still read."""

    def __init__(self, limit: int) -> None:
        self.left = limit


def find(folder: str, query: LogQuery, limit: int = 100, *, most_bytes: int = MAX_BYTES) -> Page:
    """Returns one page of a session's matching lines."""
    budget = ByteBudget(most_bytes)
    files = [file for file in writer.log_files(folder, writer.LOGS) if query.may_match(file)]
    page, last_id = Page(), query.before
    for line_id, line in _merged(files, query, budget):
        if line is not None and len(page.lines) == limit:
            page.next = page.lines[-1]["id"]
            return page
        last_id = line_id
        if line is not None:
            page.lines.append(line)
        # A search without matches ends here; the next page continues from this line.
        if budget.left <= 0:
            page.next, page.stopped = last_id, context.time_of_id(last_id)
            return page
    return page


def _merged(
    files: list[LogFile], query: LogQuery, budget: ByteBudget
) -> Iterator[tuple[str, Line | None]]:
    """Yields id and line of all files, newest first; the line is None when it does not match."""
    # A file holds one day, so days need no merging and older files are opened only if needed.
    for day in sorted({file.day for file in files}, reverse=True):
        streams = [_ordered(file, query, budget) for file in files if file.day == day]
        yield from heapq.merge(*streams, key=lambda pair: pair[0], reverse=True)


def _ordered(
    file: LogFile, query: LogQuery, budget: ByteBudget
) -> Iterator[tuple[str, Line | None]]:
    """Yields a file's lines from its end, ordered by id.

    Processes write concurrently, so neighbouring lines may be in another order than their ids; a
    heap of the nearest lines restores it.
    """
    heap: list[tuple[int, int, str, Line | None]] = []
    for number, raw in enumerate(lines_backwards(file.path, budget, query.before)):
        line_id = _id_in(raw)
        if line_id is None:
            continue
        heapq.heappush(heap, (-int(line_id, 16), number, line_id, query.match(raw)))
        if len(heap) > NEAR:
            _, _, line_id, line = heapq.heappop(heap)
            yield line_id, line
    while heap:
        _, _, line_id, line = heapq.heappop(heap)
        yield line_id, line


def _id_in(raw: bytes) -> str | None:
    """Returns the id at the beginning of a line, without parsing the rest."""
    line_id = raw[7:27].decode("ascii", "replace") if raw.startswith(b'{"id":"') else ""
    return line_id if context.time_of_id(line_id) is not None else None


def lines_backwards(path: str, budget: ByteBudget, before: str = "") -> Iterator[bytes]:
    """Yields the complete lines of a file from its end, or from near the line with id ``before``."""
    with storage.full_path(path).open("rb") as file:
        end, tail, first = _end_of(file, before), b"", True
        while end > 0:
            begin = max(0, end - CHUNK)
            file.seek(begin)
            lines = (file.read(end - begin) + tail).split(b"\n")
            budget.left -= end - begin
            end, tail = begin, lines[0]
            if first:
                first = False
                # After the last line break there is only a line that is still being written.
                lines[-1] = b""
            yield from (line for line in reversed(lines[1:]) if line)
        if tail:
            yield tail


def _end_of(file: BinaryIO, before: str) -> int:
    """Returns the offset from which to read backwards, found by binary search for ``before``.

    Ids grow along the file, except that neighbouring lines may be swapped; hence one more chunk.
    """
    size = file.seek(0, os.SEEK_END)
    low, high = 0, size if before else 0
    while high - low > CHUNK:
        middle = (low + high) // 2
        file.seek(middle)
        # The first one is the rest of a line that begins before the middle.
        file.readline()
        line_id = _id_in(file.readline())
        if line_id is not None and line_id < before:
            low = middle
        else:
            high = middle
    return min(size, high + CHUNK) if before else size
