"""``import_legacy ZIP``: imports the sessions, stories and usage of the old system."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app import context
from sessions_app.errors import SmnbError
from sessions_app.events import recorder
from sessions_app.management.base import Progress
from stories.legacy.archive import Snapshot
from stories.legacy.importer import Finding, Import, Outcome

MOST_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Imports a snapshot export of the old system: its sessions, stories and usage. Rows without "
        "a session go to quarantine. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("zip", type=Path)
        parser.add_argument("--owner", metavar="USERNAME", help="who will own the sessions")
        parser.add_argument("--dry-run", action="store_true", help="report what would be imported")
        parser.add_argument(
            "--report",
            type=Path,
            metavar="FILE",
            help="write each row that was rejected or put in quarantine to FILE, as JSON lines",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        owner = owner_named(options["owner"])
        with ExitStack() as stack:
            stack.enter_context(context.scope(user=owner.pk, command="import_legacy"))
            stack.enter_context(log_each_event_once(logging.getLogger(recorder.__name__)))
            progress = stack.enter_context(Progress(self.stderr))
            try:
                snapshot = stack.enter_context(closing(Snapshot(options["zip"])))
                findings = Findings(stack, options["report"])
                run = Import(snapshot, owner, findings.add, progress.show, dry=options["dry_run"])
                report = run.run(Path(settings.SMNB.data_dir))
            except SmnbError as error:
                raise CommandError(error.sentence) from None
            except OSError as error:
                raise CommandError(f"{error.filename or 'A file'}: {error.strerror}.") from None
        for line in findings.lines():
            self.stderr.write(line)
        self.stdout.write("\n".join(report.lines()))
        if options["dry_run"]:
            self.stdout.write("Nothing was written: this was a dry run.")


@contextmanager
def log_each_event_once(logger: logging.Logger) -> Iterator[None]:
    """Logs each event once: without Redis, each of thousands of events logs the same warning."""
    logged: set[str] = set()

    def is_first(record: logging.LogRecord) -> bool:
        event = str(record.msg.get("event") if isinstance(record.msg, dict) else record.msg)
        first = event not in logged
        logged.add(event)
        return first

    logger.addFilter(is_first)
    try:
        yield
    finally:
        logger.removeFilter(is_first)


class Findings:
    """Collects the first rejected rows for the screen, and writes all findings to a file."""

    def __init__(self, stack: ExitStack, path: Path | None) -> None:
        self._shown: list[str] = []
        self._rejected = 0
        self._file: TextIO | None = None
        if path is not None:
            self._file = stack.enter_context(path.open("w", encoding="utf-8"))

    def add(self, finding: Finding) -> None:
        if self._file is not None:
            self._file.write(json.dumps(asdict(finding), ensure_ascii=False) + "\n")
        if finding.outcome == Outcome.REJECTED:
            self._rejected += 1
            if len(self._shown) < MOST_SHOWN:
                self._shown.append(f"{finding.place}: {finding.reason}")

    def lines(self) -> list[str]:
        more = self._rejected - len(self._shown)
        rest = [f"… and {more:,} more rejected rows: --report FILE lists all."] if more else []
        return [*self._shown, *rest]


def owner_named(name: str | None) -> User:
    """Returns the user with this name; without a name, the configured owner or the only user."""
    if name:
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user named “{name}”.")
        return user
    owner = User.objects.filter(username=settings.SMNB.owner).first()
    users = list(User.objects.all()[:2])
    if owner is None and len(users) != 1:
        raise CommandError("Use --owner to name the user who will own the sessions.")
    return owner or users[0]
