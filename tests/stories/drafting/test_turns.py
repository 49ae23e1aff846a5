"""The order of turns, and the constraints of the database on them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from sessions_app import audits
from sessions_app.models import Session
from stories.drafting import turns
from stories.drafting.turns import MOST_TURNS, PastTurn, Turn, next_turn
from stories.models import Draft, DraftMessage, DraftVersion
from tests.stories.drafting.draft_factory import read_posts, started, turn


def walk(decisions: tuple[str, ...]) -> list[Turn]:
    """Returns all turns of a draft whose reviews and verdicts decide as listed."""
    past: list[PastTurn] = []
    taken: list[Turn] = []
    left = list(decisions)
    while (one := next_turn(past)) is not None:
        taken.append(one)
        decides = one.kind in ("review", "verdict")
        past.append(
            PastTurn(one.kind, "approve" if one.settles else left.pop(0) if decides else "")
        )
    return taken


ALL = list(product(("approve", "changes"), repeat=6))


@pytest.mark.parametrize("decisions", ALL)
def test_no_agent_takes_two_turns_in_a_row_and_every_draft_ends(decisions: tuple[str, ...]) -> None:
    taken = walk(decisions)
    roles = [each.role for each in taken]
    assert all(one != other for one, other in pairwise(roles))
    assert len(taken) <= MOST_TURNS
    assert taken[-1].role == "expert"


def test_the_most_turns_are_reached_and_not_more() -> None:
    assert max(len(walk(decisions)) for decisions in ALL) == MOST_TURNS


def test_after_three_rounds_the_expert_settles() -> None:
    taken = walk(("approve", "changes", "changes", "changes"))
    assert [each.kind for each in taken].count("review") == 1 + turns.ROUNDS
    assert taken[-1].settles


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases
def test_the_database_refuses_the_same_agent_twice_in_a_row(session: Session) -> None:
    read_posts(session)
    draft = turn(started(session))
    for after in ("writer", ""):
        with pytest.raises(IntegrityError), transaction.atomic():
            DraftMessage.objects.create(
                session=session,
                draft=draft,
                turn=2,
                role="writer",
                after=after,
                kind="outline",
                payload={},
                text="",
            )


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases
def test_the_database_refuses_a_turn_twice(session: Session) -> None:
    read_posts(session)
    draft = turn(started(session), 2)
    with pytest.raises(IntegrityError), transaction.atomic():
        DraftMessage.objects.create(
            session=session,
            draft=draft,
            turn=2,
            role="reader",
            after="writer",
            kind="review",
            payload={},
            text="",
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases
@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (lambda draft: Draft.objects.update(turns=9), "missing or additional turns"),
        (lambda draft: DraftVersion.objects.update(number=7), "missing or additional versions"),
        (lambda draft: draft.messages.filter(turn=3).update(after="expert"), "follows another"),
    ],
)
def test_the_audit_finds_a_draft_that_was_harmed(
    session: Session, harm: Callable[[Draft], Any], finding: str
) -> None:
    read_posts(session)
    draft = turn(started(session), 4)
    assert list(audits.run("drafts")) == []
    harm(draft)
    assert finding in next(audits.run("drafts")).detail
