"""Base class of the management commands for one session."""

from __future__ import annotations

import logging
import os
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from sessions_app import commands, context
from sessions_app.commands import Command, R
from sessions_app.errors import SmnbError
from sessions_app.models import Session


class SessionCommand(BaseCommand):
    """A command whose first argument is the id of a session; it acts as the session's owner."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=UUID, help="the session's id")

    def find(self, session_id: UUID) -> Session:
        """Returns the session; raises CommandError when there is none."""
        try:
            return Session.objects.select_related("owner").get(pk=session_id)
        except Session.DoesNotExist:
            raise CommandError("There is no such session.") from None

    def run_command(self, command: Command[R], session: Session) -> R:
        """Runs a command as the session's owner; raises CommandError when it is refused."""
        with self.door(session):
            try:
                return commands.run(command, session.owner, session, {})
            except SmnbError as error:
                raise CommandError(error.sentence) from None

    def door(self, session: Session) -> AbstractContextManager[None]:
        """Returns the logging context of what the command does in the session."""
        return context.scope(
            cause="",
            **context.session_fields(session),
            environment="command",
            user=session.owner_id,
            request=context.new_id(),
            operation=type(self).__module__.rpartition(".")[2],
        )


WIDTH = 30
CLEAR = "\r\x1b[K"
BAR_EVERY, LINE_EVERY = 0.1, 10.0  # seconds


class Progress:
    """Writes to ``stream``. ``show`` may be called often, and writes only from time to time."""

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._next = 0.0 if self._terminal else time.monotonic() + LINE_EVERY
        self._shown = False
        self._log_handlers = [
            handler
            for handler in logging.getLogger().handlers
            if self._terminal
            and isinstance(handler, logging.StreamHandler)
            and handler.stream.isatty()
        ]

    def __enter__(self) -> Self:
        for handler in self._log_handlers:
            handler.addFilter(self._clear_for_log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for handler in self._log_handlers:
            handler.removeFilter(self._clear_for_log)
        self._clear()

    def show(self, phase: str, done: int, of: int) -> None:
        """Shows how much of a phase is done."""
        now = time.monotonic()
        # The end of a phase is always shown on a terminal, so that the bar is full.
        if now < self._next and not (self._terminal and done >= of):
            return
        self._next = now + (BAR_EVERY if self._terminal else LINE_EVERY)
        share = min(1.0, done / of) if of else 1.0
        line = f"{phase}: {done:,} of {of:,} ({share:.0%})"
        if self._terminal:
            full = round(share * WIDTH)
            bar = f"[{'#' * full}{'.' * (WIDTH - full)}] {line}"
            # A terminal that does not know its width says 0. A bar that wraps could not be cleared.
            columns = os.get_terminal_size(self._stream.fileno()).columns or 80
            line = CLEAR + bar[: columns - 1]
            self._shown = True
        self._write(line if self._terminal else f"{line}\n")

    def _clear_for_log(self, _record: logging.LogRecord) -> bool:
        """Clears the bar before a log line, and shows it again below that line."""
        self._clear()
        self._next = 0.0
        return True

    def _clear(self) -> None:
        if self._shown:
            self._shown = False
            self._write(CLEAR)

    def _write(self, text: str) -> None:
        # Otherwise standard error writes in the colour of errors.
        self._stream.write(text, style_func=str, ending="")
        self._stream.flush()
