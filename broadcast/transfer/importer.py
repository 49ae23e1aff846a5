"""Imports: an archive of ours becomes a new session of whoever brings it, once.

The session is there at once, empty; a step brings all of the archive in, in one transaction, or
says what is wrong with it and lets the archive be brought again. The market is counted afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from broadcast.models import Transfer
from broadcast.transfer import (
    archive,
    exporter,
    file_import,
    reconcile,
    row_import,
    transfers,
    validation,
)
from broadcast.transfer.archive import Limits
from broadcast.transfer.file_import import Taking
from broadcast.transfer.tables import EVENTS, TABLES
from broadcast.transfer.transfers import State, Way
from broadcast.transfer.validation import Head
from sessions_app import sessions
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import Conflict, Invalid, SmnbError
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.files.storage import folder_name
from sessions_app.models import Session, SessionStats
from stories.market import trends

IMPORT = "import"
SHOW_SECONDS = 0.7
_USED = "The session was used before the archive was in. Import it again: it becomes another one."


@dataclass(frozen=True, slots=True)
class Brought:
    """The session of an archive; ``new`` unless the same person brought the archive before."""

    session: Session
    new: bool


def upload(owner: User, size: int, chunks: Iterable[bytes]) -> Brought:
    """Take an archive from a browser; a step brings it in. Raises Invalid."""
    if size > archive.UPLOADED.packed:
        raise Invalid("The archive is larger than 50 MB. The command import_session takes it.")
    path = f"{exporter.FOLDER}/upload-{timezone.now().timestamp():.6f}-{owner.pk}"
    try:
        storage.write(path, chunks)
        brought, transfer = begin(storage.full_path(path), owner, archive.UPLOADED)
        if transfer is not None:
            storage.full_path(path).replace(exporter.aside(transfer))
            with transaction.atomic():
                steps.enqueue(brought.session, IMPORT, transfer.pk)
    finally:
        storage.remove(path)
    return brought


def bring(path: Path, owner: User) -> Brought:
    """Bring in an archive from the disk, here and now. Raises Invalid and OSError."""
    brought, transfer = begin(path, owner, archive.BROUGHT)
    if transfer is None:
        return brought
    try:
        _take_in(transfer, path, archive.BROUGHT)
    except SmnbError as error:
        _refuse(transfer, error.sentence)
        raise
    _finish(transfer)
    return brought


def begin(path: Path, owner: User, limits: Limits) -> tuple[Brought, Transfer | None]:
    """The session that the archive is for, and its transfer; None when all of it is in already."""
    with archive.opened(path, limits) as found:
        head = validation.head_of(found)
        imported_id = f"archive:{found.manifest.export}"
        total = sum(found.rows(table.name) for table in TABLES)
    known = Session.objects.filter(owner=owner, imported_id=imported_id)
    try:
        with transaction.atomic():
            if session := known.first():
                return Brought(session, new=False), _unfinished(session)
            session = _session(head, owner, imported_id)
            transfer = transfers.begin(session, Way.IMPORT, "zip", owner, {})
            Transfer.objects.filter(pk=transfer.pk).update(total=total)
    except IntegrityError:
        return Brought(known.get(), new=False), _unfinished(known.get())
    return Brought(session, new=True), Transfer.objects.get(pk=transfer.pk)


def _unfinished(session: Session) -> Transfer | None:
    """The import that died before anything was in, or is under way."""
    rows = Transfer.objects.filter(session=session, way=Way.IMPORT, state=State.RUNNING)
    return rows.exclude(cursor__has_key="in").first()


def _session(head: Head, owner: User, imported_id: str) -> Session:
    """Private, without an expiry, and without a record until the archive brings its own."""
    session = Session(
        owner=owner, name=head.name, type=Session.Type.IMPORTED, status=head.status,
        budget=head.budget, created_at=head.created_at, imported_id=imported_id,
        **head.settings.model_dump(exclude_none=True),
    )  # fmt: skip
    session.folder = folder_name(head.name, timezone.now().date(), session.pk)
    try:
        session.full_clean()
    except ValidationError as error:
        raise Invalid(f"session.json: {'; '.join(error.messages)}") from None
    session.save(force_insert=True)
    SessionStats.objects.create(session=session)
    return session


def _take_in(transfer: Transfer, path: Path, limits: Limits, claim: Claim | None = None) -> None:
    """Bring all of it in, or nothing. Raises Invalid and Conflict."""
    with ExitStack() as undo:
        try:
            with archive.opened(path, limits) as found:
                taking = Taking(found, transfer.session, transfer.made_by)
                undo.callback(_remove, taking.kept)
                file_import.check_room(taking)
                file_import.keep_heard(taking)
                with transaction.atomic():
                    _bring_in(taking, transfer)
                    if claim is not None:
                        claim.reschedule(steps.now())
        except (IntegrityError, DataError):
            raise Invalid("The rows of the archive do not fit each other.") from None
        undo.pop_all()
    file_import.drop_unnamed(taking)


def _remove(paths: list[str]) -> None:
    for path in paths:
        storage.remove(path)


def _bring_in(taking: Taking, transfer: Transfer) -> None:
    session, head = taking.session, validation.head_of(taking.archive)
    if SessionStats.objects.select_for_update().get(session=session).last_seq:
        raise Conflict(_USED)
    row_import.insert(taking, _Progress(transfer))
    reconcile.rows(session)
    counters = reconcile.counted(session)
    on_air = head.figures.get("on_air_seconds", 0)
    recorder.add_imported(
        session, 0, taking.archive.rows(EVENTS), validation.moment(head.figures.get("last_story_at")),
        counters | {"on_air_seconds": validation.whole(on_air)},
    )  # fmt: skip
    reconcile.runs(session, taking.owner, taking.archive.manifest.exported_at)
    transfer.done = taking.rows
    transfer.cursor["in"] = True
    transfer.save(update_fields=["done", "cursor"])
    shown = {"session": sessions.payload(session)}
    recorder.record(session, recorder.SESSION_CHANGED, shown)


class _Progress:
    """Shows the owner's pages how many rows are in; nothing is stored before all are."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer, self._told = transfer, time.monotonic()

    def __call__(self, rows: int) -> None:
        if time.monotonic() - self._told > SHOW_SECONDS:
            self._told = time.monotonic()
            shown = transfers.payload(self._transfer) | {"done": rows}
            recorder.publish_ephemeral(
                self._transfer.session_id, transfers.PROGRESS, {"transfer": shown}
            )


def _finish(transfer: Transfer, claim: Claim | None = None) -> None:
    """Count the market, and say that all is in."""
    trends.rebuild(transfer.session)
    with transaction.atomic():
        if claim is not None:
            claim.complete()
        transfers.settle(transfer, State.READY)


def _refuse(transfer: Transfer, sentence: str, claim: Claim | None = None) -> None:
    """Nothing came in: say why, and let the archive be brought again."""
    with transaction.atomic():
        if claim is not None:
            claim.complete()
        Session.objects.filter(pk=transfer.session_id).update(imported_id="")
        transfers.settle(transfer, State.FAILED, sentence)


def work(claim: Claim) -> None:
    """The step: first the rows, then what is counted from them."""
    rows = Transfer.objects.select_related("session", "made_by")
    transfer = rows.get(pk=int(claim.subject))
    path = exporter.aside(transfer)
    if transfer.state != State.RUNNING:
        return
    if transfer.cursor.get("in"):
        _finish(transfer, claim)
        path.unlink(missing_ok=True)
        return
    try:
        _take_in(transfer, path, archive.UPLOADED, claim)
    except (Invalid, Conflict) as error:
        _refuse(transfer, error.sentence, claim)
        path.unlink(missing_ok=True)
    except OSError as error:
        _refuse(transfer, f"The archive could not be read: {error.strerror}.", claim)


def _gave_up(claim: Claim) -> None:
    transfer = Transfer.objects.select_related("session").get(pk=int(claim.subject))
    if transfer.state == State.RUNNING and not transfer.cursor.get("in"):
        _refuse(transfer, "It failed by a fault of the studio.")


def register() -> None:
    steps.register(Kind(IMPORT, "producer", work, _gave_up, outlives_run=True))
