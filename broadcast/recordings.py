"""Recordings: each finished run as the events that happened in it, one JSON object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
from sessions_app.models import Artifact, Session, SessionEvent

RECORD = "record_run"
NDJSON = "application/x-ndjson"
PIECE = 200  # lines
MOST_RUNS = 200
_NAME = re.compile(r"run-(\d+)(?:-\d+)?\.ndjson")


def arrange(run: Broadcast) -> None:
    """Have a run recorded; in the transaction that lets it rest."""
    steps.enqueue(run.session, RECORD, run.pk)


def make(claim: Claim) -> None:
    """The step: write what happened in the run, once."""
    run = Broadcast.objects.get(session=claim.session, pk=int(claim.subject))
    span = StateChange.objects.filter(run=run).aggregate(first=Min("seq"), last=Max("seq"))
    if run.state != State.IDLE or span["first"] is None or of_run(run).exists():
        return
    found = archive.events_between(claim.session, span["first"], span["last"])
    try:
        row = artifacts.write_file(
            claim.session, Category.RECORDINGS, f"run-{run.number}.ndjson", _lines(claim, found),
            media_type=NDJSON, note=f"What happened in broadcast {run.number}",
        )  # fmt: skip
        with transaction.atomic():
            claim.complete()
            artifacts.save_row(row)
    except Conflict as error:
        _say_unkept(claim, run, error.sentence)


def _lines(claim: Claim, found: Iterator[SessionEvent]) -> Iterator[bytes]:
    """The events as the API lists them, some lines at a time, while the step is still ours."""
    while piece := list(islice(found, PIECE)):
        claim.check()
        yield "".join(map(_line, piece)).encode()


def _line(event: SessionEvent) -> str:
    said = {
        "seq": event.seq,
        "type": event.type,
        "at": recorder.timestamp(event.at),
        "data": event.payload,
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"


def of_run(run: Broadcast) -> QuerySet[Artifact]:
    """The recordings of the run that are there: one, or none."""
    name = f"run-{run.number}"
    named = Q(name=f"{name}.ndjson") | Q(name__startswith=f"{name}-")
    return artifacts.listed(run.session, Category.RECORDINGS).filter(named)


def missing(session: Session) -> list[int]:
    """The numbers of the latest finished runs that have no recording."""
    rows = Broadcast.objects.filter(session=session, state=State.IDLE).order_by("-number")
    names = artifacts.listed(session, Category.RECORDINGS).values_list("name", flat=True)
    there = {int(found[1]) for name in names if (found := _NAME.fullmatch(name))}
    numbers = rows.values_list("number", flat=True)[:MOST_RUNS]
    return [number for number in numbers if number not in there]


def again(session: Session, number: int) -> Broadcast:
    """Have a finished run recorded that has no recording (any more)."""
    run = Broadcast.objects.filter(session=session, number=number).select_related("session").first()
    if run is None:
        raise NotFound("There is no such broadcast.")
    if run.state != State.IDLE:
        raise Conflict("The broadcast is not over yet. It is recorded at its end.", state=run.state)
    if of_run(run).exists():
        raise Conflict("This broadcast has its recording already.", state="recorded")
    arrange(run)
    return run


def _say_unkept(claim: Claim, run: Broadcast, reason: str) -> None:
    with transaction.atomic():
        claim.complete()
        _say(run, reason)


def _say(run: Broadcast, reason: str) -> None:
    sentence = (
        f"Broadcast {run.number} was not recorded. {reason} "
        "It can be recorded under Artifacts at any time."
    )
    recorder.add_message(run.session, "system", sentence, "recording")


def _gave_up(claim: Claim) -> None:
    run = Broadcast.objects.get(session=claim.session, pk=int(claim.subject))
    _say(run, "Its file could not be written; see the log.")


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
    steps.register(Kind(RECORD, "producer", make, _gave_up, outlives_run=True))
    commands.register(RECORD_AGAIN)
