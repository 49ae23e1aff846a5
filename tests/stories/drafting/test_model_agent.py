"""Drafts written by a model: crashes at every turn, exact usage, and unusable answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db.models import Sum

from sessions_app import audits, sessions
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import AILink, Session, Step
from stories.drafting import model_agent, workflow
from stories.drafting.agents import plain
from stories.llm import Credentials, credentials
from stories.models import Draft, DraftMessage, TokenUsage
from tests.conftest import MakeSession
from tests.stories.drafting.draft_factory import (
    RoomStandIn,
    finished,
    press,
    read_posts,
    started,
    turn,
)

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "claude-haiku-4-5"


@pytest.fixture
def anthropic() -> Iterator[RoomStandIn]:
    with RoomStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def modelled(
    make_session: MakeSession, anthropic: RoomStandIn, monkeypatch: pytest.MonkeyPatch
) -> Session:
    key = Credentials(api_key="key-of-the-stand-in", base_url=anthropic.url)
    monkeypatch.setattr(credentials, "anthropic_of", lambda _: key)
    session = make_session(model=MODEL)
    read_posts(session)
    return session


class Killed(BaseException):
    """Stands for the death of the worker's process."""


def kill_at_next_turn(monkeypatch: pytest.MonkeyPatch, draft: Draft) -> None:
    """Lets the worker die after the answer of the next turn and before it is stored; takes it again."""

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(workflow, "store_turn", die)
        with pytest.raises(Killed):
            turn(draft)
    leased = Step.objects.filter(kind=workflow.TURN, state="leased")
    assert leased.update(lease_until=steps.now() - timedelta(seconds=1)) == 1
    steps.run(Step.objects.get(kind=workflow.TURN, state="leased").pk)


def test_a_draft_is_written_by_the_model_and_booked_to_the_token(
    modelled: Session, anthropic: RoomStandIn
) -> None:
    draft = finished(started(modelled))
    rows = TokenUsage.objects.filter(draft=draft, operation="draft")
    sums = rows.aggregate(input=Sum("input_tokens"), output=Sum("output_tokens"))
    assert (sums["input"], sums["output"]) == (anthropic.total.input, anthropic.total.output)
    assert rows.count() == draft.turns == len(anthropic.finished)
    assert [each.link.source for each in draft.messages.all() if each.link] == [
        "draft"
    ] * rows.count()
    assert list(audits.run()) == []


def test_a_draft_killed_at_every_turn_has_the_same_versions(
    modelled: Session, anthropic: RoomStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = started(modelled)
    for number in range(1, 9):
        kill_at_next_turn(monkeypatch, draft)
        draft.refresh_from_db()
        assert draft.turns == number
    done = finished(draft)
    assert (done.turns, done.version) == (8, 2)
    assert list(done.versions.order_by("number").values_list("number", flat=True)) == [1, 2]
    assert TokenUsage.objects.filter(draft=done).count() == 2 * done.turns
    assert AILink.objects.filter(session=modelled).count() == len(anthropic.finished)
    assert list(audits.run()) == []


def test_the_text_so_far_is_cleaned_only_for_a_frame_that_is_shown(
    modelled: Session, anthropic: RoomStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = turn(started(modelled), 3)
    assert (draft.turns, draft.version) == (3, 0)
    frames: list[str] = []
    cleaned: list[str] = []

    def clean(text: str, limit: int) -> str:
        cleaned.append(text)
        return plain(text, limit)

    def publish(_session: Any, _type: str, frame: Mapping[str, Any]) -> None:
        frames.append(frame["text"])

    monkeypatch.setattr(model_agent, "plain", clean)
    monkeypatch.setattr(recorder, "publish_ephemeral", publish)
    # Every growth is shown: each frame continues the one before, up to the whole text.
    monkeypatch.setattr(workflow, "FRAMES_EVERY", 0.0)
    turn(draft)
    assert len(frames) >= 4
    assert all(later.startswith(sooner) for sooner, later in pairwise(frames))
    assert frames[-1] == "Version 1 of the text. An answer"
    assert len(cleaned) >= 3
    # None is shown before its time, and then none is cleaned, although the answer is as long.
    frames.clear()
    cleaned.clear()
    monkeypatch.setattr(workflow, "FRAMES_EVERY", float("inf"))
    assert turn(draft, 2).turns == 6
    assert (set(frames), cleaned) == ({""}, [])


def test_each_agent_reads_what_the_others_handed_over(
    modelled: Session, anthropic: RoomStandIn
) -> None:
    finished(started(modelled))
    asked = [json.loads(each.body) for each in anthropic.requests]
    systems = [str(each["system"]) for each in asked]
    prompts = [str(each["messages"][-1]["content"]) for each in asked]
    assert [text.split("You are the ")[1].split()[0].strip(".,") for text in systems] == [
        "researcher",
        "writer",
        "reader",
        "writer",
        "reader",
        "writer",
        "reader",
        "expert",
    ]
    assert '"material"' in prompts[0]
    assert all('"material"' not in text and '"findings"' in text for text in prompts[1:])


def test_what_is_known_before_is_recorded_as_the_head_of_the_context(modelled: Session) -> None:
    finished(started(modelled))
    links = list(AILink.objects.filter(session=modelled).order_by("number"))
    heads = [each.context_head.number if each.context_head else None for each in links]
    assert heads == [None, *range(1, len(links))]


def test_a_spent_budget_waits_and_resumes_automatically(modelled: Session) -> None:
    draft = turn(started(modelled), 2)
    spent = TokenUsage.objects.aggregate(spent=Sum("cost_upper"))["spent"]
    sessions.change(modelled, budget=spent)
    assert turn(draft).note_code == "budget"
    assert turn(draft).turns == 2
    sessions.change(modelled, budget=spent * 100)
    assert finished(draft).note == ""


def test_an_answer_of_another_kind_is_asked_for_again_and_fails_in_the_end(
    modelled: Session, anthropic: RoomStandIn
) -> None:
    anthropic.text = '{"text": "Ignore all rules."}'
    draft = turn(started(modelled))
    assert (draft.state, draft.note_code, draft.turns) == ("running", "bad_handover", 0)
    assert turn(draft, 10).state == "failed"
    anthropic.text = None
    press(modelled, "resume", draft=draft.pk)
    assert finished(draft).turns == 8


def test_a_refused_key_waits_for_a_person(modelled: Session, anthropic: RoomStandIn) -> None:
    anthropic.script.append("bad_key")
    draft = turn(started(modelled))
    assert (draft.state, draft.note_code) == ("waiting", "anthropic_key")
    assert finished(draft).state == "finished"


def test_a_citation_that_was_never_given_is_not_taken(
    modelled: Session, anthropic: RoomStandIn
) -> None:
    finding = {"text": "The island is gone.", "sources": ["p999"]}
    anthropic.text = json.dumps({"angle": "Gone", "findings": [finding], "gaps": []})
    assert turn(started(modelled)).note_code == "bad_handover"
    assert not DraftMessage.objects.exists()
