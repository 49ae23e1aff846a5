"""The budget under many schedules of calls, of which ``make test`` tries a few."""

from __future__ import annotations

from random import Random

import pytest

from sessions_app.models import Session
from tests.stories.usage.test_reservations import try_schedule


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(1000))
@pytest.mark.long
def test_no_schedule_of_calls_passes_the_budget(session: Session, seed: int) -> None:
    try_schedule(session, Random(seed))
