"""The room at work: a step takes one turn of a draft, and stores all that it brings at once.

The agent is asked outside any transaction. Its message, the new version, the draft's state, the
events and the next turn are one transaction, conditional on the turn before: whoever dies in
between leaves nothing behind, and the turn is taken once more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Self

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
from sessions_app.models import AILink, Session
from sessions_app.realtime import checkpoints
from stories.drafting import drafts, prompts, turns, versions
from stories.drafting.agents import Handover, Task
from stories.drafting.model_agent import agent_for
from stories.drafting.turns import Turn
from stories.drafting.validation import checked
from stories.llm import EmptyAnswer, Refused
from stories.models import Draft, DraftMessage, DraftVersion
from stories.text import tokens_of, word_count
from stories.usage.ledger import Purpose, SessionLedger

log = structlog.get_logger(__name__)

TURN = "draft_turn"
DELTA = "draft.delta"
STOPPED = "stopped"
FRAMES_EVERY = 0.2
LONGEST_FRAME = 12_000  # characters
ATTEMPTS = 4
LOOK_AGAIN = {"budget": timedelta(seconds=15), "no_material": timedelta(seconds=60)}
HUMAN = timedelta(minutes=5)  # how often what else needs a person is tried again

State, Phase = Draft.State, Draft.Phase


@dataclass(frozen=True, slots=True)
class Work:
    """A turn being taken: of which draft, after which messages, and how it is booked."""

    claim: Claim
    draft: Draft
    said: tuple[DraftMessage, ...]
    turn: Turn
    purpose: Purpose
    ledger: SessionLedger


@dataclass(frozen=True, slots=True)
class Done:
    """What an agent handed over; ``model`` is the offline agent's name, or ""."""

    handover: Handover
    model: str


def take_turn(claim: Claim) -> None:
    """Take the next turn of a draft, unless it is not open any more."""
    draft = Draft.objects.select_related("session__owner").get(
        session=claim.session, pk=int(claim.subject)
    )
    said = tuple(drafts.of_draft(draft).select_related("link"))
    turn = turns.next_turn([turns.said_in(each) for each in said])
    if turn is None or not _goes_on(draft):
        return
    context.bind(draft=draft.pk, turn=len(said) + 1)
    purpose = Purpose(
        source=chain.Source.DRAFT, context_head=prompts.context_head(draft, said), draft=draft
    )
    claim.still_needed = partial(_is_open, draft.pk)
    work = Work(claim, draft, said, turn, purpose, SessionLedger(claim, purpose))
    try:
        done = _ask(work)
        _keep(work, done)
    except StaleClaim:
        _look_again(work)
    except (NeedsHuman, WaitUntil, Retry, Refused, EmptyAnswer) as error:
        _trouble(work, error)


def _goes_on(draft: Draft) -> bool:
    return draft.state in Draft.OPEN and draft.note_code != STOPPED


def _is_open(draft_id: int) -> bool:
    rows = Draft.objects.filter(pk=draft_id, state__in=Draft.OPEN)
    return rows.exclude(note_code=STOPPED).exists()


def _ask(work: Work) -> Done:
    task: Task = prompts.task_of(work.draft, work.turn, work.said)
    agent = agent_for(work.draft.session, work.ledger, work.claim.lost)
    with context.span(work.turn.role, environment="agent"), Watch(work) as watch:
        return Done(checked(task, agent.take(task, watch)), agent.model)


class Watch:
    """Follows a turn: shows who thinks and what is written, and stops it when it is not wanted.

    What it showed is forgotten before the turn is stored, so that no page shows both.
    """

    def __init__(self, work: Work) -> None:
        self._work, self._shown, self._text = work, 0.0, ""

    def __enter__(self) -> Self:
        self._show("thinking")
        return self

    def __exit__(self, *_: object) -> None:
        checkpoints.drop(self._work.draft.session_id, checkpoint(self._work.draft.pk))

    def __call__(self, text: str) -> None:
        self._work.claim.check()
        at = time.monotonic()
        if text != self._text and at - self._shown >= FRAMES_EVERY:
            self._shown, self._text = at, text
            self._show("writing")

    def _show(self, state: str) -> None:
        draft = self._work.draft
        frame: dict[str, Any] = {
            "draft": draft.pk, "role": self._work.turn.role, "kind": self._work.turn.kind,
            "state": state, "text": self._text[-LONGEST_FRAME:],
        }  # fmt: skip
        checkpoints.save(draft.session_id, checkpoint(draft.pk), frame)
        recorder.publish_ephemeral(draft.session_id, DELTA, frame)


def checkpoint(draft_id: int) -> str:
    return f"{DELTA}:{draft_id}"


def so_far(draft: Draft) -> dict[str, Any] | None:
    """The turn under way, as the frame ``draft.delta`` has it; None when nobody works."""
    return checkpoints.read(draft.session_id, checkpoint(draft.pk))


class Overtaken(StaleClaim):
    """Something else happened to the draft while the agent was at work."""


def _keep(work: Work, done: Done) -> None:
    """Store the turn with all that belongs to it, and arm the next one."""
    claim, draft, handover = work.claim, work.draft, done.handover
    text: str = getattr(handover, "text", "")
    number = draft.version + 1 if text else draft.version
    decision = str(getattr(handover, "decision", ""))
    following = turns.next_turn(
        [*map(turns.said_in, work.said), turns.Said(work.turn.kind, decision)]
    )
    with transaction.atomic():
        _advance(draft, following, getattr(handover, "title", ""), number)
        if following is None:
            claim.complete()
        else:
            claim.reschedule(steps.now())
        link = _link(work, done)
        message = _message(work, handover, link, number)
        version = _version(work, handover, link, number) if text else None
        _record(work, message, version)
    log.info("draft_turn", draft=draft.pk, turn=message.turn, role=message.role)


def _advance(draft: Draft, following: Turn | None, title: str, version: int) -> None:
    """One conditional UPDATE: a turn, an edit or a stop that came first makes it change nothing."""
    phase = following.phase if following else Phase.DONE
    changes: dict[str, Any] = {
        "turns": draft.turns + 1, "version": version, "phase": phase, "note": "", "note_code": "",
        "state": State.RUNNING if following else State.FINISHED, "active_at": Now(),
    }  # fmt: skip
    if title:
        changes["title"] = title
    if following is None:
        changes["finished_at"] = Now()
    rows = Draft.objects.filter(
        pk=draft.pk, turns=draft.turns, version=draft.version, state=draft.state,
        note_code=draft.note_code,
    )  # fmt: skip
    if not rows.update(**changes):
        raise Overtaken("The draft was changed while the agent was at work.")


def _link(work: Work, done: Done) -> AILink | None:
    """The turn's place in the AI chain; rules are an operation like any other."""
    if work.ledger.attempts or not done.model:
        return work.ledger.link
    operation = Operation(
        source=work.purpose.source, provider_id=chain.offline_id(), model=done.model,
        context_head=work.purpose.context_head, tokens=tokens_of(drafts.in_words(done.handover)),
    )  # fmt: skip
    return chain.append(work.draft.session, operation)


def _message(work: Work, handover: Handover, link: AILink | None, version: int) -> DraftMessage:
    """The hand-over as it is kept; a text itself stands in its version alone."""
    said = handover.model_dump(exclude={"text"})
    if getattr(handover, "text", ""):
        said["version"] = version
    return DraftMessage.objects.create(
        session=work.draft.session, draft=work.draft, turn=work.draft.turns + 1,
        role=work.turn.role, after=work.said[-1].role if work.said else "", kind=work.turn.kind,
        payload=said, text=drafts.in_words(handover), link=link,
    )  # fmt: skip


def _version(work: Work, handover: Any, link: AILink | None, number: int) -> DraftVersion:
    return DraftVersion.objects.create(
        session=work.draft.session, draft=work.draft, number=number, author=work.turn.role,
        reason=handover.reason[:300], title=handover.title, text=handover.text,
        word_count=word_count(handover.text), link=link,
    )  # fmt: skip


def _record(work: Work, message: DraftMessage, version: DraftVersion | None) -> None:
    session, before = work.draft.session, drafts.progress(work.draft)
    draft = drafts.find(session, work.draft.pk)
    recorder.record(session, drafts.ADDED, {"message": drafts.message_payload(message)})
    if version is not None:
        recorder.record(session, versions.ADDED, {"version": versions.payload(version)})
    for milestone in drafts.MILESTONES:
        if before < milestone <= drafts.progress(draft):
            _milestone(draft, milestone, version)
    drafts.changed(draft)


def _milestone(draft: Draft, milestone: int, version: DraftVersion | None) -> None:
    """A checkpoint: how money, length and phase stand, for the owner to decide on."""
    session = draft.session
    latest = version or versions.latest(draft)
    checks = {
        "phase": draft.phase, "turns": draft.turns, "words": latest.word_count if latest else 0,
        "wanted": draft.words, "left": _left(session),
    }  # fmt: skip
    shown = {"draft": drafts.payload(draft), "milestone": milestone, "checks": checks}
    recorder.record(session, drafts.PROGRESS, shown)


def _left(session: Session) -> int | None:
    """What is left of the budget in 10⁻¹² USD; None without a budget."""
    if session.budget is None:
        return None
    session.stats.refresh_from_db(fields=["cost_upper"])
    return max(0, session.budget - session.stats.cost_upper)


def _look_again(work: Work) -> None:
    """The turn came to nothing: another is taken if the draft still runs."""
    with transaction.atomic():
        rows = Draft.objects.select_for_update(no_key=True)
        if _goes_on(rows.get(pk=work.draft.pk)):
            work.claim.reschedule(steps.now())
        else:
            work.claim.complete()


def _trouble(work: Work, error: SmnbError) -> None:
    """Wait for a person, for a time or for a better moment; after some attempts the draft fails."""
    attempts = work.claim.step.attempts
    if isinstance(error, NeedsHuman):
        state, until = State.WAITING, steps.now() + LOOK_AGAIN.get(error.code, HUMAN)
    elif isinstance(error, WaitUntil):
        state, until = State.WAITING, max(error.until, steps.now())
    else:
        state = State.FAILED if attempts >= ATTEMPTS else State.RUNNING
        until = steps.now() + steps.backoff(attempts)
    with transaction.atomic():
        # The draft before the step, and both before the counters, as everywhere.
        marked = _mark(work.draft, state, error.sentence, error.code)
        if state == State.FAILED or marked is None:
            work.claim.complete()
        else:
            counts = not isinstance(error, NeedsHuman)
            work.claim.reschedule(until, error=error.sentence if counts else "")
        if marked:
            drafts.changed(drafts.find(work.draft.session, work.draft.pk))


def _mark(draft: Draft, state: str, sentence: str, code: str) -> bool | None:
    """Note why a draft waits or failed; None when it is not open any more, False when it says so."""
    mine = Draft.objects.filter(pk=draft.pk, state__in=Draft.OPEN).exclude(note_code=STOPPED)
    news = mine.exclude(state=state, note_code=code)
    if news.update(state=state, note=sentence[:300], note_code=code):
        return True
    return False if mine.exists() else None


def _gave_up(claim: Claim, error: SmnbError | None) -> None:
    draft = Draft.objects.select_related("session").get(
        session=claim.session, pk=int(claim.subject)
    )
    sentence = error.sentence if error else "A fault of the studio ended the turn; see its log."
    if _mark(draft, State.FAILED, f"{sentence} Press Resume to try it again.", "fault"):
        drafts.changed(drafts.find(draft.session, draft.pk))


def _keep_alive(_up: float) -> None:
    """A running draft has its step: what a death or a race took away comes back."""
    quiet = Draft.objects.filter(drafts.OPEN, active_at__lt=Now() - timedelta(seconds=10))
    for draft in quiet.exclude(note_code=STOPPED).select_related("session")[:100]:
        with sweeper.session_scope(draft.session), transaction.atomic():
            steps.enqueue(draft.session, TURN, draft.pk)


def register() -> None:
    steps.register(Kind(TURN, "drafting", take_turn, _gave_up, outlives_run=True))
    sweeper.register(_keep_alive)
