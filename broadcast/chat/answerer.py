"""The step that answers one question: asked outside any transaction, stored in one.

Who answers for the producer: a model when there is a key and money, else rules.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any, Self

import structlog
from django.db import transaction

from broadcast import orchestrator
from broadcast.chat import conversation, facts, plans
from broadcast.chat.conversation import ANSWER, DELTA, Exchange
from broadcast.chat.facts import Answerer, Facts, Inquiry, Reply
from broadcast.chat.model_answerer import ModelAnswerer
from broadcast.chat.rule_answerer import RuleAnswerer
from sessions_app import context
from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NeedsHuman, Retry, SmnbError, WaitUntil
from sessions_app.events import recorder
from sessions_app.models import AILink, Message, Session, Step
from sessions_app.realtime import checkpoints
from stories.llm import EmptyAnswer, Refused, gateway_for
from stories.text import clean_text, tokens_of
from stories.usage import ledger as usage_ledger
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.types import Ledger

log = structlog.get_logger(__name__)


SPENT = "The budget is spent, so I answer by rules alone until there is money again."


def answerer_for(session: Session, ledger: Ledger, ended: Event) -> Answerer:
    """Returns the session's answerer; raises NeedsHuman when there is a key that cannot be used."""
    gateway = gateway_for(session, ended)
    if gateway is None:
        return RuleAnswerer()
    if usage_ledger.over_budget(session):
        return RuleAnswerer(SPENT)
    return ModelAnswerer(gateway, ledger, session.model)


FRAMES_EVERY = 0.1

ATTEMPTS = 3

TURN = timedelta(seconds=1)  # how soon a question looks again whether those before are answered

FAULT = "A fault of the studio kept me from answering; its log says more. Please ask again."


@dataclass(frozen=True, slots=True)
class Turn:
    """One question being answered, and how its attempts are booked."""

    claim: Claim
    question: Message
    purpose: Purpose
    ledger: SessionLedger


def answer(claim: Claim) -> None:
    """Answer one question, after all that were asked before it."""
    if _comes_later(claim):
        with transaction.atomic():
            claim.reschedule(steps.now() + TURN)
        return
    question = _question(claim)
    known = facts.gather(question.session, question.text)
    exchanges = conversation.earlier(question)
    purpose = _purpose(question, known, exchanges)
    turn = Turn(claim, question, purpose, SessionLedger(claim, purpose))
    inquiry = Inquiry(question.session, question.text, known, tuple(exchanges))
    reply, model = _ask(turn, inquiry)
    _keep(turn, reply, model)


def _question(claim: Claim) -> Message:
    rows = Message.objects.select_related("session__owner")
    return rows.get(session=claim.session, pk=int(claim.subject))


def _comes_later(claim: Claim) -> bool:
    mine = Step.objects.filter(session=claim.session, kind=ANSWER, state__in=Step.OPEN)
    return mine.filter(pk__lt=claim.step.pk).exists()


def _purpose(question: Message, known: Facts, exchanges: list[Exchange]) -> Purpose:
    run = orchestrator.active(question.session)
    links = [known.memory.head, *(each.link for each in exchanges)]
    heads: list[AILink] = [link for link in links if link is not None]
    return Purpose(
        source=chain.Source.CHAT,
        run_number=run.number if run else None,
        context_head=max(heads, key=lambda link: link.number, default=None),
        question=question,
    )


def _ask(turn: Turn, inquiry: Inquiry) -> tuple[Reply, str]:
    """The reply, and the offline answerer's name or ""; what cannot be mended here is the reply."""
    try:
        answerer = answerer_for(inquiry.session, turn.ledger, turn.claim.lost)
        with context.span("answer", environment="agent"), Watch(turn) as watch:
            return answerer.answer(inquiry, watch), answerer.model
    except (Refused, EmptyAnswer, NeedsHuman) as error:
        return _failed(error), ""
    except (Retry, WaitUntil) as error:
        if turn.claim.step.attempts < ATTEMPTS:
            raise
        return _failed(error, "I could not get an answer this time. Please ask again."), ""


def _failed(error: SmnbError, sentence: str = "") -> Reply:
    return Reply(sentence or error.sentence, code=error.code)


class Watch:
    """Follows an answer as it grows: its first words are shown at once, the others as they come.

    What was shown is forgotten before the answer is stored, so that no page shows both.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn, self._text, self._shown = turn, "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        checkpoints.drop(self._turn.question.session_id, DELTA)

    def __call__(self, text: str) -> None:
        self._turn.claim.check()
        at = time.monotonic()
        if text == self._text or (self._text and at - self._shown < FRAMES_EVERY):
            return
        self._text, self._shown = text, at
        frame: dict[str, Any] = {"message": self._turn.question.pk, "text": text}
        recorder.publish_ephemeral(self._turn.question.session_id, DELTA, frame)
        checkpoints.save(self._turn.question.session_id, DELTA, frame)


def _keep(turn: Turn, reply: Reply, model: str) -> None:
    """Store the answer with its plan and its link, and end the step."""
    session = turn.question.session
    with orchestrator.locked_live_run(session):
        turn.claim.complete()
        proposal = plans.proposed(session, reply.wanted)
        said = clean_text(f"{reply.text}\n\n{proposal.note}".strip(), conversation.MOST_TEXT)
        message = Message.objects.create(
            session=session, role=Message.Role.PRODUCER, code=reply.code, text=said,
            reply_to=turn.question, plan=proposal.plan, link=_link(turn, model, said),
        )  # fmt: skip
        conversation.record(message, answering=conversation.answering(session))
    log.info("question_answered", message=message.pk, commands=len(reply.wanted))


def _link(turn: Turn, model: str, said: str) -> AILink | None:
    """The answer's place in the AI chain; rules are an operation like any other."""
    if turn.ledger.attempts or not model:
        return turn.ledger.link
    operation = Operation(
        source=turn.purpose.source, provider_id=chain.offline_id(), model=model,
        run_number=turn.purpose.run_number, context_head=turn.purpose.context_head,
        tokens=tokens_of(said),
    )  # fmt: skip
    return chain.append(turn.question.session, operation)


def _gave_up(claim: Claim) -> None:
    question = _question(claim)
    message = Message.objects.create(
        session=claim.session, role=Message.Role.PRODUCER, code="fault", text=FAULT,
        reply_to=question,
    )  # fmt: skip
    conversation.record(message, answering=conversation.answering(claim.session))


def register() -> None:
    steps.register(Kind(ANSWER, "drafting", answer, _gave_up, outlives_run=True))
    checkpoints.register_frame(DELTA, DELTA)
