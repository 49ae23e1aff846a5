"""The public page: reached by its token alone, and silent about everything private."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from broadcast import queries, session_commands
from sessions_app import sessions
from sessions_app.models import Session
from stories.models import Story
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

SECRETS = {"model": "a-secret-model", "instructions": "a-secret-instruction"}


@pytest.fixture
@made_once
def shown(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """A visible session on air with stories that have been told."""
    session = make_session("Harbour news", **SECRETS)
    go_live(session)
    run_due_steps(session, most=8)
    Story.objects.update(note="a-secret-note")
    return sessions.show(session, True)


def visit(session: Session, part: str = "") -> Any:
    return Client().get(f"/watch/{session.watch_token}/{part}")


def test_anybody_with_the_address_sees_what_was_told(shown: Session) -> None:
    answer = visit(shown)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "Harbour news" in text
    assert all(title[:20] in text for title in Story.objects.values_list("title", flat=True)[:1])


def test_the_bytes_hold_nothing_private(shown: Session) -> None:
    text = visit(shown).content.decode()
    private = [
        *SECRETS.values(), "a-secret-note", shown.owner.username, str(shown.pk), "_tokens", "USD", "cost",
        "csrfmiddlewaretoken", "budget", "extractive",
    ]  # fmt: skip
    assert [word for word in private if word.lower() in text.lower()] == []


def test_what_the_page_is_made_of_is_a_short_list(shown: Session) -> None:
    page = queries.watch_page(shown)
    assert set(page) == {"session", "last_seq", "air", "onair", "next", "stories", "older", "part"}
    assert set(page["session"]) == {"name", "language"}
    assert set(page["air"]) == {"state", "live_at"}
    post = page["stories"][0]["post"]
    assert post is not None
    assert set(post) == {"source", "title", "url"}


@pytest.mark.parametrize(
    ("language", "named"), [("pt_BR", ' lang="pt-BR"'), ("Klingon", ""), ("de", ' lang="de"')]
)
def test_what_is_told_is_marked_with_its_language(
    shown: Session, language: str, named: str
) -> None:
    shown = sessions.change(shown, language=language)
    assert f'<div id="onair"{named}>' in visit(shown).content.decode()
    assert f'<div id="lower-third"{named}>' in visit(shown, part="overlay/").content.decode()


def test_the_page_needs_no_cookie_and_sets_none(shown: Session) -> None:
    assert not visit(shown).cookies


def test_the_page_is_not_to_be_indexed_framed_or_told_on(shown: Session) -> None:
    answer = visit(shown)
    assert answer["X-Robots-Tag"] == "noindex"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_a_story_that_was_not_aired_is_not_shown(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=2)
    sessions.show(session, True)
    assert Story.objects.get().title not in visit(session).content.decode()


def test_a_hidden_session_and_a_wrong_token_look_the_same(session: Session) -> None:
    hidden = visit(session)
    wrong = Client().get("/watch/no-such-token/")
    assert hidden.status_code == wrong.status_code == 404
    assert session.name not in hidden.content.decode()


def test_an_address_that_was_revoked_is_gone_at_once(shown: Session) -> None:
    old = f"/watch/{shown.watch_token}/"
    sessions.show(shown, False)
    assert Client().get(old).status_code == 404


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_page_can_only_be_read(shown: Session, method: str) -> None:
    answer = getattr(Client(), method)(f"/watch/{shown.watch_token}/")
    assert answer.status_code == 405


def test_the_public_address_is_nobodys_guess(session: Session) -> None:
    assert session_commands.watch_url(session) is None
    session.visible = True
    assert str(session.pk) not in str(session_commands.watch_url(session))
