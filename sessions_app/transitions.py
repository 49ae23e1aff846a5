"""The transitions of AI chains: listed, and archived when they are old."""

from __future__ import annotations

import json
import zlib
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from sessions_app import events, retention
from sessions_app.models import AITransition, Archive, Session, Workspace


def of_session(session: Session) -> QuerySet[AITransition]:
    """Those not archived yet, newest first."""
    rows = AITransition.objects.filter(session=session).select_related("old", "new")
    return rows.order_by("-id")


def payload(transition: AITransition) -> dict[str, Any]:
    """A transition as the API shows it: ``old`` and ``new`` are ids of providers."""
    return {
        "id": transition.pk,
        "old": transition.old.provider_id if transition.old else None,
        "new": transition.new.provider_id,
        "source": transition.source,
        "run": transition.run_number,
        "at": events.stamp(transition.created_at),
    }


def archived(session: Session, before: int | None, most: int) -> list[dict[str, Any]]:
    """Archived transitions older than the id ``before``, newest first."""
    packs = Archive.objects.filter(session=session).order_by("-last")
    if before is not None:
        packs = packs.filter(first__lt=before)
    found: list[dict[str, Any]] = []
    for pack in packs.iterator(chunk_size=10):
        lines = zlib.decompress(bytes(pack.packed or b"")).decode().splitlines()
        items = [json.loads(line) for line in reversed(lines)]
        found += [each for each in items if before is None or each["id"] < before]
        if len(found) >= most:
            break
    return found[:most]


def listed(session: Session, before: int | None, most: int) -> list[dict[str, Any]]:
    """Transitions older than the id ``before``, newest first: those that live, then archived ones.

    What is archived between the two queries is found by the second one.
    """
    rows = of_session(session)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = [payload(row) for row in rows[:most]]
    if len(found) < most:
        oldest = found[-1]["id"] if found else before
        found += archived(session, oldest, most - len(found))
    return found


def archive(shared: Workspace, now: datetime) -> int:
    """A rule of retention: pack the old transitions of one session; returns how many."""
    until = now - timedelta(days=shared.keep_transitions_days)
    old = AITransition.objects.filter(created_at__lt=until).order_by("created_at")
    first = old.values_list("session_id", flat=True).first()
    if first is None:
        return 0
    with transaction.atomic():
        rows = _oldest(first, until)
        if not rows:
            return 0
        lines = "\n".join(json.dumps(payload(row)) for row in rows)
        Archive.objects.create(
            session_id=first, first=rows[0].pk, last=rows[-1].pk, count=len(rows),
            joined=sum(row.source != AITransition.RECOVERY for row in rows),
            packed=zlib.compress(lines.encode(), 9),
        )  # fmt: skip
        AITransition.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _oldest(session_id: UUID, until: datetime) -> list[AITransition]:
    """The first transitions of a session, as far as they are old: an archive has no holes, so that
    archives hold those of the first links and come in their order.
    """
    rows = AITransition.objects.filter(session=session_id).select_related("old", "new")
    chosen = rows.order_by("id").select_for_update(of=("self",))[: retention.CHUNK]
    return list(takewhile(lambda row: row.created_at < until, chosen))


def register() -> None:
    retention.register(archive)
