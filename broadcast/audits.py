"""Audits of runs and airings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from broadcast.models import Airing, Broadcast, StateChange
from broadcast.states import Cause, State, follow
from sessions_app import audits
from stories.models import Story


def states() -> Iterator[tuple[object, str]]:
    """The state of every run is what its changes lead to, each allowed by the table."""
    changes: dict[int, list[StateChange]] = defaultdict(list)
    for change in StateChange.objects.order_by("run_id", "epoch"):
        changes[change.run_id].append(change)
    for run in Broadcast.objects.all():
        if problem := replay(run, changes[run.pk]):
            yield run.session_id, f"run {run.number}: {problem}"


def replay(run: Broadcast, changes: list[StateChange]) -> str:
    """Applies the changes of a run to idle; returns what is wrong, or an empty string."""
    state = State.IDLE
    for number, change in enumerate(changes, start=1):
        after = follow(state, Cause(change.cause))
        if change.from_state != state or change.to_state != after or change.epoch != number:
            return f"change {number} ({change.cause}) does not follow from {state}"
        state = after
    return "" if run.state == state else f"it is {run.state}, but its changes lead to {state}"


def airings() -> Iterator[tuple[object, str]]:
    """Every airing story has one unfinished airing, and no other story has one."""
    open_ = set(Airing.objects.filter(finished_at=None).values_list("story_id", flat=True))
    airing = dict(Story.objects.filter(state=Story.State.AIRING).values_list("pk", "session_id"))
    for story_id in airing.keys() - open_:
        yield airing[story_id], f"story {story_id} is airing without an airing"
    for story in Story.objects.filter(pk__in=open_ - airing.keys()):
        yield story.session_id, f"story {story.pk} is {story.state}, but its airing is open"


def register() -> None:
    audits.register("states", states)
    audits.register("airings", airings)
