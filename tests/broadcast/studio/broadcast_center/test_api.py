"""The desk by API: the same commands, the same refusals as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from sessions_app import api_tokens
from sessions_app.models import Session
from stories.models import Source, SourcePost, Story
from stories.posts import queue
from tests.conftest import make_post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiting(source: Source) -> list[SourcePost]:
    for at, line in enumerate(("Tide turbine runs", "Ferry stops today", "Council votes now")):
        make_post(source, f"a{at}", line)
    return list(queue.waiting(source.session))


def send(session: Session, path: str, body: dict[str, Any] | None = None) -> Any:
    token = api_tokens.make(session.owner, "desk")
    return Client().post(
        f"/api/sessions/{session.pk}/{path}",
        json.dumps(body or {}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )


def test_a_post_is_pinned_and_moved(waiting: list[SourcePost], session: Session) -> None:
    assert send(session, f"posts/{waiting[2].pk}/pin").json()["pinned"] is True
    answer = send(session, f"posts/{waiting[0].pk}/move", {"after": waiting[1].pk})
    assert answer.status_code == 200
    order = [post.pk for post in queue.waiting(session)]
    assert order == [waiting[2].pk, waiting[1].pk, waiting[0].pk]


def test_two_neighbours_at_once_are_refused(waiting: list[SourcePost], session: Session) -> None:
    answer = send(session, f"posts/{waiting[0].pk}/move", {"after": 1, "before": 2})
    assert answer.status_code == 422
    assert "one neighbour" in answer.json()["detail"]


def test_a_post_that_was_told_answers_with_its_state(
    waiting: list[SourcePost], session: Session
) -> None:
    SourcePost.objects.filter(pk=waiting[0].pk).update(state="told")
    answer = send(session, f"posts/{waiting[0].pk}/hold")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_break_in_and_its_correction(session: Session) -> None:
    made = send(session, "stories", {"title": "Now", "text": "The bridge is shut."})
    assert made.status_code == 201
    path = f"stories/{made.json()['id']}"
    body = {"title": "Now", "text": "The old bridge is shut.", "reason": "Which bridge."}
    assert send(session, f"{path}/correction", body).json()["version"] == 2
    assert send(session, f"{path}/bookmark").json()["bookmarked"] is True
    assert send(session, f"{path}/unbookmark").json()["bookmarked"] is False
    assert send(session, f"{path}/kill").json()["state"] == "killed"
    assert Story.objects.get().state == "killed"
