"""Host, producer and AI chain with the last troubles, as the Broadcast Center shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from broadcast import orchestrator
from broadcast.health import judgement
from broadcast.health.judgement import Judgement, Snapshot
from broadcast.host import claims
from broadcast.states import State
from sessions_app.ai_chain import status
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent, SessionStats, Step
from stories.models import Source, SourcePost

MOST_TROUBLES = 3
RECENT_EVENTS = 200

RETRIED = "Nothing to do: it is tried again automatically."
RESUMES = "Narration resumes automatically within 30 seconds of the fix."
HOLD_ADVICE = {
    "budget": ("Raise the budget, or stop the broadcast.", "session"),
    "anthropic_key": ("Set or test your Anthropic key.", "account"),
    "anthropic_credit": ("Add credit at Anthropic, or use another key.", "account"),
    "model": ("Choose another model.", "session"),
}
STEP_LABELS = {
    orchestrator.NARRATE: "Narrating",
    orchestrator.FINISH_AIRING: "Ending a story on air",
    orchestrator.POLL: "Reading a source",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time (ISO 8601) with its label; ``ahead`` if it is in the future."""

    label: str
    at: str
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Worker:
    """Host, producer or AI chain: ``state`` is ok, attention or stopped; ``figure`` has its unit."""

    name: str
    state: str
    sentence: str
    figure: str
    moments: list[Moment]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem and what to do about it; ``place`` is where: session, account, or empty."""

    what: str
    advice: str
    place: str = ""
    at: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    workers: list[Worker]
    troubles: list[Trouble]


def read(session: Session) -> Health:
    """Returns the workers of a session and its few most pressing troubles."""
    stats = SessionStats.objects.get(session=session)
    run = orchestrator.latest(session)
    snapshot = judgement.observe(session, run, stats.queue)
    posts = SourcePost.objects.filter(session=session).order_by("-id")
    last_post_at = posts.values_list("created_at", flat=True).first()
    # Steps that failed in an earlier run are not shown again.
    failed_steps = Step.objects.filter(session=session, state=Step.State.FAILED)
    if run is not None and run.started_at is not None:
        failed_steps = failed_steps.filter(due_at__gte=run.started_at)
    failed_step = failed_steps.exclude(kind=orchestrator.POLL).order_by("-id").first()
    links = snapshot.chain.links
    healths = [source.health for source in snapshot.sources]
    counts = [f"{healths.count(name)} {name}" for name in Source.Health if name in healths]
    workers = [
        _worker(
            "Host",
            judgement.host(snapshot),
            f"{stats.story_count:,} {'story' if stats.story_count == 1 else 'stories'}",
            ("Writing since", _claimed_at(stats, snapshot.writing)),
            ("Last story", stats.last_story_at),
            ("Next round", _next_due(snapshot, orchestrator.NARRATE)),
        ),
        _worker(
            "Producer",
            judgement.producer(snapshot),
            f"sources: {', '.join(counts)}" if counts else "no source",
            ("Last new post", last_post_at),
            ("Next reading", _next_due(snapshot, orchestrator.POLL)),
        ),
        _worker(
            "AI chain",
            judgement.ai_chain(snapshot),
            f"{links:,} {'link' if links == 1 else 'links'}",
        ),
    ]
    return Health(workers, list(islice(_troubles(snapshot, failed_step), MOST_TROUBLES)))


def _worker(
    name: str, verdict: Judgement, figure: str, *times: tuple[str, datetime | None]
) -> Worker:
    moments = [
        Moment(label, recorder.timestamp(at), ahead=label.startswith("Next"))
        for label, at in times
        if at is not None
    ]
    return Worker(name, verdict.state, verdict.sentence, figure, moments)


def _claimed_at(stats: SessionStats, post: SourcePost | None) -> datetime | None:
    """Returns when the host claimed the post that it writes about."""
    if post is None:
        return None
    # The event of the claim is among the latest, so only few events are searched.
    events = SessionEvent.objects.filter(
        session=stats.session_id,
        seq__gt=stats.last_seq - RECENT_EVENTS,
        type=claims.POST_CHANGED,
        payload__post__id=post.pk,
        payload__post__state=SourcePost.State.CLAIMED,
    )
    return events.order_by("-seq").values_list("at", flat=True).first()


def _next_due(snapshot: Snapshot, kind: str) -> datetime | None:
    """Returns when the next step of this kind is due, while the session is live."""
    steps = snapshot.steps_of(kind) if snapshot.live else []
    due = min((step.due_at for step in steps if step.state == Step.State.PENDING), default=None)
    return due if due is not None and due > snapshot.at else None


def _troubles(snapshot: Snapshot, failed_step: Step | None) -> Iterator[Trouble]:
    """Yields the troubles of a session, the most pressing first."""
    yield from _run_troubles(snapshot)
    late = snapshot.late(snapshot.steps) if snapshot.live else 0
    if late:
        yield Trouble(
            f"{late} {'step has' if late == 1 else 'steps have'} waited for more than a minute.",
            "Check that the workers run: see the studio's log, or restart the studio.",
        )
    for source in sorted(snapshot.faulty_sources, key=lambda source: source.health):
        failed = source.health == Source.Health.FAILED
        yield Trouble(
            judgement.fault_of(source),
            "Test the source, or remove it." if failed else RETRIED,
            "session" if failed else "",
            recorder.timestamp(source.last_polled_at),
            recorder.timestamp(source.paused_until),
        )
    for aside in snapshot.set_aside:
        advice = "The operator can choose “Try again” for it in the admin."
        yield Trouble(aside.sentence, advice, at=recorder.timestamp(aside.created_at))
    if snapshot.chain.state == status.OUT_OF_SYNC:
        advice = "Press “Repair” on the AI chain page. The next operation repairs it too."
        yield Trouble("The AI chain is out of sync.", advice)
    on_hold = snapshot.live is not None and snapshot.live.hold is not None
    for step in snapshot.steps:
        # The error of a source is shown above, and that of a hold with the run.
        if step.last_error and step.kind != orchestrator.POLL and not on_hold:
            advice = "It is tried again automatically. If it fails again, see the studio's log."
            yield Trouble(_step_error(step), advice, until=recorder.timestamp(step.due_at))
    if failed_step is not None:
        advice = "The broadcast continues without it. See the studio's log."
        yield Trouble(_step_error(failed_step), advice, at=recorder.timestamp(failed_step.due_at))


def _run_troubles(snapshot: Snapshot) -> Iterator[Trouble]:
    run = snapshot.run
    if run is not None and run.state == State.ERROR:
        advice = "Recover resumes this run. Stop ends it so you can go live again."
        yield Trouble(run.last_error or "The run failed.", advice, at=recorder.timestamp(run.since))
    if snapshot.live is not None and (hold := snapshot.live.hold) is not None:
        advice, place = HOLD_ADVICE.get(hold["code"], (RESUMES, ""))
        if hold["until"]:
            advice, place = RETRIED, ""
        yield Trouble(hold["sentence"], advice, place, until=hold["until"])


def _step_error(step: Step) -> str:
    return f"{STEP_LABELS.get(step.kind, step.kind.capitalize())}: {step.last_error}"
