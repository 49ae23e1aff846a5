"""``import_legacy ZIP``: bring the old system's sessions, stories and usage here."""

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
from stories.legacy.archive import Snapshot
from stories.legacy.importer import Import
from stories.legacy.report import Finding, Outcome
from stories.management.progress import Progress

MOST_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Import a snapshot export of the old system: its sessions, stories and usage. What names no "
        "session goes to quarantine. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("zip", type=Path)
        parser.add_argument("--owner", metavar="USERNAME", help="whose the sessions become")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument(
            "--report", type=Path, metavar="FILE",
            help="write each row rejected or put in quarantine there, as JSON lines",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        owner = _owner(options["owner"])
        with ExitStack() as stack:
            stack.enter_context(context.scope(user=owner.pk, command="import_legacy"))
            stack.enter_context(_said_once(logging.getLogger(recorder.__name__)))
            progress = stack.enter_context(Progress(self.stderr))
            try:
                snapshot = stack.enter_context(closing(Snapshot(options["zip"])))
                findings = Findings(stack, options["report"])
                run = Import(snapshot, owner, findings.tell, progress.show, dry=options["dry_run"])
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
def _said_once(logger: logging.Logger) -> Iterator[None]:
    """Have the same thing said once: without a studio, no event of thousands finds anybody."""
    said: set[str] = set()

    def first(record: logging.LogRecord) -> bool:
        what = str(record.msg.get("event") if isinstance(record.msg, dict) else record.msg)
        new = what not in said
        said.add(what)
        return new

    logger.addFilter(first)
    try:
        yield
    finally:
        logger.removeFilter(first)


class Findings:
    """The first rejected rows for the screen, and all that found no session for a file."""

    def __init__(self, stack: ExitStack, path: Path | None) -> None:
        self._shown: list[str] = []
        self._rejected = 0
        self._file: TextIO | None = None
        if path is not None:
            self._file = stack.enter_context(path.open("w", encoding="utf-8"))

    def tell(self, finding: Finding) -> None:
        if self._file is not None:
            self._file.write(json.dumps(asdict(finding), ensure_ascii=False) + "\n")
        if finding.outcome == Outcome.REJECTED:
            self._rejected += 1
            if len(self._shown) < MOST_SHOWN:
                self._shown.append(f"{finding.place}: {finding.reason}")

    def lines(self) -> list[str]:
        more = self._rejected - len(self._shown)
        rest = [f"… and {more:,} rejected rows more: --report FILE names all."] if more else []
        return [*self._shown, *rest]


def _owner(name: str | None) -> User:
    """The person named; without a name the studio's own, or the only one there is."""
    if name:
        found = User.objects.filter(username=name).first()
        if found is None:
            raise CommandError(f"There is no person named “{name}”.")
        return found
    own = User.objects.filter(username=settings.SMNB.owner).first()
    people = list(User.objects.all()[:2])
    if own is None and len(people) != 1:
        raise CommandError("Say with --owner whose the sessions become.")
    return own or people[0]
