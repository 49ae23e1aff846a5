"""Claimed posts are never forgotten, whatever becomes of the step that claimed them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction

from broadcast import orchestrator
from broadcast.host import claims, worker
from broadcast.models import Broadcast
from sessions_app import audits, commands
from sessions_app.background import steps
from sessions_app.background.steps import Claim
from sessions_app.models import Session, SessionStats, Step
from stories.models import SourcePost
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def live(make_session: MakeSession, go_live: Callable[[Session], Broadcast]) -> Session:
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, "poll", most=1)
    return session


def take(session: Session) -> Claim:
    step = Step.objects.get(session=session, kind="narrate", state="pending")
    Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
    held = steps.claim(step.pk)
    assert held is not None
    return held


def claim_post(held: Claim) -> SourcePost:
    run = orchestrator.attend(held)
    assert run is not None
    choice = worker.claim_post(run, held)
    assert choice is not None
    assert choice.post is not None
    return choice.post


def queue(session: Session) -> int:
    return SessionStats.objects.get(session=session).queue


@pytest.mark.databases
def test_a_post_whose_step_was_cancelled_goes_back_to_the_queue(live: Session) -> None:
    held = take(live)
    post = claim_post(held)
    before = queue(live)
    Step.objects.filter(pk=held.step.pk).update(state="cancelled", lease_until=None)
    steps.enqueue(live, orchestrator.NARRATE, held.subject)
    claims.requeue_abandoned(take(live))
    post.refresh_from_db()
    assert post.state == "queued"
    assert queue(live) == before + 1
    assert [finding for finding in audits.run() if finding.audit == "counters"] == []


def test_a_worn_out_post_of_an_ended_step_fails_instead(live: Session) -> None:
    held = take(live)
    post = claim_post(held)
    SourcePost.objects.filter(pk=post.pk).update(attempts=3)
    Step.objects.filter(pk=held.step.pk).update(state="failed", lease_until=None)
    steps.enqueue(live, orchestrator.NARRATE, held.subject)
    claims.requeue_abandoned(take(live))
    post.refresh_from_db()
    assert (post.state, post.reason) == ("failed", "Narrating it failed three times.")


@pytest.mark.parametrize(
    ("error", "earlier", "state", "attempts"),
    [
        ("The database was too busy to answer in time.", 1, "queued", 2),
        # A post whose statements always take too long fails in the end.
        ("The database was too busy to answer in time.", 3, "failed", 3),
        ("The database was not reachable for a moment.", 3, "queued", 2),
        ("An internal error; see the log.", 1, "failed", 3),
    ],
)
def test_an_attempt_that_the_database_ended_does_not_count_against_the_post(
    live: Session, error: str, earlier: int, state: str, attempts: int
) -> None:
    held = take(live)
    post = claim_post(held)
    SourcePost.objects.filter(pk=post.pk).update(attempts=3)
    with transaction.atomic():
        held.reschedule(timedelta(), error=error)
    Step.objects.filter(pk=held.step.pk).update(attempts=earlier)
    claims.requeue_abandoned(take(live))
    post.refresh_from_db()
    assert (post.state, post.attempts) == (state, attempts)


def test_after_an_outage_a_post_that_kills_its_worker_fails_all_the_same(live: Session) -> None:
    held = take(live)
    post = claim_post(held)
    with transaction.atomic():
        held.reschedule(timedelta(), error="The database was not reachable for a moment.")
    deaths = 0
    while SourcePost.objects.get(pk=post.pk).state != "failed":
        held = take(live)
        claims.requeue_abandoned(held)
        if SourcePost.objects.get(pk=post.pk).state == "queued":
            assert claim_post(held) == post
            deaths += 1
        Step.objects.filter(pk=held.step.pk).update(state="pending", lease_until=None)
    assert deaths == 3


def test_a_step_worn_out_by_holds_does_not_take_a_fresh_post_with_it(live: Session) -> None:
    held = take(live)
    post = claim_post(held)
    with transaction.atomic():
        claims.gave_up(held)
    post.refresh_from_db()
    assert post.state == "queued"


def test_a_round_that_only_waits_arms_no_step_after_a_stop(live: Session) -> None:
    live.pace = 180
    live.save(update_fields=["pace"])
    run_due_steps(live, "narrate", most=1)
    held = take(live)
    commands.run("broadcast.stop", live.owner, live, {})
    steps.handle(held, steps._kinds["narrate"])
    assert not Step.objects.filter(session=live, kind="narrate", state="pending").exists()
