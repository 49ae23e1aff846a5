"""The AI chain under runs and workers: each link is stored with its answer and in its run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from broadcast import orchestrator
from broadcast.models import Broadcast
from broadcast.states import State
from sessions_app import audits, constraints
from sessions_app.ai_chain import chain, status
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.models import AILink, AITransition, Message, Session, Step
from stories.models import TokenUsage
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.types import Close, Counts
from tests.broadcast_runs import run_in
from tests.chain_links import join, numbers_in_order, patiently
from tests.concurrency import together
from tests.conftest import MakeSession
from tests.subprocess_environment import database_url

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "claude-haiku-4-5"


@pytest.fixture
def live(session: Session) -> Broadcast:
    return run_in(session, State.LIVE)


def claimed(session: Session, subject: object = 1, kind: str = "narrate") -> Claim:
    held = steps.claim(steps.enqueue(session, kind, subject).pk)
    assert held is not None
    return held


def complete(claim: Claim, message_id: str = "", **purpose: Any) -> None:
    """An attempt that a model answered, booked."""
    ledger = SessionLedger(claim, Purpose(**{"source": "narration", **purpose}))
    attempt = ledger.reserve(model=MODEL, operation="narrate", max_tokens=800, input_upper=900)
    counts = Counts(input=700, output=120)
    attempt.close(
        Close(
            state="final", counts=counts, model=MODEL, stop_reason="end_turn", message_id=message_id
        )
    )


def order(session: Session) -> list[tuple[int, int | None]]:
    rows = AILink.objects.filter(session=session).order_by("number")
    return list(rows.values_list("number", "previous__number"))


def chain_findings() -> list[str]:
    return [each.detail for each in audits.run("chain")]


def test_a_completed_attempt_joins_as_it_is_booked(live: Broadcast) -> None:
    complete(claimed(live.session), "msg_1", run_number=live.number)
    link = AILink.objects.get()
    assert (link.provider_id, link.model, link.tokens) == ("msg_1", MODEL, 120)
    assert (link.source, link.run_number) == ("narration", 1)
    assert TokenUsage.objects.get().link == link
    assert list(audits.run()) == []


def test_a_run_keeps_its_own_latest_link(live: Broadcast) -> None:
    first = join(live.session, run_number=1)
    join(live.session, "chat")
    live.refresh_from_db()
    assert live.ai_head == first


@pytest.mark.databases
def test_fifty_operations_of_all_kinds_at_once_leave_one_chain(live: Broadcast) -> None:
    session = live.session
    claims = [claimed(session, f"claim {number}") for number in range(50)]

    def operate(number: int) -> None:
        patiently()
        run_number = (1, None)[number % 2]
        if number % 5:
            complete(claims[number], f"msg_{number}", run_number=run_number)
            return
        with orchestrator.locked(live):
            offline = Operation(
                source="narration", provider_id=chain.offline_id(), run_number=1, model="extractive"
            )
            chain.append(session, offline)

    assert together(50, operate) == [None] * 50
    assert order(session) == numbers_in_order(50)
    found = status.status(session, None)
    assert (found.state, found.rate) == ("SYNCED", 100.0)
    live.refresh_from_db()
    assert live.ai_head == AILink.objects.filter(run_number=1).order_by("-number").first()
    assert TokenUsage.objects.exclude(link=None).count() == 40
    assert chain_findings() == []


@pytest.mark.databases
def test_a_link_of_a_run_of_another_session_is_refused(
    live: Broadcast, make_session: MakeSession
) -> None:
    other = make_session("Evening")
    with pytest.raises(DatabaseError):
        join(other, run_number=live.number)
    assert not AILink.objects.exists()


@pytest.mark.databases
def test_the_run_of_a_transition_has_to_exist_too(live: Broadcast) -> None:
    link = join(live.session, run_number=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        AITransition.objects.filter(new=link).update(run_number=9)


@pytest.mark.databases
def test_the_guards_of_run_numbers_are_in_the_schema() -> None:
    names = {each.name for each in constraints.same_session_rules() if each.key == "number"}
    assert names == {
        "agree_sessions_app_ailink_run_number",
        "agree_sessions_app_aitransition_run_number",
    }
    suffixes = ("_insert", "_update") if connection.vendor == "sqlite" else ("",)
    assert {name + suffix for name in names for suffix in suffixes} <= constraints.present(
        connection
    )


@pytest.mark.databases
def test_a_run_that_lost_its_latest_link_is_found_and_put_right(live: Broadcast) -> None:
    session = live.session
    join(session, run_number=1)
    latest = join(session, run_number=1)
    Broadcast.objects.filter(pk=live.pk).update(ai_head=None)
    assert chain_findings() == ["run 1 does not keep its latest link"]
    chain.recover(session)
    live.refresh_from_db()
    assert live.ai_head == latest
    assert chain_findings() == []
    sentence = Message.objects.get(session=session, code="chain_recovered").text
    assert sentence == "Run 1 lost its latest link of the AI chain; it was repaired."


def test_an_attempt_without_a_link_is_found_once_the_chain_has_begun(session: Session) -> None:
    complete(claimed(session))
    complete(claimed(session, 2))
    assert chain_findings() == []
    loose = TokenUsage.objects.order_by("id")[1]
    TokenUsage.objects.filter(pk=loose.pk).update(link=None)
    assert chain_findings() == [f"usage {loose.pk} was completed, but has no link"]


def test_what_broke_off_has_no_link(session: Session) -> None:
    claim = claimed(session)
    ledger = SessionLedger(claim, Purpose(source="narration"))
    attempt = ledger.reserve(model=MODEL, operation="narrate", max_tokens=800, input_upper=900)
    attempt.close(Close(state="bounded", counts=Counts(input=1), model=MODEL, output_upper=9))
    assert not AILink.objects.exists()
    assert chain_findings() == []


def killed(step: Step, where: str) -> None:
    """A worker of its own takes the step and is killed when it says that it is ``where``."""
    env = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "smnb.settings"}
    command = [sys.executable, "-m", "tests.dying_worker", str(step.pk), where]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        try:
            assert where in iter(lambda: worker.stdout.readline().strip(), "")  # type: ignore[union-attr]
        finally:
            worker.kill()
    Step.objects.filter(pk=step.pk).update(lease_until=steps.now() - timedelta(seconds=1))


@pytest.mark.databases
@pytest.mark.parametrize("where", ["answered", "linked"])
def test_a_worker_killed_between_answer_and_link_loses_nothing_and_forks_nothing(
    session: Session, where: str
) -> None:
    join(session)
    step = steps.enqueue(session, "narrate", 1)
    killed(step, where)
    assert order(session) == numbers_in_order(1)
    assert TokenUsage.objects.get().state == "started"
    again = steps.claim(step.pk)
    assert again is not None
    lost = TokenUsage.objects.get()
    assert (lost.state, lost.error, lost.link) == ("bounded", "worker_lost", None)
    assert (lost.input_tokens, lost.cost_upper > lost.cost_lower > 0) == (700, True)
    complete(again, "msg_again")
    assert order(session) == numbers_in_order(2)
    assert status.status(session, None).state == "SYNCED"
    assert list(audits.run()) == []


@pytest.mark.databases
def test_the_answer_of_a_worker_that_was_thought_dead_still_joins_at_the_end(
    session: Session,
) -> None:
    claim = claimed(session)
    ledger = SessionLedger(claim, Purpose(source="narration"))
    late = ledger.reserve(model=MODEL, operation="narrate", max_tokens=800, input_upper=900)
    Step.objects.filter(pk=claim.step.pk).update(lease_until=steps.now() - timedelta(seconds=1))
    again = steps.claim(claim.step.pk)
    assert again is not None
    complete(again, "msg_first")
    counts = Counts(input=700, output=120)
    late.close(Close(state="final", counts=counts, model=MODEL, message_id="msg_late"))
    assert list(AILink.objects.order_by("number").values_list("provider_id", flat=True)) == [
        "msg_first",
        "msg_late",
    ]
    assert chain_findings() == []


@pytest.fixture
def long_kind(monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind of step that belongs to the session, not to its run."""
    kind = Kind("room", "drafting", lambda claim: None, outlives_run=True)
    monkeypatch.setitem(steps._kinds, "room", kind)
    return "room"


@pytest.mark.parametrize("outlives", [True, False])
def test_a_run_comes_to_rest_without_what_outlives_it(
    live: Broadcast, long_kind: str, outlives: bool, go_live: Callable[[Session], Any]
) -> None:
    claim = claimed(live.session, 1, long_kind if outlives else "narrate")
    ledger = SessionLedger(claim, Purpose(source="draft"))
    ledger.reserve(model=MODEL, operation="draft", max_tokens=800, input_upper=900)
    run = orchestrator.stop(live.session, None)
    assert run.state == (State.IDLE if outlives else State.STOPPING)
    step = Step.objects.get(pk=claim.step.pk)
    assert step.state == Step.State.LEASED
    if outlives:
        assert go_live(live.session).number == 2


def test_an_open_call_of_the_run_itself_keeps_it_from_rest(live: Broadcast) -> None:
    claim = claimed(live.session)
    ledger = SessionLedger(claim, Purpose(source="narration"))
    attempt = ledger.reserve(model=MODEL, operation="narrate", max_tokens=800, input_upper=900)
    claim.complete()
    run = orchestrator.stop(live.session, None)
    assert run.state == State.STOPPING
    attempt.close(Close(state="final", counts=Counts(input=1, output=1), model=MODEL))
    assert orchestrator.settle(run).state == State.IDLE
