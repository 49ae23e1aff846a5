"""What an agent is told for its turn: built from what the others handed over before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessions_app import chain
from sessions_app.models import AILink
from stories.drafting import agents, material, versions
from stories.drafting.agents import Kind, Order, Outline, Remark, Research, Task
from stories.drafting.turns import Turn
from stories.models import Draft, DraftMessage, DraftVersion
from stories.text import within

MOST_BEFORE = 120  # tokens of what the broadcast told
MOST_WISHES = 5


def task_of(draft: Draft, turn: Turn, said: Sequence[DraftMessage]) -> Task:
    """All that the agent whose turn it is may know; NoMaterial when there is nothing to read."""
    latest = versions.latest(draft)
    base = chain.base(draft.session)
    researches = turn.kind == Kind.RESEARCH
    return Task(
        role=turn.role, kind=turn.kind, settles=turn.settles,
        order=order_of(draft),
        before=within(base.summary, MOST_BEFORE) if base else "",
        material=material.gather(draft.session, draft.keywords) if researches else (),
        research=_last(said, Kind.RESEARCH, Research),
        outline=_last(said, Kind.OUTLINE, Outline),
        title=latest.title if latest else "",
        text=latest.text if latest else "",
        by_hand=_by_hand(draft),
        remarks=_remarks(said),
    )  # fmt: skip


def order_of(draft: Draft) -> Order:
    wishes = tuple(str(each["text"]) for each in draft.wishes[-MOST_WISHES:])
    return Order(tuple(draft.keywords), draft.words, draft.style, draft.language, wishes)


def context_head(draft: Draft, said: Sequence[DraftMessage]) -> AILink | None:
    """The latest link whose content the agent is told."""
    links = [chain.base(draft.session), *(each.link for each in said)]
    return max((link for link in links if link), key=lambda link: link.number, default=None)


def _last(said: Sequence[DraftMessage], kind: str, shape: type[Any]) -> Any:
    payloads = [each.payload for each in said if each.kind == kind]
    return shape.model_validate(payloads[-1]) if payloads else None


def _remarks(said: Sequence[DraftMessage]) -> tuple[Remark, ...]:
    """What was remarked last: the writer follows it, the others see whether that was done."""
    judged = [each for each in said if each.kind in (Kind.REVIEW, Kind.VERDICT)]
    if not judged:
        return ()
    found = agents.read(judged[-1].kind, judged[-1].payload | {"text": ""})
    return tuple(getattr(found, "remarks", ()))


def _by_hand(draft: Draft) -> tuple[str, ...]:
    human = DraftVersion.objects.filter(draft=draft, author=DraftVersion.Author.HUMAN)
    return tuple(human.order_by("-number").values_list("text", flat=True)[:3])
