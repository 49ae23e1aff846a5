"""The AI chain in the API: how it stands, and every transition, archived or not."""

from __future__ import annotations

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
from sessions_app.models import AITransition, Archive, Session
from tests.chain_links import join, lose_head

pytestmark = pytest.mark.django_db

Get = Callable[..., Any]


@pytest.fixture
def get(owner: User, session: Session) -> Get:
    client = Client(headers={"Authorization": f"Bearer {api_tokens.make(owner)}"})

    def call(what: str, status: int = 200, **query: Any) -> Any:
        answer = client.get(f"/api/sessions/{session.pk}/{what}", query)
        assert answer.status_code == status
        return answer.json()

    return call


def grow_old(session: Session, most: int, days: int = 31) -> None:
    """Let the first ``most`` transitions be old enough for the archive."""
    first = AITransition.objects.filter(session=session).order_by("id").values("pk")[:most]
    chosen = AITransition.objects.filter(pk__in=list(first.values_list("pk", flat=True)))
    chosen.update(created_at=timezone.now() - timedelta(days=days))


def archive() -> int:
    return status.archive(preferences.workspace(), timezone.now())


def all_pages(get: Get, limit: int) -> list[dict[str, Any]]:
    found, cursor = [], ""
    while True:
        page = get("transitions", limit=limit, cursor=cursor)
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = page["next"]


def test_a_transition_names_old_and_new_source_run_and_time(get: Get, session: Session) -> None:
    join(session, provider_id="msg_1")
    join(session, "chat", provider_id="msg_2")
    second, first = get("transitions")["items"]
    assert set(first) == {"id", "old", "new", "source", "run", "at"}
    assert (first["old"], first["new"], first["source"]) == (None, "msg_1", "narration")
    assert (second["old"], second["new"], second["source"]) == ("msg_1", "msg_2", "chat")
    assert second["run"] is None
    assert second["at"].endswith("Z")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 500])
def test_archived_transitions_follow_those_that_live(
    get: Get, session: Session, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    for _ in range(7):
        join(session)
    grow_old(session, 5)
    before = all_pages(get, 500)
    monkeypatch.setattr(retention, "CHUNK", 2)
    assert [archive() for _ in range(4)] == [2, 2, 1, 0]
    assert AITransition.objects.count() == 2
    assert all_pages(get, limit) == before
    assert [row["id"] for row in before] == sorted((row["id"] for row in before), reverse=True)


def test_a_cursor_may_point_into_an_archive(get: Get, session: Session) -> None:
    for _ in range(4):
        join(session)
    ids = [row["id"] for row in all_pages(get, 500)]
    grow_old(session, 4)
    archive()
    assert [row["id"] for row in get("transitions", cursor=ids[1])["items"]] == ids[2:]
    assert get("transitions", cursor=ids[-1]) == {"items": [], "next": None}


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 19])
def test_a_cursor_that_we_never_gave_is_refused(get: Get, cursor: str) -> None:
    assert get("transitions", 422, cursor=cursor)["code"] == "invalid"


def test_how_the_chain_stands(get: Get, session: Session) -> None:
    assert get("chain")["state"] == "EMPTY"
    first = join(session, provider_id="msg_1")
    join(session, "compaction", provider_id="msg_2", summary="All.", context_head=first)
    found = get("chain")
    assert (found["state"], found["rate"], found["links"]) == ("SYNCED", 100.0, 2)
    assert found["head"] == found["base"]
    assert (found["head"]["id"], found["head"]["context"]) == ("msg_2", 1)
    lose_head(session)
    assert get("chain")["state"] == "OUT_OF_SYNC"
    assert get("chain")["problems"] == ["the head is not the latest link"]


def test_only_old_transitions_are_archived(session: Session) -> None:
    for _ in range(3):
        join(session)
    assert archive() == 0
    grow_old(session, 2)
    assert archive() == 2
    pack = Archive.objects.get()
    assert (pack.session, pack.count, pack.joined) == (session, 2, 2)
    assert AITransition.objects.get().new.number == 3


def test_the_days_of_the_workspace_are_used(editor: User, session: Session) -> None:
    join(session)
    grow_old(session, 1, days=6)
    assert archive() == 0
    preferences.choose_retention(editor, {"keep_transitions_days": 5})
    assert archive() == 1


def test_an_archive_has_no_hole_where_a_clock_was_wrong(session: Session) -> None:
    for _ in range(3):
        join(session)
    grow_old(session, 3)
    second = AITransition.objects.order_by("id")[1]
    AITransition.objects.filter(pk=second.pk).update(created_at=timezone.now())
    assert archive() == 1
    assert archive() == 0
    assert AITransition.objects.order_by("id").first() == second


@pytest.mark.databases
def test_a_chain_whose_transitions_are_archived_is_still_in_order(
    get: Get, session: Session
) -> None:
    join(session)
    lose_head(session)
    for _ in range(3):
        join(session)
    grow_old(session, 3)
    archive()
    assert get("chain")["state"] == "SYNCED"
    AITransition.objects.order_by("id").first().delete()  # type: ignore[union-attr]
    assert get("chain")["problems"] == ["1 link is without a transition"]
