"""Judges sources, producer, host and AI chain of a session from the rows that drive them.

The Broadcast Center (``workers``) and Live Stats (``stages``) show the same judgements. Off air,
producer and host are stopped, which is not a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broadcast import orchestrator
from broadcast.models import Broadcast
from broadcast.states import State
from sessions_app.ai_chain import status
from sessions_app.ai_chain.status import QuickStatus
from sessions_app.background import isolation, steps
from sessions_app.models import FailedWork, Session, Step
from stories import stories
from stories.models import Source, SourcePost, Story
from stories.sources import service

OK, ATTENTION, STOPPED = "ok", "attention", "stopped"
OFF_AIR = "Off air: this runs only during a broadcast."
LATE = timedelta(seconds=60)
MOST_STEPS = 100
MOST_ASIDE = 3
FAULTY = (Source.Health.PAUSED, Source.Health.FAILED)


@dataclass(frozen=True, slots=True)
class Judgement:
    """``state`` is ok, attention or stopped; ``sentence`` says why."""

    state: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows that are judged, read once in a constant number of queries."""

    at: datetime
    run: Broadcast | None
    queue: int  # posts waiting
    sources: Sequence[Source]
    steps: Sequence[Step]  # pending or leased
    writing: SourcePost | None
    needs_approval: bool
    chain: QuickStatus
    set_aside: Sequence[FailedWork] = ()

    @property
    def live(self) -> Broadcast | None:
        return self.run if self.run is not None and self.run.state == State.LIVE else None

    @property
    def faulty_sources(self) -> list[Source]:
        return [source for source in self.sources if source.health in FAULTY]

    def steps_of(self, kind: str) -> list[Step]:
        return [step for step in self.steps if step.kind == kind]

    def late(self, steps_: Sequence[Step]) -> int:
        """Counts the steps that no worker takes: long due, or leased by a worker that died."""
        limit = self.at - LATE
        leased = Step.State.LEASED
        # A lease that ended long ago means that the sweeper does not run either.
        return sum(
            step.lease_until is not None and step.lease_until < limit
            if step.state == leased
            else step.due_at < limit
            for step in steps_
        )


def observe(session: Session, run: Broadcast | None, queue: int) -> Snapshot:
    """Reads a snapshot; ``run`` is the session's latest run, ``queue`` its number of waiting posts."""
    full_control = session.control_mode == Session.ControlMode.FULL_CONTROL
    claimed = SourcePost.objects.filter(session=session, state=SourcePost.State.CLAIMED)
    return Snapshot(
        at=steps.now(),
        run=run,
        queue=queue,
        sources=service.shown(session),
        steps=list(Step.objects.filter(session=session, state__in=Step.OPEN)[:MOST_STEPS]),
        writing=claimed.first(),
        needs_approval=full_control
        and stories.waiting(session).filter(state=Story.State.WRITTEN).exists(),
        chain=status.quick_status(session),
        set_aside=list(isolation.set_aside(session.pk).order_by("-pk")[:MOST_ASIDE]),
    )


def sources(snapshot: Snapshot) -> Judgement:
    faulty = snapshot.faulty_sources
    if not snapshot.sources:
        return Judgement(STOPPED, "There is no source to read. Add one in the Session Manager.")
    if len(faulty) == len(snapshot.sources):
        return Judgement(STOPPED, f"No source can be read. {fault_of(faulty[0])}")
    if faulty:
        return Judgement(ATTENTION, fault_of(faulty[0]))
    if all(source.health == Source.Health.FINISHED for source in snapshot.sources):
        return Judgement(ATTENTION, "All sources are at their end.")
    return Judgement(OK, "Every source can be read.")


def fault_of(source: Source) -> str:
    return f"{source.locator[:80]}: {source.note or 'It cannot be read now.'}"


def producer(snapshot: Snapshot) -> Judgement:
    if not snapshot.sources:
        return Judgement(STOPPED, "There is no source to read.")
    if snapshot.live is None:
        return Judgement(STOPPED, OFF_AIR)
    polls = snapshot.steps_of(orchestrator.POLL)
    healths = {source.health for source in snapshot.sources}
    # A source at its end has no step any more, which is no fault of the workers.
    if not polls and healths == {Source.Health.FINISHED}:
        return Judgement(OK, "All sources are at their end: there is nothing more to read.")
    late = snapshot.late(polls)
    if late == len(polls):
        return Judgement(STOPPED, "No worker reads the sources. See the studio's log.")
    if late:
        sentence = f"{late} of {len(polls)} readings are more than a minute late."
        return Judgement(ATTENTION, sentence)
    if faulty := len(snapshot.faulty_sources):
        sentence = f"{faulty} of {len(snapshot.sources)} sources cannot be read now."
        return Judgement(ATTENTION, sentence)
    if Source.Health.WAITING in healths:
        return Judgement(OK, "The queue is full, so sources are read more slowly.")
    return Judgement(OK, "Sources are read on time.")


def host(snapshot: Snapshot) -> Judgement:
    if snapshot.live is None:
        return Judgement(STOPPED, OFF_AIR)
    if snapshot.live.hold is not None:
        return Judgement(ATTENTION, f"On hold: {snapshot.live.hold['sentence']}")
    rounds = snapshot.steps_of(orchestrator.NARRATE)
    if not rounds or snapshot.late(rounds):
        return Judgement(STOPPED, "No worker narrates. See the studio's log.")
    # While a post is claimed, the host works, whatever else waits.
    if snapshot.writing is not None:
        return Judgement(OK, f"Writing: “{snapshot.writing.title[:90]}”.")
    if snapshot.needs_approval:
        return Judgement(ATTENTION, "A story waits for your approval in the Broadcast Center.")
    if not snapshot.queue:
        return Judgement(OK, "Waits for a post: none is in the queue.")
    return Judgement(OK, "Waits for its next round.")


def ai_chain(snapshot: Snapshot) -> Judgement:
    if snapshot.chain.state == status.OUT_OF_SYNC:
        sentence = "The head is not the latest operation. Press “Repair” on the AI chain page."
        return Judgement(ATTENTION, f"{status.OUT_OF_SYNC}: {sentence}")
    if snapshot.chain.state == status.EMPTY:
        return Judgement(OK, f"{status.EMPTY}: no operation has ended yet.")
    return Judgement(OK, f"{status.SYNCED}: the head is the latest operation.")
