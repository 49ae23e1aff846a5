"""One lot of staged rows: stored in one transaction, or only foretold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from sessions_app.models import Session
from stories import quarantine
from stories.legacy import joining, sessions
from stories.legacy.documents import SessionDocument, StoryDocument, UsageDocument
from stories.legacy.report import Outcome, place
from stories.legacy.rows import story_row, usage_row
from stories.legacy.staging import Row
from stories.models import Story, TokenUsage
from stories.quarantine import Orphan

KINDS = {"story_history": "story", "token_usage": "usage"}
TRIES = 3

Staged = Callable[[Collection[str]], set[str]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a lot; ``orphans`` are the rows that found no session."""

    counts: Counter[Outcome]
    orphans: Sequence[Row] = ()
    left_out: Counter[str] = field(default_factory=Counter)


def store(table: str, lot: Sequence[Row], owner: User) -> Stored:
    """Store the rows that are not there yet; again where another import was quicker."""
    for _ in range(TRIES - 1):
        try:
            return _store(table, lot, owner)
        except IntegrityError:
            continue
    return _store(table, lot, owner)


def _store(table: str, lot: Sequence[Row], owner: User) -> Stored:
    with transaction.atomic():
        fresh = _fresh(table, lot)
        if table == "sessions":
            documents = _sessions(fresh)
            sessions.make(documents, owner)
            return Stored(_counted(lot, fresh, ()), left_out=sessions.left_out(documents))
        homes = sessions.homes(row.session for row in fresh)
        orphans = [row for row in fresh if row.session not in homes]
        quarantine.put_orphans(KINDS[table], [_orphan(table, row) for row in orphans], owner)
        housed = [row for row in fresh if row.session in homes]
        for named, some in groupby(housed, lambda row: row.session):
            _join(table, homes[named], list(some))
        return Stored(_counted(lot, fresh, orphans), orphans)


def foretell(table: str, lot: Sequence[Row], staged: Staged) -> Stored:
    """What ``store`` would do; ``staged`` finds which sessions would have been imported before."""
    fresh = _fresh(table, lot)
    if table == "sessions":
        return Stored(_counted(lot, fresh, ()), left_out=sessions.left_out(_sessions(fresh)))
    named = {row.session for row in fresh}
    homes = sessions.homes(named).keys() | staged(named)
    orphans = [row for row in fresh if row.session not in homes]
    return Stored(_counted(lot, fresh, orphans), orphans)


def _fresh(table: str, lot: Sequence[Row]) -> list[Row]:
    """The rows that are neither in a session nor in quarantine yet."""
    ids = [row.old_id for row in lot]
    if table == "sessions":
        there = set(sessions.homes(ids))
    else:
        model = Story if table == "story_history" else TokenUsage
        found = model._default_manager.filter(legacy_id__in=ids)
        there = quarantine.held(KINDS[table], ids)
        there.update(str(each) for each in found.values_list("legacy_id", flat=True))
    return [row for row in lot if row.old_id not in there]


def _counted(lot: Sequence[Row], fresh: Sequence[Row], orphans: Sequence[Row]) -> Counter[Outcome]:
    return Counter({
        Outcome.THERE: len(lot) - len(fresh),
        Outcome.QUARANTINED: len(orphans),
        Outcome.IMPORTED: len(fresh) - len(orphans),
    })  # fmt: skip


def _sessions(fresh: Sequence[Row]) -> list[SessionDocument]:
    return [SessionDocument.model_validate_json(row.raw) for row in fresh]


def _join(table: str, session: Session, some: Sequence[Row]) -> None:
    if table == "story_history":
        told = [StoryDocument.model_validate_json(row.raw) for row in some]
        joining.join(session, [story_row(session, each) for each in told], [])
    else:
        used = [UsageDocument.model_validate_json(row.raw) for row in some]
        joining.join(session, [], [usage_row(session, each) for each in used])


def _orphan(table: str, row: Row) -> Orphan:
    return Orphan(
        row.old_id, row.session, sessions.why_homeless(row.session), row.at,
        place(table, row.line), row.raw,
    )  # fmt: skip
