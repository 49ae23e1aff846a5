"""Exports and imports of a session: their progress and results."""

from __future__ import annotations

from typing import Annotated

from django.contrib.auth.models import User
from pydantic import Field
from typing_extensions import TypedDict

from broadcast.models import Transfer
from sessions_app.events import recorder
from sessions_app.models import Session

PROGRESS = "transfer.progress"  # a frame that is never stored
SHOWN = 5

State, Way = Transfer.State, Transfer.Way


class TransferFile(TypedDict):
    """The file that an export made."""

    id: Annotated[int, Field(description="Id of the artifact.")]
    name: Annotated[str, Field(description="File name.")]
    bytes: Annotated[int, Field(description="Size in bytes.")]
    sha256: Annotated[str, Field(description="SHA-256 of the file, in hexadecimal.")]
    gone: Annotated[bool, Field(description="Whether the file has been removed.")]


class TransferPayload(TypedDict):
    """An export or an import."""

    id: Annotated[int, Field(description="Id of the transfer.")]
    way: Annotated[str, Field(description="export or import.")]
    format: Annotated[str, Field(description="Name of the export format.")]
    run: Annotated[int | None, Field(description="Run that captions are limited to; null for all.")]
    state: Annotated[str, Field(description="running, ready or failed.")]
    done: Annotated[int, Field(description="Rows written or read so far.")]
    total: Annotated[int, Field(description="Rows in all; 0 until known.")]
    error: Annotated[str, Field(description="Why it failed; empty otherwise.")]
    artifact: Annotated[TransferFile | None, Field(description="The exported file, once ready.")]
    at: Annotated[str, Field(description="When it started, ISO 8601 in UTC.")]


class TransferEvent(TypedDict):
    """Payload of ``transfer.changed``."""

    transfer: Annotated[TransferPayload, Field(description="The transfer.")]


CHANGED = recorder.declare(
    "transfer.changed", "An export or import started or ended.", TransferEvent
)


def latest(session: Session) -> list[TransferPayload]:
    """Returns the session's latest transfers, newest first."""
    rows = Transfer.objects.filter(session=session).select_related("artifact")
    return [payload(transfer) for transfer in rows.order_by("-id")[:SHOWN]]


def payload(transfer: Transfer) -> TransferPayload:
    """Returns a transfer as pages, frames and the API show it to its owner."""
    file: TransferFile | None = None
    if artifact := transfer.artifact:
        file = {
            "id": artifact.pk,
            "name": artifact.name,
            "bytes": artifact.bytes,
            "sha256": artifact.sha256,
            "gone": artifact.state == artifact.State.DROPPED,
        }
    return {
        "id": transfer.pk,
        "way": transfer.way,
        "format": transfer.format,
        "run": transfer.cursor.get("run"),
        "state": transfer.state,
        "done": transfer.done,
        "total": transfer.total,
        "error": transfer.error,
        "artifact": file,
        "at": recorder.timestamp(transfer.created_at),
    }


def begin(
    session: Session, way: str, format_: str, made_by: User, cursor: dict[str, object]
) -> Transfer:
    """Creates a running transfer; ``cursor`` is where its step continues."""
    return Transfer.objects.create(
        session=session, way=way, format=format_, made_by=made_by, cursor=cursor
    )


def record_change(transfer: Transfer) -> None:
    """Records the transfer's state as an event; call it last in the transaction that changed it."""
    recorder.record(transfer.session, CHANGED, {"transfer": payload(transfer)})


def save_progress(transfer: Transfer) -> None:
    """Stores the progress and shows it on the owner's pages."""
    transfer.save(update_fields=["done", "total", "cursor"])
    recorder.publish_ephemeral(transfer.session_id, PROGRESS, {"transfer": payload(transfer)})


def settle(transfer: Transfer, state: str, error: str = "") -> None:
    """Ends the transfer, in the caller's transaction."""
    transfer.state, transfer.error = state, error[:500]
    transfer.save(update_fields=["state", "error", "done", "total", "cursor", "artifact"])
    record_change(transfer)
