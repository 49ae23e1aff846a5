"""Links of the AI chain, made as operations make them."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.models import AILink, Chain, Session


def join(session: Session, source: str = "narration", **more: Any) -> AILink:
    """One completed operation of 10 tokens."""
    said: dict[str, Any] = {
        "source": source,
        "provider_id": chain.offline_id(),
        "tokens": 10,
        **more,
    }
    with transaction.atomic():
        return chain.append(session, Operation(**said))


def lose_head(session: Session, to: AILink | None = None) -> None:
    """Harm the chain as no code of ours does."""
    Chain.objects.filter(session=session).update(head=to)


def patiently() -> None:
    """Let this thread wait for its turn on a slow machine, too, where many wait for one row."""
    sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 90000" if sqlite else "SET statement_timeout = 90000")
