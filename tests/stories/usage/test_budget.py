"""The budget: one warning at 80 %, and upper bounds count as spent."""

from __future__ import annotations

import pytest
from django.db import transaction

from sessions_app import sessions
from sessions_app.models import Message, Session
from sessions_app.money import PICO
from sessions_app.sessions import used_percent
from sessions_app.templatetags.newsroom import percent_of
from stories.usage.budget import WARNING, warn_if_crossed

pytestmark = pytest.mark.django_db(transaction=True)


def spend(session: Session, before: float, after: float) -> None:
    with transaction.atomic():
        warn_if_crossed(session, round(before * PICO), round(after * PICO))


def warnings() -> list[str]:
    return list(Message.objects.filter(code=WARNING, role="system").values_list("text", flat=True))


@pytest.fixture
def dollar(session: Session) -> Session:
    """A session that may spend one dollar."""
    return sessions.change(session, budget=PICO)


def test_the_owner_is_warned_when_four_fifths_are_spent(dollar: Session) -> None:
    spend(dollar, 0.7, 0.799)
    assert warnings() == []
    spend(dollar, 0.799, 0.8)
    (warning,) = warnings()
    assert warning.startswith("80 % of the budget is used: $0.8000 of $1.0000.")


def test_the_warning_comes_once_a_crossing(dollar: Session) -> None:
    spend(dollar, 0.7, 0.85)
    spend(dollar, 0.85, 0.95)
    spend(dollar, 0.95, 1.2)
    assert len(warnings()) == 1
    raised = sessions.change(dollar, budget=2 * PICO)
    spend(raised, 1.2, 1.7)
    assert len(warnings()) == 2


def test_one_booking_may_cross_everything(dollar: Session) -> None:
    spend(dollar, 0, 3)
    assert len(warnings()) == 1


def test_without_a_budget_nobody_is_warned(session: Session) -> None:
    spend(session, 0, 1000)
    assert warnings() == []


@pytest.mark.parametrize(
    ("spent", "budget", "percent"), [(0, 5, 0), (799, 1000, 79), (800, 1000, 80), (7, 5, 140)]
)
def test_per_cent_are_rounded_down(spent: int, budget: int, percent: int) -> None:
    assert used_percent(spent, budget) == percent_of(spent, budget) == percent


def test_a_budget_of_nothing_is_spent() -> None:
    assert used_percent(0, 0) == 100
