"""Drafts that nobody touched for long expire; by its id each can be resumed."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from sessions_app import sparing, sweeper, workspace
from stories.drafting import drafts
from stories.models import Draft

log = structlog.get_logger(__name__)

IDLE = "idle"
CHUNK = 50


def expire(_up: float) -> None:
    """A round of the sweeper: only open drafts expire, so a finished text is never touched."""
    minutes = workspace.current().draft_idle_minutes
    for draft in _idle(minutes).select_related("session")[:CHUNK]:
        with sweeper.inside(draft.session), transaction.atomic():
            note = f"Nothing happened for {minutes} minutes. Press Resume to go on from here."
            mine = _idle(minutes).filter(pk=draft.pk)
            if mine.update(state=Draft.State.EXPIRED, note=note, note_code=IDLE):
                drafts.changed(drafts.find(draft.session, draft.pk))
                log.info("draft_expired", draft=draft.pk)


def _idle(minutes: int) -> QuerySet[Draft]:
    idle = Draft.objects.filter(drafts.OPEN, active_at__lt=Now() - timedelta(minutes=minutes))
    return sparing.others(idle)


def register() -> None:
    sweeper.register(expire)
