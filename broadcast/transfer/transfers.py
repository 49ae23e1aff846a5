"""The list of a session's transfers: how far each has come, and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from broadcast.models import Transfer
from sessions_app.events import recorder
from sessions_app.models import Session

CHANGED = recorder.declare("transfer.changed", "An export or an import began, or ended.")
PROGRESS = "transfer.progress"  # a frame that is never stored
SHOWN = 5

State, Way = Transfer.State, Transfer.Way


def latest(session: Session) -> list[dict[str, Any]]:
    rows = Transfer.objects.filter(session=session).select_related("artifact")
    return [payload(each) for each in rows.order_by("-id")[:SHOWN]]


def payload(transfer: Transfer) -> dict[str, Any]:
    """A transfer for its owner; ``done`` and ``total`` are rows, ``total`` is 0 until it is known."""
    kept = transfer.artifact
    gone = kept is not None and kept.state == kept.State.DROPPED
    return {
        "id": transfer.pk,
        "way": transfer.way,
        "format": transfer.format,
        "run": transfer.cursor.get("run"),
        "state": transfer.state,
        "done": transfer.done,
        "total": transfer.total,
        "error": transfer.error,
        "artifact": kept and {
            "id": kept.pk, "name": kept.name, "bytes": kept.bytes, "sha256": kept.sha256,
            "gone": gone,
        },
        "at": recorder.timestamp(transfer.created_at),
    }  # fmt: skip


def begin(
    session: Session, way: str, format_: str, made_by: User, cursor: dict[str, Any]
) -> Transfer:
    return Transfer.objects.create(
        session=session, way=way, format=format_, made_by=made_by, cursor=cursor
    )


def tell(transfer: Transfer) -> None:
    """Record how the transfer stands; last in the transaction that changed it."""
    recorder.record(transfer.session, CHANGED, {"transfer": payload(transfer)})


def moved(transfer: Transfer) -> None:
    """Store how far the transfer has come, and show it to the owner's pages."""
    transfer.save(update_fields=["done", "total", "cursor"])
    recorder.publish_ephemeral(transfer.session_id, PROGRESS, {"transfer": payload(transfer)})


def settle(transfer: Transfer, state: str, error: str = "") -> None:
    """End the transfer, once; in the caller's transaction."""
    transfer.state, transfer.error = state, error[:500]
    transfer.save(update_fields=["state", "error", "done", "total", "cursor", "artifact"])
    tell(transfer)
