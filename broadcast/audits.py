"""Audits of runs and airings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.db.models import F, Max, Min, OuterRef, QuerySet, Subquery

from broadcast import airing, orchestrator, recaps
from broadcast.models import Airing, Broadcast, Episode, Recap, Recorded, Sound, StateChange
from broadcast.schedule import slots
from broadcast.schedule.models import Slot
from broadcast.states import Cause, State, follow
from sessions_app import audits
from sessions_app.audits import BATCH, Record
from sessions_app.background import steps
from sessions_app.files import verification
from sessions_app.models import Session, SessionEvent
from stories import stories
from stories.audits import in_session
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
    now_airing = dict(
        Story.objects.filter(state=Story.State.AIRING).values_list("pk", "session_id")
    )
    for story_id in now_airing.keys() - open_:
        yield now_airing[story_id], f"story {story_id} is airing without an airing"
    for story in Story.objects.filter(pk__in=open_ - now_airing.keys()):
        yield story.session_id, f"story {story.pk} is {story.state}, but its airing is open"
    # The previous system did not say when a story was on air.
    aired = Story.objects.filter(state=Story.State.AIRED).exclude(origin=Story.Origin.LEGACY)
    # Nor does a copy have the airings of its original.
    aired = aired.filter(completed_at__gte=F("session__created_at"))
    for story in aired.filter(airings=None):
        yield story.session_id, f"story {story.pk} is aired, but has no airing"
    never = (Story.State.WRITTEN, Story.State.APPROVED, Story.State.VETOED)
    for story in Story.objects.filter(airings__isnull=False, state__in=never).distinct():
        yield story.session_id, f"story {story.pk} is {story.state}, but has been on air"
    for row in Airing.objects.filter(finished_at__lt=F("aired_at")):
        yield row.session_id, f"airing {row.pk} ends before it begins"


def runs() -> Iterator[tuple[object, str]]:
    """The times of a run are in order and near its changes, and each change has its event."""
    near = timedelta(minutes=5)  # two clocks: that of the database and that of the process
    opened = StateChange.objects.filter(run=OuterRef("pk"), cause=Cause.OPENED).order_by("-epoch")
    rows = Broadcast.objects.annotate(
        opened=Subquery(opened.values("created_at")[:1]),
        first=Min("changes__created_at"),
        latest=Max("changes__created_at"),
    )
    for run in rows.iterator(BATCH):
        at, ended = steps.now(), run.stopped_at
        times = [run.started_at, run.live_at, ended if run.state == State.IDLE else None, at]
        there = [moment for moment in times if moment]
        pairs = [(run.started_at, run.first), (run.live_at, run.opened), (run.since, run.latest)]
        far = [pair for pair in pairs if pair[0] and pair[1] and abs(pair[0] - pair[1]) > near]
        if there != sorted(there) or far:
            yield run.session_id, f"run {run.number} has times that its changes do not have"
        if ended and (run.stopped_at or at) > at + near:
            yield run.session_id, f"run {run.number} ends in the future"
    event = SessionEvent.objects.filter(session=OuterRef("session"), seq=OuterRef("seq"))
    changes = StateChange.objects.annotate(payload=Subquery(event.values("payload")[:1]))
    for change in changes.exclude(payload=None).iterator(BATCH):
        payload = change.payload
        if (payload.get("from"), payload.get("cause")) != (change.from_state, change.cause):
            yield change.session_id, f"change {change.pk} is not what its event says"


def recorded_files() -> Iterator[tuple[object, str]]:
    """Every finished sound and episode has its file with its size and sha256."""
    for model in (Sound, Episode):
        ready = model._default_manager.filter(state=Recorded.State.READY)
        for row in ready.order_by("pk").iterator(BATCH):
            if problem := verification.problem_of_file(row.path, row.bytes, row.sha256):
                yield row.session_id, f"{model._meta.verbose_name} {row.pk} {problem}"
    wrong = Recap.objects.exclude(link=None).exclude(link__run_number=F("run__number"))
    for recap in wrong.iterator(BATCH):
        yield recap.session_id, f"recap {recap.pk} has the link of another run"


def register() -> None:
    audits.register("states", states)
    audits.register("airings", airings)
    audits.register("runs", runs)
    audits.register("sounds", recorded_files)
    for record in (
        # A story that opens a thread is in the event of the one that follows it.
        Record("story", stories_of, airing.story_payload, also="joined"),
        Record(
            "slots",
            in_session(Slot),
            lambda slot: slots.payload(slot, steps.now()),
            frozenset({"next"}),
            removable=True,
        ),
        Record("recap", in_session(Recap, "run", "link"), recaps.payload),
        Record(
            "air",
            in_session(Broadcast),
            orchestrator.payload,
            frozenset({"can_start", "can_stop", "can_recover"}),
            identity="run",
            lookup="number",
        ),
    ):
        audits.register_record(record)


def stories_of(session_id: UUID) -> QuerySet[Story]:
    """Returns the stories of a session with all that their payload needs."""
    return stories.of_session(Session(pk=session_id))
