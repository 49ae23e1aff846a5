"""The overlay: nothing but the words, in the look the address asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from broadcast.public import views as public_views
from broadcast.public.views import OPTIONS
from sessions_app import sessions
from sessions_app.models import Session
from stories.models import Story
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
@made_once
def live(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    session = make_session("Harbour news", model="extractive", pace=180)
    sessions.show(session, True)
    go_live(session)
    run_due_steps(session, most=3)
    return Session.objects.get(pk=session.pk)


def overlay(session: Session, query: str = "") -> str:
    answer = Client().get(f"/watch/{session.watch_token}/overlay/{query}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_what_is_on_air_stands_in_the_lower_third(live: Session) -> None:
    story = Story.objects.get(state="airing")
    page = overlay(live)
    assert 'class="lower-title"' in page
    assert f'<li id="ticker-{story.pk}" dir="auto">' in page


def test_off_air_the_lower_third_is_empty(session: Session) -> None:
    sessions.show(session, True)
    assert 'class="lower"' not in overlay(session)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_takes_each_of_its_values(live: Session, option: public_views.Option) -> None:
    for value in option.values:
        assert f'data-{option.name}="{value}"' in overlay(live, f"?{option.name}={value}")


@pytest.mark.parametrize("query", ["?theme=pink", "?theme=%22%3E%3Cscript%3E", "?size=", "?x=1"])
def test_what_is_not_understood_keeps_the_default(live: Session, query: str) -> None:
    page = overlay(live, query)
    assert 'data-theme="dark"' in page
    assert "<script>" not in page


def test_the_overlay_carries_no_inline_style_and_no_shell(live: Session) -> None:
    page = overlay(live)
    assert "style=" not in page
    assert "base.css" not in page
