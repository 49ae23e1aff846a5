"""The writers' room: what its pages show, what their controls do, and how they follow the frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from sessions_app import events
from sessions_app.models import Session
from stories.drafting import drafts, messages, versions
from stories.models import Draft, DraftMessage, DraftVersion

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer
    return str(answer.content.decode())


@pytest.fixture
def draft(session: Session) -> Draft:
    """A draft in the middle of its way, without anybody who works on it."""
    with transaction.atomic():
        made = Draft.objects.create(
            session=session, author=session.owner, keywords=["tides", "ferries"], words=300,
            active_at=timezone.now(),
        )  # fmt: skip
        drafts.changed(made)
    return made


def say(draft: Draft, role: str, kind: str, words: str = "So it is.", **payload: Any) -> None:
    last = DraftMessage.objects.filter(draft=draft).order_by("-turn").first()
    with transaction.atomic():
        made = DraftMessage.objects.create(
            session=draft.session, draft=draft, turn=draft.turns + 1, role=role, kind=kind,
            after=last.role if last else "", text=words, payload=payload,
        )  # fmt: skip
        Draft.objects.filter(pk=draft.pk).update(turns=made.turn)
        draft.refresh_from_db()
        events.record(draft.session, messages.ADDED, {"message": messages.payload(made)})
        drafts.changed(draft)


def write(draft: Draft, said: str, title: str = "Tides turn", author: str = "writer") -> None:
    with transaction.atomic():
        made = DraftVersion.objects.create(
            session=draft.session, draft=draft, number=draft.version + 1, author=author,
            reason="The first text.", title=title, text=said, word_count=len(said.split()),
        )  # fmt: skip
        Draft.objects.filter(pk=draft.pk).update(version=made.number, title=title)
        draft.refresh_from_db()
        events.record(draft.session, versions.ADDED, {"version": versions.payload(made)})
        drafts.changed(draft)


def page_of(draft: Draft, query: str = "") -> str:
    return f"/drafting/{draft.session_id}/{draft.pk}/{query}"


def test_without_drafts_the_page_says_how_to_start_one(browser: Client, session: Session) -> None:
    page = text(browser.get(f"/drafting/?session={session.pk}"))
    assert "No draft has been started" in page
    assert 'value="400"' in page


def test_keywords_in_the_address_begin_a_draft(browser: Client, session: Session) -> None:
    page = text(browser.get(f"/drafting/?session={session.pk}&keywords=tidal+power"))
    assert 'value="tidal power"' in page


def test_the_list_shows_how_a_draft_stands(browser: Client, draft: Draft) -> None:
    page = text(browser.get(f"/drafting/?session={draft.session_id}"))
    row = page[page.index('id="draft-row-') :].partition("</li>")[0]
    for word in ("tides, ferries", "At work", "0%", "300 words wanted", "0 versions", "$0.0000"):
        assert word in row


def test_the_page_shows_the_conversation_and_the_text(browser: Client, draft: Draft) -> None:
    say(draft, "researcher", "research", "The ferry is late <b>.")
    say(draft, "writer", "text")
    write(draft, "The ferry was late on Monday.")
    page = text(browser.get(page_of(draft)))
    assert "hands over what was found" in page
    assert "The ferry is late &lt;b&gt;." in page
    assert "The ferry was late on Monday." in page
    assert "<strong>Version 1</strong>" in page


def test_two_versions_are_compared(browser: Client, draft: Draft) -> None:
    write(draft, "The ferry was late.")
    write(draft, "The tram was late.")
    page = text(browser.get(page_of(draft, "?version=2&against=1")))
    assert "<del>ferry</del>" in page
    assert "<ins>tram</ins>" in page
    assert "Version 2 against 1" in page


def test_an_earlier_version_is_read(browser: Client, draft: Draft) -> None:
    write(draft, "The ferry was late.")
    write(draft, "The tram was late.")
    page = text(browser.get(page_of(draft, "?version=1")))
    assert "The ferry was late." in page
    assert "The tram was late." not in page


@pytest.mark.parametrize("query", ["?version=9", "?version=1&against=9"])
def test_a_version_that_is_not_there_is_not_found(
    browser: Client, draft: Draft, query: str
) -> None:
    write(draft, "The ferry was late.")
    assert browser.get(page_of(draft, query)).status_code == 404


@pytest.mark.parametrize(
    ("state", "said"),
    [("waiting", "Nothing is lost"), ("failed", "again"), ("expired", "Recover")],
)
def test_a_draft_that_rests_says_what_to_do(
    browser: Client, draft: Draft, state: str, said: str
) -> None:
    Draft.objects.filter(pk=draft.pk).update(state=state, note="The budget is spent.")
    page = text(browser.get(page_of(draft)))
    assert said in page
    assert "The budget is spent." in page
    assert 'value="resume"' in page
