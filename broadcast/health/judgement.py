"""Judges sources, producer, host and AI chain of a session from the rows that drive them.

The Broadcast Center (``workers``) and Live Stats (``stages``) show the same judgements. Off air,
producer and host are stopped, which is not a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broadcast import airing, orchestrator
from broadcast.models import Broadcast, Sound
from broadcast.states import State
from broadcast.statistics import Statistics, Totals
from sessions_app.ai_chain import status
from sessions_app.ai_chain.status import QuickStatus
from sessions_app.background import isolation, steps
from sessions_app.models import FailedWork, Session, SessionEvent, Step
from stories import stories
from stories.models import Source, SourcePost, Story
from stories.posts.queue import QUEUE_LIMIT
from stories.sources import service
from stories.usage import ledger

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


QUIET = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage; ``figure`` is a number with its unit."""

    name: str
    state: str
    sentence: str
    figure: str


def stages(session: Session, statistics: Statistics) -> list[Stage]:
    """Judges the eight stages, in the order in which posts become stories on the pages."""
    totals = statistics.totals
    figures = totals.figures
    snapshot = observe(session, statistics.run, figures["queue"])
    listed = len(snapshot.sources)
    readable = f"{listed - len(snapshot.faulty_sources)} of {listed} readable"
    links = snapshot.chain.links
    judged = (
        ("Sources", sources(snapshot), readable if listed else "0 sources"),
        ("Producer", producer(snapshot), _count(figures["feed"], "post", " read")),
        ("Queue", _queue(figures["queue"]), _count(figures["queue"], "post", " waiting")),
        ("Host", host(snapshot), _count(figures["story_count"], "story", " written")),
        ("Ledger", _ledger(session, totals), _count(totals.calls, "call", " recorded")),
        ("AI chain", ai_chain(snapshot), _count(links, "link")),
        ("Airing", _airing(session, snapshot), _count(totals.aired, "story", " aired")),
        ("Delivery", _delivery(session, snapshot), _count(statistics.last_seq, "event")),
    )
    return [
        Stage(name, verdict.state, verdict.sentence, figure) for name, verdict, figure in judged
    ]


def _count(number: int, noun: str, rest: str = "") -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}{rest}"


def _queue(waiting: int) -> Judgement:
    if waiting >= QUEUE_LIMIT:
        return Judgement(ATTENTION, "The queue is full, so sources are read more slowly.")
    if waiting:
        return Judgement(OK, "Posts wait to be narrated, the best first.")
    return Judgement(OK, "No post waits: the next post read is narrated next.")


def _ledger(session: Session, totals: Totals) -> Judgement:
    if unpriced := totals.figures["unpriced"]:
        sentence = f"No price is known for {unpriced:,} calls: their cost is missing."
        return Judgement(ATTENTION, sentence)
    if ledger.left_open().filter(session=session).exists():
        sentence = "A worker died during a call. The call will soon be closed with bounds."
        return Judgement(ATTENTION, sentence)
    if totals.bounded:
        sentence = f"{totals.bounded:,} calls broke off: only bounds of their usage are known."
        return Judgement(OK, sentence)
    return Judgement(OK, "Every call is recorded as the API reported it.")


def _airing(session: Session, snapshot: Snapshot) -> Judgement:
    if snapshot.live is None:
        return Judgement(STOPPED, OFF_AIR)
    on_air = airing.now_airing(session)
    if on_air is not None and on_air.finish_at < snapshot.at - LATE:
        sentence = "The story on air should have ended more than a minute ago."
        return Judgement(ATTENTION, sentence)
    if on_air is not None:
        return Judgement(OK, "A story is on air.")
    if snapshot.needs_approval:
        return Judgement(ATTENTION, "A story waits for your approval in the Broadcast Center.")
    return Judgement(OK, "Nothing is on air; the next story airs when it is ready.")


def _delivery(session: Session, snapshot: Snapshot) -> Judgement:
    events = SessionEvent.objects.filter(session=session).order_by("-seq")
    last_at = events.values_list("at", flat=True).first()
    if snapshot.live and last_at is not None and last_at < snapshot.at - QUIET:
        return Judgement(ATTENTION, "Nothing has happened for more than ten minutes.")
    # A sound that failed, or that another voice spoke than the one that was chosen.
    sounds = Sound.objects.filter(session=session).exclude(state=Sound.State.PENDING)
    if sentence := sounds.order_by("-pk").values_list("error", flat=True).first():
        return Judgement(ATTENTION, f"The latest sound: {sentence}")
    return Judgement(OK, "Every event goes to the open pages as it happens.")
