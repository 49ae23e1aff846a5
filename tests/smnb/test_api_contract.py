"""Generated calls of the API: what it answers is what its document declares, for everybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions_app.models import Session
from tests.smnb.api_contract import call_and_compare

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(harbour_news: Session, settings: Any) -> Session:
    free = {"limit_reads": 0, "limit_writes": 0, "limit_go_live": 0}
    settings.SMNB = settings.SMNB.model_copy(update=free)
    return harbour_news


def test_the_owner_gets_what_is_declared(session: Session) -> None:
    call_and_compare(session.owner, session, 120)


def test_a_stranger_gets_what_is_declared_and_nothing_of_the_session(
    session: Session, stranger: User
) -> None:
    call_and_compare(stranger, session, 60)


def test_without_a_token_nothing_is_answered(session: Session) -> None:
    call_and_compare(None, session, 60)
