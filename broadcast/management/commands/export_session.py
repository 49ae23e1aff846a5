"""``export_session SESSION --format json|csv|md|srt|zip [--run N] [--output FILE]``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from broadcast.transfer import formats
from sessions_app import context
from sessions_app.errors import SmnbError
from sessions_app.management.base import SessionCommand


class Command(SessionCommand):
    help = "Export a session, to the standard output by default."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--format", choices=formats.FORMATS, default="zip")
        parser.add_argument("--run", type=int, help="captions (srt) of this run only")
        parser.add_argument("--output", type=Path, help="a file instead of the standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        session = self.find(options["session"])
        format_ = formats.get(options["format"])
        with context.scope(session=session.pk, command="export_session"):
            try:
                formats.check_run(session, format_.name, options["run"])
            except SmnbError as error:
                raise CommandError(error.sentence) from None
            chunks = formats.stream(session, format_, options["run"])
            try:
                self.write(chunks, options["output"])
            except OSError as error:
                raise CommandError(f"The export could not be written: {error.strerror}.") from None

    def write(self, chunks: Iterable[bytes], output: Path | None) -> None:
        if output is None:
            for chunk in chunks:
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return
        # Written beside it and renamed, so that a file of this name is a complete export.
        partial = output.with_name(f"{output.name}.part")
        try:
            with partial.open("wb") as file:
                file.writelines(chunks)
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
