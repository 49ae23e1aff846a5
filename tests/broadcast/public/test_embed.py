"""The player for pages of other sites: only where the session allows it, and with its label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from sessions_app import commands, sessions
from sessions_app.models import Session
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shown(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    session = make_session("Harbour news", model="extractive", pace=180, language="pt_BR")
    go_live(session)
    run_due_steps(session, most=3)
    return sessions.show(session, True)


def embedded(session: Session) -> Any:
    return Client().get(f"/watch/{session.watch_token}/embed/")


def test_without_permission_there_is_no_player(shown: Session) -> None:
    answer = embedded(shown)
    assert answer.status_code == 404
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"


def test_with_permission_any_site_may_frame_the_player_and_nothing_else(shown: Session) -> None:
    commands.run("session.change", shown.owner, shown, {"settings": {"embedding": "anywhere"}})
    answer = embedded(shown)
    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    assert "frame-ancestors *;" in f"{policy};"
    assert "script-src 'self'" in policy
    assert "X-Frame-Options" not in answer
    assert not answer.cookies
    for part in ("", "overlay/"):
        other = Client().get(f"/watch/{shown.watch_token}/{part}")
        assert "frame-ancestors 'none'" in other["Content-Security-Policy"]
        assert other["X-Frame-Options"] == "DENY"


def test_the_player_shows_the_story_on_air_and_how_it_was_made(shown: Session) -> None:
    page = embedded(sessions.change(shown, embedding="anywhere")).content.decode()
    assert '<h1 dir="auto">Harbour news</h1>' in page
    assert '<div id="onair" lang="pt-BR">' in page
    assert 'class="current-story"' in page
    assert 'data-story="' in page
    assert '<p class="ai-label" lang="en">Verbatim from the source' in page
    assert "Written and read by software, from the sources it names." in page
    assert f'data-live="/ws/watch/{shown.watch_token}/"' in page
    assert f'href="/watch/{shown.watch_token}/" target="_blank"' in page


def test_a_revoked_link_closes_the_player(shown: Session) -> None:
    shown = sessions.change(shown, embedding="anywhere")
    token = shown.watch_token
    sessions.show(shown, False)
    assert Client().get(f"/watch/{token}/embed/").status_code == 404
