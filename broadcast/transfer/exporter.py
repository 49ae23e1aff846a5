"""Writes exports in the background, in steps of at most ``WORK_SECONDS``.

The file is written under ``transfers/``. The transfer's row stores how many bytes are valid; what
is beyond them was written by an attempt that died, and is written again. The complete file becomes
an artifact of the session.
"""

from __future__ import annotations

import os
import time
from io import BufferedRandom
from pathlib import Path
from uuid import uuid4

from django.db import transaction
from pydantic import Field

from broadcast.models import Transfer
from broadcast.transfer import formats, snapshot, transfers
from broadcast.transfer.formats import FormatName
from broadcast.transfer.formats.base import ExportRequest
from broadcast.transfer.transfers import State, Way
from sessions_app import commands
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.commands import Call, Command, Payload
from sessions_app.errors import Conflict, SmnbError, StaleClaim
from sessions_app.files import artifacts, storage
from sessions_app.files.storage import folder_name
from sessions_app.models import Artifact

EXPORT = "export"
FOLDER = "transfers"
WORK_SECONDS = 40.0
SHOW_SECONDS = 0.7


class Start(Payload):
    """An export; ``run`` limits captions to one run."""

    format: FormatName = Field(description="Format of the file; only a zip can be imported again.")
    run: int | None = Field(
        None, ge=1, description="Number of the run whose captions (srt) are written; null is all."
    )


def start(call: Call) -> Transfer:
    """Starts an export; raises Conflict while one in the same format is running."""
    request: Start = call.payload
    session = call.target
    formats.check_run(session, request.format, request.run)
    running = Transfer.objects.filter(session=session, way=Way.EXPORT, state=State.RUNNING)
    if running.filter(format=request.format).exists():
        raise Conflict(f"An export as {request.format} is already running.", state=State.RUNNING)
    cursor: dict[str, object] = {"id": str(uuid4()), "run": request.run}
    transfer = transfers.begin(session, Way.EXPORT, request.format, call.actor, cursor)
    steps.enqueue(session, EXPORT, transfer.pk)
    transfers.record_change(transfer)
    return transfer


EXPORT_SESSION = Command("export.start", Start, start, "Exports the session as a file.")


def partial_path(transfer: Transfer) -> Path:
    """Returns the path of the transfer's incomplete file."""
    return storage.full_path(f"{FOLDER}/{transfer.pk}")


def work(claim: Claim) -> None:
    """Runs the step: writes more of the file, or makes an artifact of the complete file."""
    rows = Transfer.objects.select_related("session", "made_by")
    transfer = rows.get(pk=int(claim.subject))
    if transfer.state != State.RUNNING:
        return
    try:
        if "whole" not in transfer.cursor:
            _write(claim, transfer)
            claim.reschedule(steps.AT_ONCE)
        else:
            _store_artifact(claim, transfer)
    except StaleClaim:
        raise
    except SmnbError as error:
        _fail(claim, transfer, error.sentence)
    except OSError as error:
        _fail(claim, transfer, f"The file could not be written: {error.strerror}.")


def _write(claim: Claim, transfer: Transfer) -> None:
    if "upto" not in transfer.cursor:
        taken = snapshot.taken(transfer.session)
        transfer.cursor |= dict(taken.state)
        transfer.total = snapshot.count(taken, formats.get(transfer.format).tables)
    path = partial_path(transfer)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        if path.stat().st_size < transfer.cursor.get("bytes", 0):
            # The file is shorter than the row says, e.g. the folder was emptied: start again.
            transfer.cursor |= {"bytes": 0, "state": {}}
            transfer.done = 0
        file.truncate(transfer.cursor.get("bytes", 0))
        file.seek(0, os.SEEK_END)
        _write_chunks(claim, transfer, file)


def _write_chunks(claim: Claim, transfer: Transfer, file: BufferedRandom) -> None:
    cursor = transfer.cursor
    source = snapshot.resumed(transfer.session, cursor)
    request = ExportRequest(source, cursor["id"], cursor["run"])
    started_at = shown_at = time.monotonic()
    free = artifacts.free_bytes(transfer.session)
    for chunk in formats.get(transfer.format).write(request, cursor.get("state", {})):
        file.write(chunk.data)
        transfer.done += chunk.rows
        if chunk.state is None or time.monotonic() - shown_at < SHOW_SECONDS:
            continue
        claim.check()
        _save_position(transfer, file, state=chunk.state)
        shown_at = time.monotonic()
        if cursor["bytes"] > free:
            raise Conflict("The export exceeds the free space in the session's artifact quota.")
        if shown_at - started_at > WORK_SECONDS:
            return
    _save_position(transfer, file, whole=True)


def _save_position(transfer: Transfer, file: BufferedRandom, **more: object) -> None:
    # The bytes must be on the disk before the row says so: after a power cut it is trusted.
    file.flush()
    os.fsync(file.fileno())
    transfer.cursor |= {"bytes": file.tell(), **more}
    transfers.save_progress(transfer)


def _store_artifact(claim: Claim, transfer: Transfer) -> None:
    session, format_ = transfer.session, formats.get(transfer.format)
    note = f"Export {transfer.pk}: the session as {transfer.format.upper()}."
    # An attempt can die between storing the artifact and completing the step.
    earlier = artifacts.listed(session, Artifact.Category.FILES).filter(note=note).first()
    if earlier is None:
        run = f"-run-{transfer.cursor['run']}" if transfer.cursor["run"] else ""
        stem = folder_name(session.name, transfer.created_at.date(), session.pk)
        earlier = artifacts.store(
            session,
            Artifact.Category.FILES,
            f"{stem}{run}.{format_.name}",
            storage.read([f"{FOLDER}/{transfer.pk}"]),
            media_type=format_.media_type,
            note=note,
            made_by=transfer.made_by,
        )
    transfer.artifact = earlier
    transfer.done = transfer.total
    with transaction.atomic():
        claim.complete()
        transfers.settle(transfer, State.READY)
    partial_path(transfer).unlink(missing_ok=True)


def _fail(claim: Claim, transfer: Transfer, sentence: str) -> None:
    with transaction.atomic():
        claim.complete()
        transfers.settle(transfer, State.FAILED, sentence)
    partial_path(transfer).unlink(missing_ok=True)


def gave_up(claim: Claim) -> None:
    """Fails the export after the last crashed attempt; runs in the transaction that ends the step."""
    transfer = Transfer.objects.select_related("session").get(pk=int(claim.subject))
    if transfer.state == State.RUNNING:
        sentence = f"The export failed {steps.MAX_ATTEMPTS} times because of an internal error."
        transfers.settle(transfer, State.FAILED, sentence)
        transaction.on_commit(lambda: partial_path(transfer).unlink(missing_ok=True))


def register() -> None:
    steps.register(Kind(EXPORT, "producer", work, gave_up, outlives_run=True))
    commands.register(EXPORT_SESSION)
