"""How many statements a story costs, from the claim of its step to the end of its airing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from broadcast import orchestrator
from sessions_app.background import steps
from sessions_app.models import Session, Step
from stories.models import Source, Story
from tests.conftest import MakeSession, make_post, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

ENDS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def statements(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as queries:
        work()
    return sum(not each["sql"].startswith(ENDS) for each in queries.captured_queries)


def test_a_story_costs_a_bounded_number_of_statements(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive")
    go_live(session)
    source = Source.objects.get(session=session)
    for number, title in enumerate(("A mill turns", "Bees swarm in Keld", "The ferry waits")):
        make_post(source, f"p{number}", title)
    run_due_steps(session, orchestrator.POLL, most=1)
    narrate = Step.objects.get(session=session, kind=orchestrator.NARRATE)
    # The first one makes the chain of the session.
    steps.run(narrate.pk)
    run_due_steps(session, orchestrator.FINISH_AIRING)
    Step.objects.filter(pk=narrate.pk).update(due_at=steps.now())
    narrated = statements(lambda: steps.run(narrate.pk))
    [airing] = Step.objects.filter(
        session=session, kind=orchestrator.FINISH_AIRING, state=Step.State.PENDING
    )
    finished = statements(lambda: steps.run(airing.pk))
    assert Story.objects.filter(session=session, state="aired").count() == 2
    # Each statement more is one more for every story of every live session. PostgreSQL is asked for
    # its clock, and to lock the run before the chain. The control mode costs none: the query that
    # chooses a story compares it.
    on_sqlite = connection.vendor == "sqlite"
    assert narrated <= (39 if on_sqlite else 43)
    assert finished <= (14 if on_sqlite else 17)
