"""Recordings: the events of each finished run in a file, one JSON object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction
from django.db.models import Max, Min, Q, QuerySet

from broadcast import orchestrator
from broadcast.models import Broadcast, StateChange
from broadcast.states import State
from sessions_app import commands
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.commands import Command, Payload
from sessions_app.errors import Conflict, NotFound
from sessions_app.events import archive, recorder
from sessions_app.files import artifacts
from sessions_app.files.artifacts import Category
from sessions_app.models import Artifact, Session, SessionEvent, Step
from sessions_app.realtime import frames
from stories import corrections
from stories.models import StoryVersion

RECORD = "record_run"
NDJSON = "application/x-ndjson"
LINES_AT_ONCE = 200
MOST_RUNS = 200
NAME = re.compile(r"run-(\d+)(?:-\d+)?\.ndjson")


def arrange(run: Broadcast) -> None:
    """Enqueues the recording of a run; in the transaction that makes it idle."""
    steps.enqueue(run.session, RECORD, run.pk)


def make(claim: Claim) -> None:
    """Records one finished run, once, and again after a correction."""
    run = Broadcast.objects.get(session=claim.session, pk=int(claim.subject))
    # The first and the last event of a run are those of its changes of state.
    span = StateChange.objects.filter(run=run).aggregate(first=Min("seq"), last=Max("seq"))
    if run.state != State.IDLE or span["first"] is None:
        return
    open_steps = Step.objects.filter(session=claim.session, state__in=Step.OPEN)
    if open_steps.filter(kind=corrections.ARCHIVES).exists():
        # A correction has not reached all archived events yet.
        with transaction.atomic():
            claim.reschedule(steps.now() + timedelta(seconds=2))
        return
    for recording in of_run(run):
        if not outdated(run, recording):
            return
        artifacts.remove(recording)
    events = archive.events_between(claim.session, span["first"], span["last"])
    try:
        # Outside any transaction, as a long run has many events.
        row = artifacts.write_file(
            claim.session,
            Category.RECORDINGS,
            f"run-{run.number}.ndjson",
            _lines(claim, events),
            media_type=NDJSON,
            note=f"Events of broadcast {run.number}",
        )
        with transaction.atomic():
            claim.complete()
            artifacts.save_row(row)
    # Usually the quota is used up: trying again would not help before the owner acts.
    except Conflict as error:
        with transaction.atomic():
            claim.complete()
            _report(run, error.sentence)


def _lines(claim: Claim, events: Iterator[SessionEvent]) -> Iterator[bytes]:
    """Yields the events as the API lists them, a number of lines at once.

    Stops with StaleClaim as soon as another worker has the step.
    """
    while batch := list(islice(events, LINES_AT_ONCE)):
        claim.check()
        lines = []
        for event in batch:
            item = {
                "seq": event.seq,
                "type": event.type,
                "at": recorder.timestamp(event.at),
                "data": frames.published(event.type, event.payload),
            }
            lines.append(json.dumps(item, ensure_ascii=False, separators=(",", ":")) + "\n")
        yield "".join(lines).encode()


def of_run(run: Broadcast) -> QuerySet[Artifact]:
    """Returns the recordings of the run that exist: one, or none."""
    name = f"run-{run.number}"
    # artifacts.store adds a number to a name that is taken, e.g. by a recording that was removed.
    named = Q(name=f"{name}.ndjson") | Q(name__startswith=f"{name}-")
    return artifacts.listed(run.session, Category.RECORDINGS).filter(named)


def missing(session: Session) -> list[int]:
    """Returns the numbers of the latest finished runs that have no recording."""
    rows = Broadcast.objects.filter(session=session, state=State.IDLE).order_by("-number")
    names = artifacts.listed(session, Category.RECORDINGS).values_list("name", flat=True)
    recorded = {int(match[1]) for name in names if (match := NAME.fullmatch(name))}
    numbers = rows.values_list("number", flat=True)[:MOST_RUNS]
    return [number for number in numbers if number not in recorded]


def again(session: Session, number: int) -> Broadcast:
    """Enqueues the recording of a finished run that has none."""
    run = Broadcast.objects.filter(session=session, number=number).select_related("session").first()
    if run is None:
        raise NotFound("There is no such broadcast.")
    if run.state != State.IDLE:
        raise Conflict("The broadcast has not ended. It is recorded when it ends.", state=run.state)
    if of_run(run).exists():
        raise Conflict("This broadcast has a recording already.", state="recorded")
    arrange(run)
    return run


def renew(session: Session, since: datetime) -> None:
    """Records the runs that ended after ``since`` again: the texts of their events have changed."""
    for run in Broadcast.objects.filter(session=session, stopped_at__gte=since):
        if of_run(run).exists():
            arrange(run)


def outdated(run: Broadcast, recording: Artifact) -> bool:
    """Whether a story was corrected since the recording was made."""
    later = StoryVersion.objects.filter(session=run.session, created_at__gt=recording.created_at)
    return later.filter(story__created_at__lte=recording.created_at).exists()


def _report(run: Broadcast, reason: str) -> None:
    sentence = (
        f"Broadcast {run.number} was not recorded. {reason} "
        "It can be recorded under Artifacts at any time."
    )
    recorder.add_message(run.session, "system", sentence, "recording")


def gave_up(claim: Claim) -> None:
    run = Broadcast.objects.get(session=claim.session, pk=int(claim.subject))
    _report(run, "Its file could not be written; see the log.")


class RunNumber(Payload):
    run: int


RECORD_AGAIN = Command(
    "recording.make",
    RunNumber,
    lambda call: again(call.target, call.payload.run),
    "Records a finished run that has no recording.",
)


def register() -> None:
    orchestrator.on_rest.subscribe(arrange)
    steps.register(Kind(RECORD, "producer", make, gave_up, outlives_run=True))
    commands.register(RECORD_AGAIN)
