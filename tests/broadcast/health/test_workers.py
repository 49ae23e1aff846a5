"""The desk says how host and producer are, and what went wrong last with what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from broadcast import orchestrator
from broadcast.health import workers
from broadcast.health.workers import Health, Trouble, Worker
from broadcast.host import claims
from broadcast.models import Broadcast
from sessions_app import commands, sessions
from sessions_app.background import steps
from sessions_app.models import Session, Step
from stories.models import Source
from stories.posts import queue
from tests.chain_links import lose_head
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(minutes=5)


@pytest.fixture
@made_once
def live(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """On air at the pace of speech; the first story is on air."""
    session = make_session(model="extractive", pace=180)
    go_live(session)
    run_due_steps(session, most=3)
    return session


def read(session: Session) -> Health:
    session.refresh_from_db()
    return workers.read(session)


def host(session: Session) -> Worker:
    return read(session).workers[0]


def producer(session: Session) -> Worker:
    return read(session).workers[1]


def only(session: Session) -> Trouble:
    [trouble] = read(session).troubles
    return trouble


def labels(worker: Worker) -> list[str]:
    return [moment.label for moment in worker.moments]


def make_late(session: Session, kind: str) -> None:
    due = steps.now() - LONG_AGO
    Step.objects.filter(session=session, kind=kind, state="pending").update(due_at=due)


def test_off_air_both_rest_and_nothing_is_wrong(session: Session) -> None:
    found = read(session)
    assert [worker.state for worker in found.workers] == ["stopped", "stopped", "ok"]
    assert "Off air" in found.workers[0].sentence
    assert found.troubles == []


def test_a_host_that_waits_says_when_its_next_turn_is(live: Session) -> None:
    turn = Step.objects.filter(session=live, kind="narrate")
    turn.update(due_at=steps.now() + timedelta(seconds=40))
    found = host(live)
    assert (found.state, found.sentence) == ("ok", "Waits for its next round.")
    assert labels(found) == ["Last story", "Next round"]
    assert found.figure == "1 story"


def test_a_host_that_writes_says_what_and_since_when(live: Session) -> None:
    step = Step.objects.get(session=live, kind="narrate")
    Step.objects.filter(pk=step.pk).update(due_at=steps.now())
    claim = steps.claim(step.pk)
    assert claim is not None
    post = queue.waiting(live)[0]
    assert queue.claim(post, claim)
    with transaction.atomic():
        claims.record(post, queue=-1)
    found = host(live)
    assert found.sentence == f"Writing: “{post.title}”."
    assert labels(found) == ["Writing since", "Last story"]


def test_a_host_that_nobody_works_for_is_said_to_stand_still(live: Session) -> None:
    make_late(live, "narrate")
    assert host(live).sentence == "No worker narrates. See the studio's log."
    assert "1 step has waited" in only(live).what


def test_a_story_that_needs_approval_is_the_persons_turn(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=3)
    assert host(session).sentence == "A story waits for your approval in the Broadcast Center."


def test_an_empty_queue_is_why_the_host_waits(live: Session) -> None:
    for post in queue.waiting(live):
        commands.run("post.kill", live.owner, live, {"post": post.pk})
    assert host(live).sentence == "Waits for a post: none is in the queue."


@pytest.mark.parametrize(
    ("code", "until", "advice", "place"),
    [
        ("budget", None, "Raise the budget", "session"),
        ("anthropic_key", None, "Set or test your Anthropic key", "account"),
        ("model", None, "Choose another model", "session"),
        ("overloaded", "2026-11-21T10:00:00.000Z", "tried again automatically", ""),
        ("certificate", None, "resumes automatically within 30 seconds", ""),
    ],
)
def test_a_hold_says_why_and_what_to_do(
    live: Session, code: str, until: str | None, advice: str, place: str
) -> None:
    hold = {"code": code, "sentence": "Something is wrong.", "until": until}
    Broadcast.objects.filter(session=live).update(hold=hold)
    assert host(live).sentence == "On hold: Something is wrong."
    found = only(live)
    assert (found.what, found.place, found.until) == (hold["sentence"], place, until)
    assert advice in found.advice


def test_a_budget_that_is_spent_is_said_with_the_way_out(live: Session) -> None:
    sessions.change(live, budget=0)
    make_late(live, "narrate")
    run_due_steps(live, "narrate", most=1)
    assert "budget is spent" in host(live).sentence
    assert only(live).advice == "Raise the budget, or stop the broadcast."


def test_a_run_that_failed_says_how_to_go_on(live: Session) -> None:
    run = orchestrator.active(live)
    assert run is not None
    orchestrator.fail(run, "The database went away.")
    found = only(live)
    assert found.what == "The database went away."
    assert "Recover" in found.advice


def test_a_producer_says_how_its_sources_are_and_what_came_last(live: Session) -> None:
    # Not read again meanwhile, as sources are read every 0.2 s here.
    due = steps.now() + LONG_AGO
    Step.objects.filter(session=live, kind="poll", state="pending").update(due_at=due)
    found = producer(live)
    assert (found.state, found.figure) == ("ok", "sources: 1 ok")
    assert labels(found) == ["Last new post", "Next reading"]


def test_a_producer_without_sources_says_so(make_session: MakeSession) -> None:
    assert producer(make_session(recording=False)).sentence == "There is no source to read."


def test_a_producer_whose_sources_are_at_their_end_has_no_next_reading(live: Session) -> None:
    Source.objects.filter(session=live).update(health="finished")
    Step.objects.filter(session=live, kind="poll").update(state="done")
    assert "nothing more to read" in producer(live).sentence
    assert labels(producer(live)) == ["Last new post"]


def test_a_producer_that_nobody_works_for_is_said_to_stand_still(live: Session) -> None:
    make_late(live, "poll")
    assert producer(live).sentence == "No worker reads the sources. See the studio's log."


@pytest.mark.parametrize(
    ("health", "advice", "place"),
    [("failed", "Test the source, or remove it.", "session"), ("paused", "automatically", "")],
)
def test_a_source_in_trouble_is_named_with_what_to_do(
    live: Session, health: str, advice: str, place: str
) -> None:
    until = steps.now() + LONG_AGO
    rows = Source.objects.filter(session=live)
    rows.update(health=health, note="It does not answer.", paused_until=until)
    assert producer(live).state == "attention"
    assert producer(live).figure == f"sources: 1 {health}"
    found = only(live)
    assert (found.what, found.place) == ("demo: It does not answer.", place)
    assert advice in found.advice
    assert found.until is not None


def test_a_step_that_failed_for_good_is_told_until_the_next_go_live(
    live: Session, go_live: Callable[[Session], Any]
) -> None:
    step = Step.objects.filter(session=live, kind="finish_airing")
    step.update(state="failed", last_error="Given up after three attempts; see the log.")
    assert only(live).what.startswith("Ending a story on air: Given up")
    step.update(due_at=steps.now() - timedelta(days=1))
    assert read(live).troubles == []


def test_a_step_that_stumbled_is_told_with_its_next_try(live: Session) -> None:
    Step.objects.filter(session=live, kind="narrate").update(last_error="A fault of ours.")
    found = only(live)
    assert found.what == "Narrating: A fault of ours."
    assert found.until is not None


def test_the_most_pressing_troubles_come_first_and_few(live: Session) -> None:
    for at in range(4):
        Source.objects.create(
            session=live,
            kind="rss",
            locator=f"https://x.test/{at}",
            locator_digest=str(at),
            health="paused" if at else "failed",
            note="Gone.",
        )
    hold = {"code": "budget", "sentence": "Spent.", "until": None}
    Broadcast.objects.filter(session=live).update(hold=hold)
    whats = [trouble.what for trouble in read(live).troubles]
    assert whats == ["Spent.", "https://x.test/0: Gone.", "https://x.test/1: Gone."]


def test_the_chain_is_told_with_its_links(live: Session) -> None:
    found = read(live).workers[2]
    assert (found.name, found.state, found.figure) == ("AI chain", "ok", "1 link")
    assert found.sentence == "SYNCED: the head is the latest operation."


def test_a_chain_without_a_link_is_empty(session: Session) -> None:
    found = read(session).workers[2]
    assert (found.state, found.figure) == ("ok", "0 links")
    assert found.sentence == "EMPTY: no operation has ended yet."


def test_a_chain_out_of_sync_is_a_trouble_until_it_is_put_right(live: Session) -> None:
    lose_head(live)
    assert read(live).workers[2].state == "attention"
    assert only(live).what == "The AI chain is out of sync."
    commands.run("chain.recover", live.owner, live, {})
    assert read(live).troubles == []


def test_it_is_read_in_a_constant_number_of_queries(
    live: Session, django_assert_num_queries: Any
) -> None:
    session = Session.objects.get(pk=live.pk)
    with django_assert_num_queries(9):
        workers.read(session)


def test_the_part_of_the_page_is_fetched_anew(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    hold = {"code": "anthropic_key", "sentence": "The key was refused.", "until": None}
    Broadcast.objects.filter(session=live).update(hold=hold)
    found = client_of(owner).get(f"/broadcast/{live.pk}/health/").content.decode()
    assert "The key was refused." in found
    assert '<a href="/account/#keys">User Settings</a>' in found
    assert "<html" not in found
