"""Imports an export archive as a new session, once per archive and owner.

The empty session is created at once. A step then inserts all rows of the archive in one
transaction, or records what is wrong so that the archive can be imported again. The market is
counted afterwards.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from broadcast.models import Transfer
from broadcast.transfer import (
    archive,
    exporter,
    reconcile,
    row_import,
    transfers,
    validation,
)
from broadcast.transfer.archive import Limits
from broadcast.transfer.row_import import ImportState
from broadcast.transfer.tables import EVENTS, TABLES
from broadcast.transfer.transfers import State, Way
from broadcast.transfer.validation import Head
from sessions_app import audits, sessions
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import Conflict, Invalid, SmnbError
from sessions_app.events import recorder, statistics
from sessions_app.files import storage
from sessions_app.files.storage import folder_name
from sessions_app.models import Session, SessionStats
from stories.market import trends

IMPORT = "import"
SHOW_SECONDS = 0.7
LAST_IMPORTED = "last_imported"  # in the cursor of a transfer
_DATED = re.compile(r" \(imported [^()]*\)$")
_USED = "The session was used before the import finished. Import again to create another session."


@dataclass(frozen=True, slots=True)
class Imported:
    """The session of an archive; ``new`` is false if this owner imported the archive before."""

    session: Session
    new: bool


def upload(owner: User, size: int, chunks: Iterable[bytes], name: str = "") -> Imported:
    """Imports an archive sent by a browser, in a step, under a name. Raises Invalid."""
    if "\x00" in name:
        raise Invalid("A name must not contain NUL characters.")
    if size > archive.UPLOADED.packed:
        raise Invalid("The archive is larger than 50 MB. Use the command import_session.")
    path = f"{exporter.FOLDER}/upload-{timezone.now().timestamp():.6f}-{owner.pk}"
    try:
        storage.write(path, chunks)
        imported, transfer = begin(storage.full_path(path), owner, archive.UPLOADED, name)
        if transfer is not None:
            storage.full_path(path).replace(exporter.partial_path(transfer))
            with transaction.atomic():
                steps.enqueue(imported.session, IMPORT, transfer.pk)
    finally:
        storage.remove(path)
    return imported


def import_file(path: Path, owner: User) -> Imported:
    """Imports an archive from the disk at once. Raises Invalid and OSError."""
    imported, transfer = begin(path, owner, archive.BROUGHT)
    if transfer is None:
        return imported
    try:
        _import_rows(transfer, path, archive.BROUGHT)
    except SmnbError as error:
        _refuse(transfer, error.sentence)
        raise
    _finish(transfer)
    return imported


def begin(
    path: Path, owner: User, limits: Limits, name: str = ""
) -> tuple[Imported, Transfer | None]:
    """Returns the session of the archive and its transfer, which is None once it is imported."""
    with archive.opened(path, limits) as opened:
        head = validation.head_of(opened)
        imported_id = f"archive:{opened.manifest.export}"
        total = sum(opened.rows(table.name) for table in TABLES)
    known = Session.objects.filter(owner=owner, imported_id=imported_id)
    try:
        with transaction.atomic():
            if session := known.first():
                return Imported(session, new=False), _unfinished(session)
            session = _create_session(head, owner, imported_id, name)
            transfer = transfers.begin(session, Way.IMPORT, "zip", owner, {})
            Transfer.objects.filter(pk=transfer.pk).update(total=total)
    except IntegrityError:
        # Another request imported the same archive at the same moment; its session wins.
        return Imported(known.get(), new=False), _unfinished(known.get())
    return Imported(session, new=True), Transfer.objects.get(pk=transfer.pk)


def _unfinished(session: Session) -> Transfer | None:
    """Returns the session's import that is running, or died before its rows were inserted."""
    rows = Transfer.objects.filter(session=session, way=Way.IMPORT, state=State.RUNNING)
    return rows.exclude(cursor__has_key="in").first()


def _create_session(head: Head, owner: User, imported_id: str, name: str) -> Session:
    """Creates the session: private, without an expiry, and without events until they are imported."""
    if not name:
        base, today = _DATED.sub("", head.name)[:90], timezone.now()
        taken = set(Session.objects.filter(owner=owner).values_list("name", flat=True))
        dated = f"{base} (imported {today.day} {today:%b %Y}"
        others = (f"{dated}, {number})" for number in count(2))
        name = next(each for each in chain([head.name, f"{dated})"], others) if each not in taken)
    session = Session(
        owner=owner,
        name=name,
        type=Session.Type.IMPORTED,
        status=head.status,
        budget=head.budget,
        created_at=head.created_at,
        imported_id=imported_id,
        **head.settings.model_dump(exclude_none=True),
    )
    session.folder = folder_name(name, timezone.now().date(), session.pk)
    try:
        session.full_clean()
    except ValidationError as error:
        raise Invalid(f"session.json: {'; '.join(error.messages)}") from None
    session.save(force_insert=True)
    SessionStats.objects.create(session=session)
    return session


def _import_rows(
    transfer: Transfer, path: Path, limits: Limits, claim: Claim | None = None
) -> None:
    """Imports all of the archive or nothing. Raises Invalid and Conflict."""
    with ExitStack() as undo:
        try:
            with archive.opened(path, limits) as opened:
                state = ImportState(opened, transfer.session, transfer.made_by)
                # Files are not part of the transaction: those written are removed if it fails.
                undo.callback(_remove_files, state.written)
                row_import.check_quota(state)
                row_import.write_sounds(state)
                with transaction.atomic():
                    _insert_rows(state, transfer)
                    if claim is not None:
                        claim.reschedule(steps.AT_ONCE)
        except (IntegrityError, DataError):
            raise Invalid("The rows of the archive contradict each other.") from None
        undo.pop_all()
    row_import.remove_unclaimed(state)


def _remove_files(paths: list[str]) -> None:
    for path in paths:
        storage.remove(path)


def _insert_rows(state: ImportState, transfer: Transfer) -> None:
    session, head = state.session, validation.head_of(state.archive)
    # Locks the counters, so that no other request uses the session between this check and the commit.
    if SessionStats.objects.select_for_update().get(session=session).last_seq:
        raise Conflict(_USED)
    row_import.insert(state, _Progress(transfer))
    reconcile.rows(session)
    counters = reconcile.counted(session)
    on_air = head.figures.get("on_air_seconds", 0)
    statistics.add_imported(
        session,
        0,
        state.archive.rows(EVENTS),
        validation.moment(head.figures.get("last_story_at")),
        counters | {"on_air_seconds": validation.whole(on_air)},
    )
    reconcile.runs(session, state.owner, state.archive.manifest.exported_at)
    transfer.done = state.rows
    transfer.cursor |= {"in": True, LAST_IMPORTED: state.archive.rows(EVENTS)}
    transfer.save(update_fields=["done", "cursor"])
    payload = {"session": sessions.payload(session)}
    recorder.record(session, recorder.SESSION_CHANGED, payload)


def last_imported(session_id: UUID) -> int | None:
    """Returns the last seq that a session has from an archive; None if that is not known."""
    transfer = Transfer.objects.filter(session=session_id, way=Way.IMPORT).first()
    # An import from the old system has no transfer, and no event of another installation.
    seq: int | None = transfer.cursor.get(LAST_IMPORTED) if transfer else 0
    return seq


class _Progress:
    """Shows on the owner's pages how many rows are inserted, at most once per ``SHOW_SECONDS``."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer, self._shown_at = transfer, time.monotonic()

    def __call__(self, rows: int) -> None:
        if time.monotonic() - self._shown_at > SHOW_SECONDS:
            self._shown_at = time.monotonic()
            payload = transfers.payload(self._transfer)
            payload["done"] = rows
            recorder.publish_ephemeral(
                self._transfer.session_id, transfers.PROGRESS, {"transfer": payload}
            )


def _finish(transfer: Transfer, claim: Claim | None = None) -> None:
    """Counts the market and ends the transfer."""
    trends.rebuild(transfer.session)
    with transaction.atomic():
        if claim is not None:
            claim.complete()
        transfers.settle(transfer, State.READY)


def _refuse(transfer: Transfer, sentence: str, claim: Claim | None = None) -> None:
    """Fails the transfer with a reason, and lets the archive be imported again."""
    with transaction.atomic():
        if claim is not None:
            claim.complete()
        Session.objects.filter(pk=transfer.session_id).update(imported_id="")
        transfers.settle(transfer, State.FAILED, sentence)


def work(claim: Claim) -> None:
    """Runs the step: inserts the rows, and in a second round counts the market from them."""
    rows = Transfer.objects.select_related("session", "made_by")
    transfer = rows.get(pk=int(claim.subject))
    path = exporter.partial_path(transfer)
    if transfer.state != State.RUNNING:
        return
    if transfer.cursor.get("in"):
        _finish(transfer, claim)
        path.unlink(missing_ok=True)
        return
    try:
        _import_rows(transfer, path, archive.UPLOADED, claim)
    except (Invalid, Conflict) as error:
        _refuse(transfer, error.sentence, claim)
        path.unlink(missing_ok=True)
    except OSError as error:
        _refuse(transfer, f"The archive could not be read: {error.strerror}.", claim)


def gave_up(claim: Claim) -> None:
    transfer = Transfer.objects.select_related("session").get(pk=int(claim.subject))
    if transfer.state == State.RUNNING and not transfer.cursor.get("in"):
        _refuse(transfer, "The import failed because of an internal error.")


def register() -> None:
    steps.register(Kind(IMPORT, "producer", work, gave_up, outlives_run=True))
    audits.register_imports(last_imported)
