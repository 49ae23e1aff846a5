"""Health of the pipeline, stage by stage, from the rows that drive it.

Each stage is ok, wants attention, or has stopped, with one sentence and one figure. Off air the
stages rest, which is not a fault: they are shown as stopped, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broadcast import airing, orchestrator
from broadcast.models import Airing
from broadcast.states import State
from broadcast.statistics import Statistics
from sessions_app.ai_chain import status
from sessions_app.ai_chain.status import QuickStatus
from sessions_app.models import Session, SessionEvent, Step
from stories.models import Source, Story
from stories.posts.queue import QUEUE_LIMIT
from stories.usage import ledger

OK, ATTENTION, STOPPED = "ok", "attention", "stopped"
LATE = timedelta(seconds=60)
QUIET = timedelta(minutes=10)
OFF_AIR = "Off air: this works while the broadcast is live."
MOST = 100


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage; ``figure`` is a number with its unit."""

    name: str
    state: str
    sentence: str
    figure: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the stages are judged by: read once, in a constant number of queries."""

    found: Statistics
    live: bool
    full_control: bool
    sources: Sequence[Source]
    steps: Sequence[Step]
    left_open: bool
    chain: QuickStatus
    on_air: Airing | None
    waiting: Story | None
    last_event: datetime | None

    @property
    def at(self) -> datetime:
        return self.found.at

    def steps_of(self, kind: str) -> list[Step]:
        return [step for step in self.steps if step.kind == kind]

    def late(self, step: Step) -> bool:
        return is_late(step, self.at)


def is_late(step: Step, at: datetime) -> bool:
    """Whether nobody takes the step: long due, or leased by a worker that died."""
    if step.state == Step.State.LEASED:
        return step.lease_until is not None and step.lease_until < at - LATE
    return step.due_at < at - LATE


def stages(session: Session, found: Statistics) -> list[Stage]:
    """The eight stages, from the sources to the pages."""
    seen = _look(session, found)
    judges = (_sources, _producer, _queue, _host, _ledger, _chain, _airing, _delivery)
    return [judge(seen) for judge in judges]


def _look(session: Session, found: Statistics) -> Seen:
    events = SessionEvent.objects.filter(session=session).order_by("-seq")
    return Seen(
        found=found,
        live=found.run is not None and found.run.state == State.LIVE,
        full_control=session.control_mode == Session.ControlMode.FULL_CONTROL,
        sources=list(Source.objects.filter(session=session, enabled=True)[:MOST]),
        steps=list(Step.objects.filter(session=session, state__in=Step.OPEN)[:MOST]),
        left_open=ledger.left_open().filter(session=session).exists(),
        chain=status.quick_status(session),
        on_air=airing.now_airing(session),
        waiting=airing.waiting(session),
        last_event=events.values_list("at", flat=True).first(),
    )


def _sources(seen: Seen) -> Stage:
    healths = [source.health for source in seen.sources]
    bad = [each for each in seen.sources if each.health in TROUBLED]
    figure = f"{len(healths) - len(bad)} of {len(healths)} in order"
    if not healths:
        sentence = "There is no source to read. Add one in the Session Manager."
        return Stage("Sources", STOPPED, sentence, "0 sources")
    if len(bad) == len(healths):
        return Stage("Sources", STOPPED, f"No source can be read. {why(bad[0])}", figure)
    if bad:
        return Stage("Sources", ATTENTION, why(bad[0]), figure)
    if all(health == Source.Health.FINISHED for health in healths):
        return Stage("Sources", ATTENTION, "All sources are at their end.", figure)
    return Stage("Sources", OK, "Every source can be read.", figure)


TROUBLED = (Source.Health.PAUSED, Source.Health.FAILED)


def why(source: Source) -> str:
    """What is the matter with a source, in its own words."""
    said = source.note or "It cannot be read now."
    return f"{source.locator[:80]}: {said}"


def _producer(seen: Seen) -> Stage:
    polls = seen.steps_of(orchestrator.POLL)
    late = sum(seen.late(step) for step in polls)
    figure = f"{seen.found.totals.figures['feed']:,} posts read"
    if not seen.live:
        return Stage("Producer", STOPPED, OFF_AIR, figure)
    if not polls and all(source.health == Source.Health.FINISHED for source in seen.sources):
        return Stage("Producer", OK, "There is nothing more to read.", figure)
    if not polls or late == len(polls):
        sentence = "No worker reads the sources. Look at the studio's log."
        return Stage("Producer", STOPPED, sentence, figure)
    if late:
        sentence = f"{late} of {len(polls)} readings are more than a minute late."
        return Stage("Producer", ATTENTION, sentence, figure)
    return Stage("Producer", OK, "Sources are read in time.", figure)


def _queue(seen: Seen) -> Stage:
    waiting = seen.found.totals.figures["queue"]
    figure = f"{waiting:,} posts waiting"
    if waiting >= QUEUE_LIMIT:
        sentence = "The queue is full, so sources are read more slowly."
        return Stage("Queue", ATTENTION, sentence, figure)
    if waiting:
        return Stage("Queue", OK, "Posts wait to be told, the best first.", figure)
    return Stage("Queue", OK, "No post waits: what is read next is told next.", figure)


def _host(seen: Seen) -> Stage:
    rounds = seen.steps_of(orchestrator.NARRATE)
    figure = f"{seen.found.totals.figures['story_count']:,} stories written"
    run = seen.found.run
    if not seen.live or run is None:
        return Stage("Host", STOPPED, OFF_AIR, figure)
    if run.hold is not None:
        return Stage("Host", ATTENTION, str(run.hold["sentence"]), figure)
    if not rounds or any(seen.late(step) for step in rounds):
        sentence = "No worker narrates. Look at the studio's log."
        return Stage("Host", STOPPED, sentence, figure)
    writing = any(step.state == Step.State.LEASED for step in rounds)
    sentence = "The host is at work." if writing else "The host waits for its next turn."
    return Stage("Host", OK, sentence, figure)


def _ledger(seen: Seen) -> Stage:
    totals = seen.found.totals
    figure = f"{totals.calls:,} calls booked"
    if unpriced := totals.figures["unpriced"]:
        sentence = f"No price is known for {unpriced:,} calls: their cost is missing."
        return Stage("Ledger", ATTENTION, sentence, figure)
    if seen.left_open:
        sentence = "A call was left open by a worker that died; it is closed with bounds soon."
        return Stage("Ledger", ATTENTION, sentence, figure)
    if totals.bounded:
        sentence = f"{totals.bounded:,} calls broke off: they are known by bounds only."
        return Stage("Ledger", OK, sentence, figure)
    return Stage("Ledger", OK, "Every call is booked as the API said.", figure)


def _chain(seen: Seen) -> Stage:
    links = seen.chain.links
    figure = f"{links:,} {'link' if links == 1 else 'links'}"
    match seen.chain.state:
        case status.EMPTY:
            return Stage("AI chain", OK, "No operation has ended yet.", figure)
        case status.SYNCED:
            return Stage("AI chain", OK, "What is asked next goes on from the latest.", figure)
    sentence = "Its head is not its latest link. Press “Put right” on the page of the AI chain."
    return Stage("AI chain", ATTENTION, sentence, figure)


def _airing(seen: Seen) -> Stage:
    figure = f"{seen.found.totals.aired:,} stories aired"
    if not seen.live:
        return Stage("Airing", STOPPED, OFF_AIR, figure)
    if seen.on_air is not None and seen.on_air.finish_at < seen.at - LATE:
        sentence = "The story on air should have ended more than a minute ago."
        return Stage("Airing", ATTENTION, sentence, figure)
    if seen.on_air is not None:
        return Stage("Airing", OK, "A story is on air.", figure)
    if seen.waiting is not None and seen.full_control:
        sentence = "A story waits for your approval in the Broadcast Center."
        return Stage("Airing", ATTENTION, sentence, figure)
    return Stage(
        "Airing", OK, "Nothing is on air just now; the next story airs when ready.", figure
    )


def _delivery(seen: Seen) -> Stage:
    figure = f"{seen.found.last_seq:,} events"
    if seen.live and seen.last_event is not None and seen.last_event < seen.at - QUIET:
        sentence = "Nothing has happened for more than ten minutes."
        return Stage("Delivery", ATTENTION, sentence, figure)
    return Stage("Delivery", OK, "Every event goes to the open pages as it happens.", figure)
