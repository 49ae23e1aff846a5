"""Exports: each format as the program that opens it reads it."""

from __future__ import annotations

import json

import pytest

from broadcast.transfer import formats
from sessions_app.models import Session, SessionEvent
from stories.models import Story, TokenUsage
from tests.broadcast.told import with_a_past

pytestmark = pytest.mark.django_db


def exported(session: Session, format_: str, run: int | None = None) -> bytes:
    return b"".join(formats.stream(session, formats.get(format_), run))


def test_json_holds_every_row(session: Session) -> None:
    found = json.loads(exported(with_a_past(session), "json"))
    assert [each["id"] for each in found["stories"]] == sorted(
        Story.objects.filter(session=session).values_list("pk", flat=True)
    )
    assert len(found["usage"]) == TokenUsage.objects.filter(session=session).count() > 0
    assert len(found["events"]) == SessionEvent.objects.filter(session=session).count()
    assert [name for name in found if not found[name]] == []
