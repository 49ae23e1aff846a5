"""The transitions of AI chains: listed, and archived when they are old."""

from __future__ import annotations

import json
import zlib
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from sessions_app import events, retention
from sessions_app.models import AITransition, Session, TransitionArchive, Workspace


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
    packs = TransitionArchive.objects.filter(session=session).order_by("-last")
    if before is not None:
        packs = packs.filter(first__lt=before)
    found: list[dict[str, Any]] = []
    for pack in packs.iterator(chunk_size=10):
        lines = zlib.decompress(bytes(pack.packed)).decode().splitlines()
        items = [json.loads(line) for line in reversed(lines)]
        found += [each for each in items if before is None or each["id"] < before]
        if len(found) >= most:
            break
    return found[:most]


def archive(shared: Workspace, now: datetime) -> int:
    """A rule of retention: pack the old transitions of one session; returns how many."""
    old = AITransition.objects.filter(
        created_at__lt=now - timedelta(days=shared.keep_transitions_days)
    )
    first = old.order_by("created_at").values_list("session_id", flat=True).first()
    if first is None:
        return 0
    with transaction.atomic():
        chosen = old.filter(session_id=first).select_related("old", "new").order_by("id")
        rows = list(chosen.select_for_update(of=("self",))[: retention.CHUNK])
        if not rows:
            return 0
        lines = "\n".join(json.dumps(payload(row)) for row in rows)
        TransitionArchive.objects.create(
            session_id=first, first=rows[0].pk, last=rows[-1].pk, count=len(rows),
            joined=sum(row.source != AITransition.RECOVERY for row in rows),
            packed=zlib.compress(lines.encode(), 9),
        )  # fmt: skip
        AITransition.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def register() -> None:
    retention.register(archive)
