"""Whatever people press and whatever dies, in whatever order: the tunnel does not leak."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from broadcast.models import Broadcast
from broadcast.states import State
from sessions_app import audits, commands
from sessions_app.background import steps, sweeper
from sessions_app.errors import Conflict
from sessions_app.models import Session, Step
from stories.models import Story
from tests.conftest import run_due_steps

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

PICK = st.integers(min_value=0, max_value=10)


class Newsroom(RuleBasedStateMachine):
    """Several sessions of one owner, driven at random; workers die and messages come twice.

    All audits take more time than a step does, and what leaked is still there at the end. ``make
    chaos`` runs them after each step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.owner = User.objects.create_user(f"olga-{User.objects.count()}")
        self.sessions: list[Session] = []
        self.create()

    @rule()
    def create(self) -> None:
        if len(self.sessions) < 3:
            wanted = {
                "name": "Any",
                "sources": [{"kind": "recording"}],
                "settings": {"pace": 0, "model": "extractive"},
            }
            self.sessions.append(commands.run("session.create", self.owner, None, wanted))

    @rule(which=PICK, command=st.sampled_from(["start", "stop", "recover"]))
    def press(self, which: int, command: str) -> None:
        session = self.session(which)
        before = run_of(session)
        if (refused_in := pressed(self.owner, session, command)) is not None:
            assert refused_in == before == run_of(session)

    @rule(which=PICK, most=st.integers(1, 6))
    def work(self, which: int, most: int) -> None:
        run_due_steps(self.session(which), most=most)

    @rule(which=PICK)
    def die(self, which: int) -> None:
        """A worker claims a step and is killed: the lease expires and another worker takes over."""
        step = self.due(self.session(which))
        if step is not None and steps.claim(step.pk) is not None:
            Step.objects.filter(pk=step.pk).update(lease_until=steps.now())

    @rule(which=PICK)
    def take_over(self, which: int) -> None:
        for step in Step.objects.filter(session=self.session(which), state=Step.State.LEASED):
            steps.run(step.pk)

    @rule(which=PICK)
    def redeliver(self, which: int) -> None:
        """The same message comes twice, late."""
        for step in Step.objects.filter(session=self.session(which)).order_by("-pk")[:3]:
            steps.run(step.pk)
            steps.run(step.pk)

    @rule()
    def sweep(self) -> None:
        sweeper.sweep()

    def teardown(self) -> None:
        self.check()

    def check(self) -> None:
        mine = {str(session.pk) for session in self.sessions} | {""}
        found = [each for each in audits.run() if each.session in mine]
        assert found == []
        for story in Story.objects.filter(session__owner=self.owner).select_related("post"):
            assert story.post is not None
            assert story.post.session_id == story.session_id

    def session(self, which: int) -> Session:
        return self.sessions[which % len(self.sessions)]

    @staticmethod
    def due(session: Session) -> Step | None:
        return Step.objects.filter(
            session=session, state=Step.State.PENDING, due_at__lte=steps.now()
        ).first()


def pressed(owner: User, session: Session, command: str) -> str | None:
    """The state a refusal names, or None when the command was obeyed."""
    try:
        commands.run(f"broadcast.{command}", owner, session, {})
    except Conflict as refused:
        return refused.state
    return None


def run_of(session: Session) -> str:
    run: Any = Broadcast.objects.filter(session=session).order_by("-number").first()
    return run.state if run else str(State.IDLE)


def try_orders(newsroom: type[Newsroom], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        newsroom,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_order_of_presses_deaths_and_redeliveries_leaks() -> None:
    """A sample; ``make chaos ARGS=--long`` tries more and longer orders in tests/chaos/test_tunnel.py."""
    try_orders(Newsroom, examples=5, steps=20)
