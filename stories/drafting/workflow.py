"""The background step that takes one turn of a draft.

The agent works outside any transaction. Its hand-over, the new version, the draft's new state, the
events and the next step are then stored in one transaction, conditional on the state of the draft
before the turn. A worker that dies in between leaves nothing behind, and the turn is taken again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import structlog
from django.db import transaction
from django.db.models.functions import Now

from sessions_app import context
from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import steps, sweeper
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NeedsHuman, Retry, SmnbError, StaleClaim, WaitUntil
from sessions_app.events import recorder
from sessions_app.realtime import checkpoints
from stories.drafting import drafts, prompts, turns, versions
from stories.drafting.agents import Handover, Outline, Review, Text, Verdict, checked
from stories.drafting.drafts import DraftChecks
from stories.drafting.model_agent import agent_for
from stories.drafting.turns import PastTurn, Turn
from stories.llm import EmptyAnswer, Refused
from stories.models import Draft, DraftMessage, DraftVersion
from stories.text.sentences import tokens_of, word_count
from stories.usage.ledger import Purpose, SessionLedger

log = structlog.get_logger(__name__)

TURN = "draft_turn"
DELTA = "draft.delta"
STOPPED = "stopped"
# A page cannot show more than a few changes a second, and each frame is a message to Redis.
FRAMES_EVERY = 0.2  # seconds
LONGEST_FRAME = 12_000  # characters
ATTEMPTS = 4
# How soon a draft that waits for a person is tried again, by the code of the reason.
RECHECK = {"budget": timedelta(seconds=15), "no_material": timedelta(seconds=60)}
RECHECK_OTHER = timedelta(minutes=5)

State, Phase = Draft.State, Draft.Phase


@dataclass(frozen=True, slots=True)
class Work:
    """A turn in progress: its draft, the messages before it, and the ledger of its model calls."""

    claim: Claim
    draft: Draft
    messages: tuple[DraftMessage, ...]
    turn: Turn
    purpose: Purpose
    ledger: SessionLedger


@dataclass(frozen=True, slots=True)
class Result:
    """The hand-over of the agent; ``model`` is the name of an offline agent, or ""."""

    handover: Handover
    model: str


class Overtaken(StaleClaim):
    """The draft was changed while the agent was at work."""


def take_turn(claim: Claim) -> None:
    """Takes the next turn of a draft, if the draft is still open."""
    draft = Draft.objects.select_related("session__owner").get(
        session=claim.session, pk=int(claim.subject)
    )
    messages = tuple(drafts.of_draft(draft).select_related("link"))
    turn = turns.next_turn([turns.past_turn(message) for message in messages])
    if turn is None or not _is_active(draft):
        return
    context.bind(draft=draft.pk, turn=len(messages) + 1)
    head = prompts.context_head(draft, messages)
    purpose = Purpose(source=chain.Source.DRAFT, context_head=head, draft=draft)
    # A stop or an expiry ends the agent at the next heartbeat, not after its answer.
    active = Draft.objects.filter(pk=draft.pk, state__in=Draft.OPEN).exclude(note_code=STOPPED)
    claim.still_needed = active.exists
    work = Work(claim, draft, messages, turn, purpose, SessionLedger(claim, purpose))
    try:
        store_turn(work, ask_agent(work))
    except StaleClaim:
        # The draft changed under the agent: its result is dropped, and the turn is taken again.
        with transaction.atomic():
            # Locked, so that a stop which commits at this moment is either seen here or finds the
            # new step.
            locked = Draft.objects.select_for_update(no_key=True).get(pk=draft.pk)
            if _is_active(locked):
                claim.reschedule(steps.AT_ONCE)
            else:
                claim.complete()
    except (NeedsHuman, WaitUntil, Retry, Refused, EmptyAnswer) as error:
        handle_error(work, error)


def _is_active(draft: Draft) -> bool:
    return draft.state in Draft.OPEN and draft.note_code != STOPPED


def ask_agent(work: Work) -> Result:
    """Lets the session's agent take the turn, and checks its hand-over."""
    task = prompts.task_of(work.draft, work.turn, work.messages)
    agent = agent_for(work.draft.session, work.ledger, work.claim.lost)
    with context.span(work.turn.role, environment="agent"), LiveView(work, agent.model) as show:
        return Result(checked(task, agent.take(task, show)), agent.model)


class LiveView:
    """Shows a turn in progress to open pages, and stops the agent when the claim is lost."""

    def __init__(self, work: Work, model: str) -> None:
        self._work, self._model, self._shown_at, self._text = work, model, 0.0, ""

    def __enter__(self) -> Self:
        self._show("thinking")
        return self

    def __exit__(self, *_: object) -> None:
        # Before the turn is stored, so that no page shows it twice.
        checkpoints.drop(self._work.draft.session_id, _checkpoint(self._work.draft.pk))

    def __call__(self, text: Callable[[], str]) -> None:
        # Raises StaleClaim, which ends the request to the model.
        self._work.claim.check()
        now = time.monotonic()
        if now - self._shown_at >= FRAMES_EVERY and (shown := text()) != self._text:
            self._shown_at, self._text = now, shown
            self._show("writing")

    def _show(self, state: str) -> None:
        draft = self._work.draft
        frame = {
            "draft": draft.pk,
            "role": self._work.turn.role,
            "model": self._model,
            "kind": self._work.turn.kind,
            "state": state,
            # The end of the text, which is what changes.
            "text": self._text[-LONGEST_FRAME:],
        }
        checkpoints.save(draft.session_id, _checkpoint(draft.pk), frame)
        recorder.publish_ephemeral(draft.session_id, DELTA, frame)


def _checkpoint(draft_id: int) -> str:
    return f"{DELTA}:{draft_id}"


def turn_in_progress(draft: Draft) -> Mapping[str, object] | None:
    """Returns the latest ``draft.delta`` frame of a turn in progress; None without one."""
    return checkpoints.read(draft.session_id, _checkpoint(draft.pk))


def store_turn(work: Work, result: Result) -> None:
    """Stores the hand-over with its version, events and the next step in one transaction."""
    claim, draft, handover = work.claim, work.draft, result.handover
    written = handover if isinstance(handover, Text | Verdict) and handover.text else None
    number = draft.version + 1 if written else draft.version
    decision = handover.decision if isinstance(handover, Review | Verdict) else ""
    past = [turns.past_turn(message) for message in work.messages]
    following = turns.next_turn([*past, PastTurn(work.turn.kind, decision)])
    with transaction.atomic():
        title = handover.title if isinstance(handover, Outline | Text | Verdict) else ""
        # First, as it locks the draft's row: an edit or a stop from here on waits for this
        # transaction.
        _advance(draft, following, title, number)
        if following is None:
            claim.complete()
        else:
            # The same row for all turns, so a draft never has two steps that could run at once.
            claim.reschedule(steps.AT_ONCE)
        link = work.ledger.link
        if result.model and not work.ledger.attempts:
            # An offline agent's work is an operation of the AI chain like any other.
            operation = Operation(
                source=work.purpose.source,
                provider_id=chain.offline_id(),
                model=result.model,
                context_head=work.purpose.context_head,
                tokens=tokens_of(drafts.in_words(handover)),
            )
            link = chain.append(draft.session, operation)
        # A text is stored in its version only.
        payload = handover.model_dump(exclude={"text"})
        message = DraftMessage.objects.create(
            session=draft.session,
            draft=draft,
            turn=draft.turns + 1,
            role=work.turn.role,
            after=work.messages[-1].role if work.messages else "",
            kind=work.turn.kind,
            payload=payload | {"version": number} if written else payload,
            text=drafts.in_words(handover),
            link=link,
        )
        version = None
        if written:
            version = DraftVersion.objects.create(
                session=draft.session,
                draft=draft,
                number=number,
                author=work.turn.role,
                reason=written.reason[:300],
                title=written.title,
                text=written.text,
                word_count=word_count(written.text),
                link=link,
            )
        _record_events(draft, message, version)
    log.info("draft_turn", draft=draft.pk, turn=message.turn, role=message.role)


def _advance(draft: Draft, following: Turn | None, title: str, version: int) -> None:
    """Moves the draft to its next turn; Overtaken when it changed since it was read."""
    changes: dict[str, object] = {
        "turns": draft.turns + 1,
        "version": version,
        "phase": following.phase if following else Phase.DONE,
        "note": "",
        "note_code": "",
        "state": State.RUNNING if following else State.FINISHED,
        "active_at": Now(),
    }
    if title:
        changes["title"] = title
    if following is None:
        changes["finished_at"] = Now()
    # A turn, an edit or a stop that was stored first makes this update no row.
    rows = Draft.objects.filter(
        pk=draft.pk,
        turns=draft.turns,
        version=draft.version,
        state=draft.state,
        note_code=draft.note_code,
    )
    if not rows.update(**changes):
        raise Overtaken("The draft was changed while the agent was at work.")


def _record_events(before: Draft, message: DraftMessage, version: DraftVersion | None) -> None:
    """Records the turn, its version, the milestones it passed and the new state of the draft."""
    session = before.session
    draft = drafts.find(session, before.pk)
    recorder.record(session, drafts.ADDED, {"message": drafts.message_payload(message)})
    if version is not None:
        recorder.record(session, versions.ADDED, {"version": versions.payload(version)})
    for milestone in drafts.MILESTONES:
        if drafts.progress(before) < milestone <= drafts.progress(draft):
            latest, left = version or versions.latest(draft), None
            if session.budget is not None:
                session.stats.refresh_from_db(fields=["cost_upper"])
                left = max(0, session.budget - session.stats.cost_upper)
            checks: DraftChecks = {
                "phase": draft.phase,
                "turns": draft.turns,
                "words": latest.word_count if latest else 0,
                "wanted": draft.words,
                "left": left,
            }
            data = {"draft": drafts.payload(draft), "milestone": milestone, "checks": checks}
            recorder.record(session, drafts.PROGRESS, data)
    drafts.changed(draft)


def handle_error(work: Work, error: SmnbError) -> None:
    """Reschedules the turn: for a person, a given time or another attempt; or fails the draft."""
    # Only errors that may pass count as attempts; waiting for a person has no limit.
    attempts = work.claim.step.attempts
    if isinstance(error, NeedsHuman):
        state, until = State.WAITING, steps.now() + RECHECK.get(error.code, RECHECK_OTHER)
    elif isinstance(error, WaitUntil):
        state, until = State.WAITING, max(error.until, steps.now())
    else:
        state = State.FAILED if attempts >= ATTEMPTS else State.RUNNING
        until = steps.now() + steps.backoff(attempts)
    with transaction.atomic():
        # Lock order: the draft, then the step, then the counters.
        noted = _note_problem(work.draft, state, error.sentence, error.code)
        if state == State.FAILED or noted is None:
            work.claim.complete()
        else:
            counts = not isinstance(error, NeedsHuman)
            work.claim.reschedule(until, error=error.sentence if counts else "")
        if noted:
            drafts.changed(drafts.find(work.draft.session, work.draft.pk))


def _note_problem(draft: Draft, state: str, sentence: str, code: str) -> bool | None:
    """Notes why a draft waits or failed. None: it is not open; False: the note is there already."""
    rows = Draft.objects.filter(pk=draft.pk, state__in=Draft.OPEN).exclude(note_code=STOPPED)
    # Several attempts have the same problem: the row that changes is the one that is reported.
    without_note = rows.exclude(state=state, note_code=code)
    if without_note.update(state=state, note=sentence[:300], note_code=code):
        return True
    return False if rows.exists() else None


def fail_draft(claim: Claim) -> None:
    """Marks a draft as failed after the last attempt of its step."""
    draft = Draft.objects.select_related("session").get(
        session=claim.session, pk=int(claim.subject)
    )
    sentence = "An internal error ended the turn; see the log."
    if _note_problem(draft, State.FAILED, f"{sentence} Press Resume to try again.", "fault"):
        drafts.changed(drafts.find(draft.session, draft.pk))


def requeue_running(_up: float) -> None:
    """Enqueues the step of open drafts again, in case a crash or a race removed it."""
    # A draft that was active just now has a step, or is about to get one.
    quiet = Draft.objects.filter(drafts.OPEN, active_at__lt=Now() - timedelta(seconds=10))
    quiet = quiet.exclude(note_code=STOPPED).select_related("session")

    def requeue(draft: Draft) -> None:
        with transaction.atomic():
            # Does nothing for a draft that has an open step, so a wrong guess is harmless.
            steps.enqueue(draft.session, TURN, draft.pk)

    sweeper.for_each("Return of a draft to the queue", quiet, requeue, 100)


def register() -> None:
    steps.register(Kind(TURN, "drafting", take_turn, fail_draft, outlives_run=True))
    sweeper.register(requeue_running)
