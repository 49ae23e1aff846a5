"""How far a long command is: a bar that moves on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from django.core.management.base import OutputWrapper

WIDTH = 30
SOON, SELDOM = 0.1, 10.0  # seconds


class Progress:
    """Writes to ``stream``; ``show`` may be called as often as one likes."""

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._next = 0.0 if self._terminal else time.monotonic() + SELDOM

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._terminal:
            self._write("\r\x1b[K")

    def show(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if now < self._next and not (self._terminal and done >= of):
            return
        self._next = now + (SOON if self._terminal else SELDOM)
        share = min(1.0, done / of) if of else 1.0
        line = f"{what}: {done:,} of {of:,} ({share:.0%})"
        if self._terminal:
            full = round(share * WIDTH)
            line = f"\r\x1b[K[{'#' * full}{'.' * (WIDTH - full)}] {line}"
        self._write(line if self._terminal else f"{line}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text, ending="")
        self._stream.flush()
