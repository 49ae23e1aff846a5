"""Exports in the background: a step writes for some time and is armed again until all is written.

The file grows aside, under ``transfers/``; what is in it beyond the place that the row remembers
was written by an attempt that died, and is written again. When it is whole it becomes an artifact.
"""

from __future__ import annotations

import os
import time
from io import BufferedRandom
from pathlib import Path
from typing import Literal
from uuid import uuid4

from django.db import transaction
from pydantic import Field

from broadcast.models import Transfer
from broadcast.transfer import snapshot, transfers
from broadcast.transfer.formats import registry
from broadcast.transfer.formats.base import Wanted
from broadcast.transfer.transfers import State, Way
from sessions_app import commands
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.commands import Call, Payload
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

    format: Literal["zip", "json", "csv", "md", "srt"]
    run: int | None = Field(None, ge=1)


def start(call: Call) -> Transfer:
    """Have the session exported; Conflict while an export in this format is under way."""
    wanted: Start = call.payload
    session = call.target
    registry.check_run(session, wanted.format, wanted.run)
    running = Transfer.objects.filter(session=session, way=Way.EXPORT, state=State.RUNNING)
    if running.filter(format=wanted.format).exists():
        raise Conflict(f"An export as {wanted.format} is under way already.", state=State.RUNNING)
    cursor = {"id": str(uuid4()), "run": wanted.run}
    transfer = transfers.begin(session, Way.EXPORT, wanted.format, call.actor, cursor)
    steps.enqueue(session, EXPORT, transfer.pk)
    transfers.tell(transfer)
    return transfer


def aside(transfer: Transfer) -> Path:
    """Where the file grows."""
    return storage.full_path(f"{FOLDER}/{transfer.pk}")


def work(claim: Claim) -> None:
    """The step: write on for some time, or make an artifact of what is whole."""
    rows = Transfer.objects.select_related("session", "made_by")
    transfer = rows.get(pk=int(claim.subject))
    if transfer.state != State.RUNNING:
        return
    try:
        if "whole" not in transfer.cursor:
            _write(claim, transfer)
            claim.reschedule(steps.now())
        else:
            _keep(claim, transfer)
    except StaleClaim:
        raise
    except SmnbError as error:
        _fail(claim, transfer, error.sentence)
    except OSError as error:
        _fail(claim, transfer, f"The file could not be written: {error.strerror}.")


def _write(claim: Claim, transfer: Transfer) -> None:
    if "upto" not in transfer.cursor:
        taken = snapshot.taken(transfer.session)
        transfer.cursor |= taken.state
        transfer.total = snapshot.count(taken, registry.get(transfer.format).tables)
    path = aside(transfer)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        if path.stat().st_size < transfer.cursor.get("bytes", 0):
            # What was written is gone, e.g. the folder was emptied: all of it anew.
            transfer.cursor |= {"bytes": 0, "state": {}}
            transfer.done = 0
        file.truncate(transfer.cursor.get("bytes", 0))
        file.seek(0, os.SEEK_END)
        _write_on(claim, transfer, file)


def _write_on(claim: Claim, transfer: Transfer, file: BufferedRandom) -> None:
    cursor = transfer.cursor
    shown = snapshot.resumed(transfer.session, cursor)
    wanted = Wanted(shown, cursor["id"], cursor["run"])
    began = told = time.monotonic()
    room = artifacts.free_bytes(transfer.session)
    for chunk in registry.get(transfer.format).write(wanted, cursor.get("state", {})):
        file.write(chunk.data)
        transfer.done += chunk.rows
        if chunk.state is None or time.monotonic() - told < SHOW_SECONDS:
            continue
        claim.check()
        _remember(transfer, file, state=chunk.state)
        told = time.monotonic()
        if cursor["bytes"] > room:
            raise Conflict(
                "The export is larger than what is left of the session's quota of artifacts."
            )
        if told - began > WORK_SECONDS:
            return
    _remember(transfer, file, whole=True)


def _remember(transfer: Transfer, file: BufferedRandom, **more: object) -> None:
    """Bring to the disk what the row is going to say is there."""
    file.flush()
    os.fsync(file.fileno())
    transfer.cursor |= {"bytes": file.tell(), **more}
    transfers.moved(transfer)


def _keep(claim: Claim, transfer: Transfer) -> None:
    transfer.artifact = _kept(transfer) or _artifact(transfer)
    transfer.done = transfer.total
    with transaction.atomic():
        claim.complete()
        transfers.settle(transfer, State.READY)
    aside(transfer).unlink(missing_ok=True)


def _note(transfer: Transfer) -> str:
    return f"Export {transfer.pk}: the session as {transfer.format.upper()}."


def _kept(transfer: Transfer) -> Artifact | None:
    """What an attempt kept that died before it could say so."""
    rows = artifacts.listed(transfer.session, Artifact.Category.FILES)
    return rows.filter(note=_note(transfer)).first()


def _artifact(transfer: Transfer) -> Artifact:
    session, wanted = transfer.session, registry.get(transfer.format)
    run = f"-run-{transfer.cursor['run']}" if transfer.cursor["run"] else ""
    made = folder_name(session.name, transfer.created_at.date(), session.pk)
    return artifacts.store(
        session, Artifact.Category.FILES, f"{made}{run}.{wanted.name}",
        storage.read([f"{FOLDER}/{transfer.pk}"]), media_type=wanted.media_type,
        note=_note(transfer), made_by=transfer.made_by,
    )  # fmt: skip


def _fail(claim: Claim, transfer: Transfer, sentence: str) -> None:
    with transaction.atomic():
        claim.complete()
        transfers.settle(transfer, State.FAILED, sentence)
    aside(transfer).unlink(missing_ok=True)


def _gave_up(claim: Claim) -> None:
    """A fault of ours; in the transaction that ends the step."""
    transfer = Transfer.objects.select_related("session").get(pk=int(claim.subject))
    said = "It failed three times by a fault of the studio."
    if transfer.state == State.RUNNING:
        transfers.settle(transfer, State.FAILED, said)
        transaction.on_commit(lambda: aside(transfer).unlink(missing_ok=True))


def register() -> None:
    steps.register(Kind(EXPORT, "producer", work, _gave_up, outlives_run=True))
    commands.register("export.start", Start, start, "Have the session written out as a file.")
