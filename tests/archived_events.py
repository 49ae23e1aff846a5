"""Makes events old, archives them, and damages archives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import F
from django.utils import timezone

from sessions_app.events import archive as events_archive
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.models import (
    Archive,
    Bucket,
    IdempotencyKey,
    Session,
    SessionEvent,
    Workspace,
)
from stories.models import TrendBucket

# Rows that retention deletes: fine figures and answers to repeated requests. It also deletes the
# files of single sounds, but never their rows.
FLEETING = {Bucket, TrendBucket, IdempotencyKey}
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
OURS = ("sessions_app", "stories", "broadcast", "auth")


def tables() -> Iterator[type[models.Model]]:
    for model in apps.get_models():
        if model._meta.app_label in OURS and model not in FLEETING:
            yield model


def let_time_pass(days: int) -> None:
    """Moves all times of all tables into the past."""
    for model in tables():
        fields = [f for f in model._meta.concrete_fields if isinstance(f, models.DateTimeField)]
        back: dict[str, Any] = {f.name: F(f.name) - timedelta(days=days) for f in fields}
        if back:
            model._base_manager.update(**back)
        for field in model._meta.concrete_fields:
            if isinstance(field, models.JSONField):
                # It has times of the rows, too.
                for key, value in model._base_manager.values_list("pk", field.name):
                    text = TIME.sub(lambda found: _earlier(found[0], days), json.dumps(value))
                    if (past := json.loads(text)) != value:
                        model._base_manager.filter(pk=key).update(**{field.name: past})


def _earlier(at: str, days: int) -> str:
    return recorder.timestamp(datetime.fromisoformat(at) - timedelta(days=days))


def fill(session: Session, many: int) -> None:
    """Adds system messages until the session has this many events."""
    while SessionEvent.objects.filter(session=session).count() < many:
        recorder.add_message(session, "system", "x\u2028y\nz")


def grow_old(session: Session, last: int, days: float = 91) -> None:
    """Makes the events up to the seq ``last`` this old."""
    rows = SessionEvent.objects.filter(session=session, seq__lte=last)
    rows.update(at=timezone.now() - timedelta(days=days))


def archive(now: datetime | None = None) -> int:
    """What the sweeper does in one round."""
    return events_archive.archive_events(Workspace(), now or timezone.now())


def archive_all() -> None:
    while archive():
        pass


def spoil(session: Session, first: int) -> Archive:
    """Change one byte in the file of the archive that begins there."""
    found = Archive.objects.select_related("artifact").get(session=session, first=first)
    assert found.artifact is not None
    path = storage.full_path(found.artifact.path)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return found
