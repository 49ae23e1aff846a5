"""How far a long command is: a bar that moves on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import logging
import os
import time
from types import TracebackType
from typing import Self, TextIO

from django.core.management.base import OutputWrapper

WIDTH = 30
CLEAR = "\r\x1b[K"
SOON, SELDOM = 0.1, 10.0  # seconds


class Progress:
    """Writes to ``stream``; ``show`` may be called as often as one likes."""

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._next = 0.0 if self._terminal else time.monotonic() + SELDOM
        self._shown = False
        self._others = _logging_to_terminals() if self._terminal else []

    def __enter__(self) -> Self:
        for handler in self._others:
            handler.addFilter(self._make_room)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for handler in self._others:
            handler.removeFilter(self._make_room)
        self._clear()

    def show(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if now < self._next and not (self._terminal and done >= of):
            return
        self._next = now + (SOON if self._terminal else SELDOM)
        share = min(1.0, done / of) if of else 1.0
        line = f"{what}: {done:,} of {of:,} ({share:.0%})"
        if self._terminal:
            full = round(share * WIDTH)
            bar = f"[{'#' * full}{'.' * (WIDTH - full)}] {line}"
            # What reaches a second line could not be cleared.
            line = CLEAR + bar[: self._columns() - 1]
            self._shown = True
        self._write(line if self._terminal else f"{line}\n")

    def _make_room(self, _record: logging.LogRecord) -> bool:
        """A line of the log begins where the bar was; the bar comes again below it."""
        self._clear()
        self._next = 0.0
        return True

    def _clear(self) -> None:
        if self._shown:
            self._shown = False
            self._write(CLEAR)

    def _columns(self) -> int:
        """Terminals that do not know their width say 0."""
        return os.get_terminal_size(self._stream.fileno()).columns or 80

    def _write(self, text: str) -> None:
        # The stream's own style is that of errors.
        self._stream.write(text, style_func=str, ending="")
        self._stream.flush()


def _logging_to_terminals() -> list[logging.StreamHandler[TextIO]]:
    found = (
        each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)
    )
    return [handler for handler in found if handler.stream.isatty()]
