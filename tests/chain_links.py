"""Appends links to the AI chain as model operations do."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.models import AILink, Chain, Session


def join(session: Session, source: str = "narration", **more: Any) -> AILink:
    """Appends a completed operation of 10 tokens."""
    fields: dict[str, Any] = {
        "source": source,
        "provider_id": chain.offline_id(),
        "tokens": 10,
        "model": "" if source == "reset" else "extractive",
        **more,
    }
    with transaction.atomic():
        return chain.append(session, Operation(**fields))


def lose_head(session: Session, to: AILink | None = None) -> None:
    """Damages the chain: sets its head to another link or none."""
    Chain.objects.filter(session=session).update(head=to)


def patiently() -> None:
    """Raises the lock time-out of this thread, as many threads wait for one row on a slow machine."""
    sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 90000" if sqlite else "SET statement_timeout = 90000")


def numbers_in_order(count: int) -> list[tuple[int, int | None]]:
    return [(number, number - 1 or None) for number in range(1, count + 1)]
