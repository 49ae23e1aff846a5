"""How host and producer are just now, and what went wrong last with what to do, for the desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from broadcast import orchestrator
from broadcast.host import claims
from broadcast.models import Broadcast
from broadcast.pipeline import ATTENTION, OFF_AIR, OK, STOPPED, TROUBLED, is_late, why
from broadcast.states import State
from sessions_app.ai_chain import status
from sessions_app.ai_chain.status import QuickStatus
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent, SessionStats, Step
from stories import stories
from stories.models import Source, SourcePost
from stories.sources import service

MOST_STEPS = 100
MOST_TROUBLES = 3
RECENT_EVENTS = 200


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment (ISO 8601) with what it stands for; ``ahead`` when it is still to come."""

    label: str
    at: str
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Worker:
    """Host, producer or AI chain: ``state`` is ok, attention or stopped; ``figure`` is a number in words."""

    name: str
    state: str
    sentence: str
    figure: str
    moments: list[Moment]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong and what to do; ``place`` is where to do it: session, account, or nowhere."""

    what: str
    advice: str
    place: str = ""
    at: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    workers: list[Worker]
    troubles: list[Trouble]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is judged: read once, in a constant number of queries."""

    at: datetime
    stats: SessionStats
    run: Broadcast | None
    sources: Sequence[Source]
    steps: Sequence[Step]
    failed: Step | None
    writing: SourcePost | None
    writing_since: datetime | None
    last_post: datetime | None
    needs_approval: bool
    chain: QuickStatus

    @property
    def live(self) -> Broadcast | None:
        return self.run if self.run is not None and self.run.state == State.LIVE else None

    def of(self, kind: str) -> list[Step]:
        return [step for step in self.steps if step.kind == kind]

    def next_due(self, kind: str) -> Iterator[datetime]:
        """When the next pending step of the kind is due, if that is still to come."""
        pending = [step.due_at for step in self.of(kind) if step.state == Step.State.PENDING]
        if pending and min(pending) > self.at:
            yield min(pending)


def read(session: Session) -> Health:
    """Who works, their chain, and the last troubles of a session, the most pressing first."""
    seen = _look(session)
    workers = [_host(seen), _producer(seen), _chain(seen)]
    return Health(workers, list(islice(_troubles(seen), MOST_TROUBLES)))


def _look(session: Session) -> Seen:
    stats = SessionStats.objects.get(session=session)
    run = orchestrator.latest(session)
    read_posts = SourcePost.objects.filter(session=session)
    writing = read_posts.filter(state=SourcePost.State.CLAIMED).first()
    failed = Step.objects.filter(session=session, state=Step.State.FAILED)
    if run is not None and run.started_at is not None:
        failed = failed.filter(due_at__gte=run.started_at)
    return Seen(
        at=steps.now(),
        stats=stats,
        run=run,
        sources=service.shown(session),
        steps=list(Step.objects.filter(session=session, state__in=Step.OPEN)[:MOST_STEPS]),
        failed=failed.exclude(kind=orchestrator.POLL).order_by("-id").first(),
        writing=writing,
        writing_since=_claimed_at(stats, writing) if writing else None,
        last_post=read_posts.order_by("-id").values_list("created_at", flat=True).first(),
        needs_approval=session.control_mode == Session.ControlMode.FULL_CONTROL
        and stories.waiting(session).filter(state="written").exists(),
        chain=status.quick_status(session),
    )


def _claimed_at(stats: SessionStats, post: SourcePost) -> datetime | None:
    """When the host took the post: its event is among the latest, so few are looked at."""
    taken = SessionEvent.objects.filter(
        session=stats.session_id, seq__gt=stats.last_seq - RECENT_EVENTS,
        type=claims.POST_CHANGED, payload__post__id=post.pk,
        payload__post__state=SourcePost.State.CLAIMED,
    )  # fmt: skip
    return taken.order_by("-seq").values_list("at", flat=True).first()


def _moments(*found: tuple[str, datetime | None]) -> list[Moment]:
    return [Moment(label, stamp) for label, at in found if (stamp := recorder.timestamp(at))]


def _ahead(label: str, due: Iterator[datetime]) -> list[Moment]:
    return [Moment(label, str(recorder.timestamp(at)), ahead=True) for at in due]


def _host(seen: Seen) -> Worker:
    state, sentence = _host_state(seen)
    writing = _moments(("Writing since", seen.writing_since))
    last = _moments(("Last story", seen.stats.last_story_at))
    following = _ahead("Next turn", seen.next_due(orchestrator.NARRATE)) if seen.live else []
    written = seen.stats.story_count
    figure = f"{written:,} {'story' if written == 1 else 'stories'}"
    return Worker("Host", state, sentence, figure, [*writing, *last, *following])


def _host_state(seen: Seen) -> tuple[str, str]:
    if seen.live is None:
        return STOPPED, OFF_AIR
    if seen.live.hold is not None:
        return ATTENTION, f"On hold: {seen.live.hold['sentence']}"
    turns = seen.of(orchestrator.NARRATE)
    if not turns or any(is_late(step, seen.at) for step in turns):
        return STOPPED, "No worker takes the host's turn."
    if seen.writing is not None:
        return OK, f"Writing: “{seen.writing.title[:90]}”."
    if seen.needs_approval:
        return ATTENTION, "Waits for you: a story needs your approval."
    if not seen.stats.queue:
        return OK, "Waits for a post: none is in the queue."
    return OK, "Waits for its next turn."


def _producer(seen: Seen) -> Worker:
    state, sentence = _producer_state(seen)
    last = _moments(("Last new post", seen.last_post))
    following = _ahead("Next reading", seen.next_due(orchestrator.POLL)) if seen.live else []
    return Worker("Producer", state, sentence, _counted(seen.sources), [*last, *following])


def _counted(sources: Sequence[Source]) -> str:
    """The sources by how they are: "sources: 2 ok, 1 paused"."""
    healths = [source.health for source in sources]
    found = [(name, healths.count(name)) for name in Source.Health]
    counted = ", ".join(f"{number} {name}" for name, number in found if number)
    return f"sources: {counted}" if counted else "no source"


def _producer_state(seen: Seen) -> tuple[str, str]:
    if not seen.sources:
        return STOPPED, "There is no source to read."
    if seen.live is None:
        return STOPPED, OFF_AIR
    polls = seen.of(orchestrator.POLL)
    if not polls and all(source.health == Source.Health.FINISHED for source in seen.sources):
        return OK, "All sources are at their end: there is nothing more to read."
    if not polls or all(is_late(step, seen.at) for step in polls):
        return STOPPED, "No worker reads the sources."
    bad = sum(source.health in TROUBLED for source in seen.sources)
    if bad:
        return ATTENTION, f"{bad} of {len(seen.sources)} sources cannot be read now."
    if any(source.health == Source.Health.WAITING for source in seen.sources):
        return OK, "The queue is full, so sources are read more slowly."
    return OK, "Sources are read in time."


def _chain(seen: Seen) -> Worker:
    found = seen.chain
    figure = f"{found.links:,} {'link' if found.links == 1 else 'links'}"
    state = ATTENTION if found.state == status.OUT_OF_SYNC else OK
    return Worker("AI chain", state, f"{found.state}: {CHAIN[found.state]}", figure, [])


CHAIN = {
    status.SYNCED: "the head is the latest operation.",
    status.OUT_OF_SYNC: "the head is not the latest operation.",
    status.EMPTY: "no operation has ended yet.",
}


def _of_chain(seen: Seen) -> Iterator[Trouble]:
    if seen.chain.state == status.OUT_OF_SYNC:
        advice = "Press “Put right” on the page of the AI chain. The next operation does it, too."
        yield Trouble("The AI chain is out of sync.", advice)


def _troubles(seen: Seen) -> Iterator[Trouble]:
    yield from _of_run(seen)
    yield from _of_workers(seen)
    for health in (Source.Health.FAILED, Source.Health.PAUSED):
        yield from (_of_source(each) for each in seen.sources if each.health == health)
    yield from _of_chain(seen)
    yield from _of_steps(seen)


def _of_run(seen: Seen) -> Iterator[Trouble]:
    run = seen.run
    if run is None:
        return
    if run.state == State.ERROR:
        advice = "Recover takes the same run up again. Stop closes it, and you can go live anew."
        yield Trouble(run.last_error or "The run failed.", advice, at=recorder.timestamp(run.since))
    if run.hold is not None and seen.live:
        advice, place = HOLD_ADVICE.get(run.hold["code"], (MEND, ""))
        if run.hold["until"]:
            advice, place = BY_ITSELF, ""
        yield Trouble(run.hold["sentence"], advice, place, until=run.hold["until"])


BY_ITSELF = "Nothing to do: it is tried again by itself."
MEND = "Once it is mended, the host goes on by itself within half a minute."
HOLD_ADVICE = {
    "budget": ("Raise the budget, or stop the broadcast.", "session"),
    "anthropic_key": ("Set or test your Anthropic key.", "account"),
    "anthropic_credit": ("Add credit at Anthropic, or use another key.", "account"),
    "model": ("Choose another model.", "session"),
}


def _of_workers(seen: Seen) -> Iterator[Trouble]:
    late = sum(is_late(step, seen.at) for step in seen.steps) if seen.live else 0
    if late:
        what = f"{late} {'step has' if late == 1 else 'steps have'} waited for more than a minute."
        yield Trouble(what, "Look whether the workers run: read the studio's log or restart it.")


def _of_source(source: Source) -> Trouble:
    at, until = recorder.timestamp(source.last_polled_at), recorder.timestamp(source.paused_until)
    if source.health == Source.Health.FAILED:
        return Trouble(why(source), "Test the source, or remove it.", "session", at, until)
    return Trouble(why(source), BY_ITSELF, "", at, until)


KINDS = {
    orchestrator.NARRATE: "Narrating",
    orchestrator.FINISH_AIRING: "Ending a story on air",
    orchestrator.POLL: "Reading a source",
}


def _of_steps(seen: Seen) -> Iterator[Trouble]:
    told = seen.live is not None and seen.live.hold is not None
    for step in seen.steps:
        if step.last_error and step.kind != orchestrator.POLL and not told:
            advice = "It is tried again by itself. If it fails again, read the studio's log."
            yield Trouble(_said(step), advice, until=recorder.timestamp(step.due_at))
    if seen.failed is not None:
        advice = "The broadcast goes on without it. The studio's log says more."
        yield Trouble(_said(seen.failed), advice, at=recorder.timestamp(seen.failed.due_at))


def _said(step: Step) -> str:
    return f"{KINDS.get(step.kind, step.kind.capitalize())}: {step.last_error}"
