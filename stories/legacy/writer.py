"""One lot of staged rows: stored in one transaction, or only foretold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from sessions_app.models import Session
from stories.legacy import attach, mapping
from stories.legacy.documents import SessionDocument, StoryDocument, UsageDocument
from stories.legacy.mapping import Rows
from stories.legacy.report import Outcome, place
from stories.legacy.staging import Row
from stories.models import Story, TokenUsage
from stories.quarantine import records
from stories.quarantine.records import Orphan

SESSIONS = "sessions"
KINDS = {"story_history": "story", "token_usage": "usage"}
MODELS: dict[str, type[Story | TokenUsage]] = {"story_history": Story, "token_usage": TokenUsage}
TRIES = 3

Staged = Callable[[Collection[str]], set[str]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a lot, by table; ``orphans`` are the rows that found no session."""

    counts: Counter[tuple[str, Outcome]]
    orphans: Sequence[Row] = ()
    left_out: Counter[str] = field(default_factory=Counter)


def store(lot: Sequence[Row], owner: User) -> Stored:
    """Store the rows that are not there yet: sessions, or what belongs to them.

    Again where another import was quicker.
    """
    for _ in range(TRIES - 1):
        try:
            return _store(lot, owner)
        except IntegrityError:
            continue
    return _store(lot, owner)


def _store(lot: Sequence[Row], owner: User) -> Stored:
    with transaction.atomic():
        fresh = _fresh(lot)
        if lot[0].table == SESSIONS:
            documents = _sessions(fresh)
            mapping.make(documents, owner)
            return Stored(_counted(lot, fresh, ()), left_out=mapping.left_out(documents))
        homes = mapping.homes(row.session for row in fresh)
        orphans = [row for row in fresh if row.session not in homes]
        for table, kind in KINDS.items():
            records.put_orphans(kind, map(_orphan, _of(table, orphans)), owner)
        housed = [row for row in fresh if row.session in homes]
        for named, some in groupby(housed, lambda row: row.session):
            _join(homes[named], list(some))
        return Stored(_counted(lot, fresh, orphans), orphans)


def foretell(lot: Sequence[Row], staged: Staged) -> Stored:
    """What ``store`` would do; ``staged`` finds which sessions would have been imported before."""
    fresh = _fresh(lot)
    if lot[0].table == SESSIONS:
        return Stored(_counted(lot, fresh, ()), left_out=mapping.left_out(_sessions(fresh)))
    named = {row.session for row in fresh}
    homes = mapping.homes(named).keys() | staged(named)
    orphans = [row for row in fresh if row.session not in homes]
    return Stored(_counted(lot, fresh, orphans), orphans)


def _fresh(lot: Sequence[Row]) -> list[Row]:
    """The rows that are neither in a session nor in quarantine yet."""
    there = {
        (table, old_id)
        for table in {row.table for row in lot}
        for old_id in _there(table, [row.old_id for row in _of(table, lot)])
    }
    return [row for row in lot if (row.table, row.old_id) not in there]


def _there(table: str, ids: Sequence[str]) -> set[str]:
    if table == SESSIONS:
        return set(mapping.homes(ids))
    found = MODELS[table]._default_manager.filter(legacy_id__in=ids)
    return records.stored_ids(KINDS[table], ids) | {
        str(each) for each in found.values_list("legacy_id", flat=True)
    }


def _of(table: str, rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row.table == table)


def _counted(
    lot: Sequence[Row], fresh: Sequence[Row], orphans: Sequence[Row]
) -> Counter[tuple[str, Outcome]]:
    """Each row of the lot by its table and its fate."""
    known = {(row.table, row.old_id) for row in fresh}
    homeless = {(row.table, row.old_id) for row in orphans}
    return Counter(
        (table, Outcome.THERE if (table, old_id) not in known
         else Outcome.QUARANTINED if (table, old_id) in homeless else Outcome.IMPORTED)
        for table, old_id, *_ in lot
    )  # fmt: skip


def _sessions(fresh: Sequence[Row]) -> list[SessionDocument]:
    return [SessionDocument.model_validate_json(row.raw) for row in fresh]


def _join(session: Session, some: Sequence[Row]) -> None:
    told = (StoryDocument.model_validate_json(row.raw) for row in _of("story_history", some))
    used = (UsageDocument.model_validate_json(row.raw) for row in _of("token_usage", some))
    rows = Rows(session)
    attach.join(session, list(map(rows.story, told)), list(map(rows.usage, used)))


def _orphan(row: Row) -> Orphan:
    return Orphan(
        row.old_id, row.session, mapping.why_homeless(row.session), row.at,
        place(row.table, row.line), row.raw,
    )  # fmt: skip
