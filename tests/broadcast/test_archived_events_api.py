"""What is archived stays in the API, and a damaged archive is one line of it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from sessions_app import api_tokens, preferences
from sessions_app.ai_chain import status
from sessions_app.background import retention
from sessions_app.events import archive
from sessions_app.files import storage
from sessions_app.models import AITransition, Archive, Session
from tests.archived_events import archive_all, fill, grow_old, spoil
from tests.chain_links import join

pytestmark = pytest.mark.django_db

Items = list[dict[str, Any]]
All = Callable[..., Items]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 4)
    monkeypatch.setattr(archive, "NEWEST", 3)


@pytest.fixture
def all_of(owner: User, session: Session) -> All:
    """All pages of a list, one after the other."""
    client = Client(headers={"Authorization": f"Bearer {api_tokens.make(owner)}"})

    def read(what: str, limit: int = 500) -> Items:
        found: Items = []
        cursor: str | None = ""
        while cursor is not None:
            query: dict[str, str | int] = {"limit": limit, "cursor": cursor}
            page = client.get(f"/api/sessions/{session.pk}/{what}", query).json()
            assert len(page["items"]) <= limit
            found += page["items"]
            cursor = page["next"]
        return found

    return read


@pytest.fixture
def archived(session: Session) -> Session:
    """Thirteen events, of which the first two fours are archived."""
    fill(session, 12)
    grow_old(session, 8)
    archive_all()
    return session


def old_transitions(session: Session) -> list[AITransition]:
    for _ in range(3):
        join(session)
    rows = AITransition.objects.filter(session=session)
    rows.update(created_at=timezone.now() - timedelta(days=31))
    return list(rows.order_by("id"))


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 500])
def test_archived_events_follow_those_that_live(session: Session, all_of: All, limit: int) -> None:
    fill(session, 12)
    grow_old(session, 8)
    before = all_of("events")
    archive_all()
    assert Archive.objects.count() == 2
    assert all_of("events", limit)[2:] == before


@pytest.mark.parametrize("limit", [1, 2, 4, 500])
def test_a_damaged_archive_is_one_line_of_the_list(
    archived: Session, all_of: All, limit: int
) -> None:
    spoil(archived, 5)
    found = all_of("events", limit)
    assert [each["seq"] for each in found] == [14, 13, 12, 11, 10, 9, 5, 4, 3, 2, 1]
    damage = found[6]
    assert (damage["type"], damage["data"]["last"]) == ("archive.damaged", 8)
    assert "which is damaged or gone. Restore it from a backup." in damage["data"]["sentence"]


def test_transitions_go_to_a_file_too(session: Session, all_of: All) -> None:
    old_transitions(session)
    before = all_of("transitions")
    assert status.archive(preferences.workspace(), timezone.now()) == 3
    archive_row = Archive.objects.select_related("artifact").get()
    assert archive_row.artifact is not None
    assert archive_row.packed is None
    assert storage.full_path(archive_row.artifact.path).is_file()
    assert all_of("transitions", 2) == before


@pytest.mark.databases
def test_transitions_that_were_packed_into_their_row_can_be_read(
    session: Session, all_of: All
) -> None:
    rows = old_transitions(session)
    before = all_of("transitions")
    text = "\n".join(json.dumps(status.transition_payload(row)) for row in rows)
    Archive.objects.create(
        session=session,
        first=rows[0].pk,
        last=rows[-1].pk,
        count=3,
        joined=3,
        packed=zlib.compress(text.encode(), 9),
    )
    AITransition.objects.all().delete()
    assert all_of("transitions", 2) == before


def test_damaged_transitions_say_so(session: Session, all_of: All) -> None:
    first = old_transitions(session)[0]
    status.archive(preferences.workspace(), timezone.now())
    spoil(session, first.pk)
    join(session)
    newest, damage = all_of("transitions", 1)
    assert newest["source"] == "narration"
    assert (damage["id"], damage["source"]) == (first.pk, "archive.damaged")
    assert "damaged or gone" in damage["sentence"]
