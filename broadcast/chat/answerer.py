"""The step that answers one question: it asks outside any transaction and stores in one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Self

import structlog
from django.db import transaction

from broadcast import orchestrator
from broadcast.chat import conversation, facts, plans
from broadcast.chat.conversation import ANSWER, DELTA
from broadcast.chat.facts import Answerer, Inquiry, Reply
from broadcast.chat.model_answerer import ModelAnswerer
from broadcast.chat.rule_answerer import RuleAnswerer
from sessions_app import context
from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NeedsHuman, Retry, WaitUntil
from sessions_app.events import recorder
from sessions_app.models import Message, Session, Step
from sessions_app.realtime import checkpoints
from stories.llm import EmptyAnswer, Refused, gateway_for
from stories.text.cleaning import clean_text
from stories.text.sentences import tokens_of
from stories.usage import budget
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.types import Ledger

log = structlog.get_logger(__name__)

BUDGET_SPENT = "The budget is spent, so I answer by rules until it is raised."
FAILED = "I could not get an answer this time. Please ask again."
FAULT = "An internal error prevented an answer; the log has the details. Please ask again."
FRAME_INTERVAL = 0.1  # seconds
ATTEMPTS = 3
TURN = timedelta(seconds=1)  # until a question checks again whether earlier ones are answered


def answerer_for(session: Session, ledger: Ledger, ended: Event) -> Answerer:
    """Returns the session's answerer; raises NeedsHuman when there is a key that cannot be used."""
    gateway = gateway_for(session, ended)
    if gateway is None:
        return RuleAnswerer()
    if budget.over_budget(session):
        return RuleAnswerer(BUDGET_SPENT)
    return ModelAnswerer(gateway, ledger, session.model)


@dataclass(frozen=True, slots=True)
class Turn:
    """One question being answered, and how its attempts are booked."""

    claim: Claim
    question: Message
    purpose: Purpose
    ledger: SessionLedger


def answer(claim: Claim) -> None:
    """Answers one question, after all that were asked before it."""
    open_steps = Step.objects.filter(session=claim.session, kind=ANSWER, state__in=Step.OPEN)
    if open_steps.filter(pk__lt=claim.step.pk).exists():
        with transaction.atomic():
            claim.reschedule(steps.now() + TURN)
        return
    question = _question(claim)
    known = facts.gather(question.session, question.text)
    exchanges = conversation.earlier(question)
    run = orchestrator.active(question.session)
    heads = [known.memory.head, *(exchange.link for exchange in exchanges)]
    purpose = Purpose(
        source=chain.Source.CHAT,
        run_number=run.number if run else None,
        # The newest link whose content is part of the prompt.
        context_head=max(
            (link for link in heads if link is not None),
            key=lambda link: link.number,
            default=None,
        ),
        question=question,
    )
    turn = Turn(claim, question, purpose, SessionLedger(claim, purpose))
    inquiry = Inquiry(question.session, question.text, known, tuple(exchanges))
    reply, model = _ask(turn, inquiry)
    _store(turn, reply, model)


def _question(claim: Claim) -> Message:
    rows = Message.objects.select_related("session__owner")
    return rows.get(session=claim.session, pk=int(claim.subject))


def _ask(turn: Turn, inquiry: Inquiry) -> tuple[Reply, str]:
    """Returns the reply and the answerer's model; a final error becomes the reply, without one."""
    try:
        answerer = answerer_for(inquiry.session, turn.ledger, turn.claim.lost)
        with context.span("answer", environment="agent"), PartialAnswer(turn) as partial:
            return answerer.answer(inquiry, partial), answerer.model
    except (Refused, EmptyAnswer, NeedsHuman) as error:
        if error.code == budget.CODE:
            # The call would not fit into what is left of the budget.
            rules = RuleAnswerer(BUDGET_SPENT)
            return rules.answer(inquiry, lambda _: None), rules.model
        # Another attempt would fail in the same way.
        return Reply(error.sentence, code=error.code), ""
    except (Retry, WaitUntil) as error:
        if turn.claim.step.attempts < ATTEMPTS:
            raise
        return Reply(FAILED, code=error.code), ""


class PartialAnswer:
    """Publishes an answer while it grows, at most once per ``FRAME_INTERVAL``.

    The checkpoint is dropped before the answer is stored, so that no page shows both.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn, self._text, self._published_at = turn, "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        checkpoints.drop(self._turn.question.session_id, DELTA)

    def __call__(self, text: str) -> None:
        self._turn.claim.check()
        now = time.monotonic()
        # The first text is published at once.
        if text == self._text or (self._text and now - self._published_at < FRAME_INTERVAL):
            return
        self._text, self._published_at = text, now
        session_id = self._turn.question.session_id
        frame = {"message": self._turn.question.pk, "text": text}
        recorder.publish_ephemeral(session_id, DELTA, frame)
        checkpoints.save(session_id, DELTA, frame)


def _store(turn: Turn, reply: Reply, model: str) -> None:
    """Stores the answer with its plan and its link, and completes the step."""
    session = turn.question.session
    with orchestrator.locked_live_run(session):
        turn.claim.complete()
        proposal = plans.propose(session, reply.suggestions)
        text = clean_text(f"{reply.text}\n\n{proposal.note}".strip(), conversation.MOST_TEXT)
        link = turn.ledger.link
        if model and not turn.ledger.attempts:
            # Rules made no model call, but their answer is an operation of the AI chain too. They also
            # answer a break-in in a session with a model, which is not asked then.
            operation = Operation(
                source=turn.purpose.source,
                provider_id=chain.offline_id(),
                model=RuleAnswerer.model,
                run_number=turn.purpose.run_number,
                context_head=turn.purpose.context_head,
                tokens=tokens_of(text),
            )
            link = chain.append(session, operation)
        message = Message.objects.create(
            session=session,
            role=Message.Role.PRODUCER,
            code=reply.code,
            text=text,
            reply_to=turn.question,
            plan=proposal.plan,
            link=link,
        )
        conversation.record(message, answering=conversation.answering(session))
    log.info("question_answered", message=message.pk, commands=len(reply.suggestions))


def give_up(claim: Claim) -> None:
    """Stores an apology as the answer after the last failed attempt."""
    message = Message.objects.create(
        session=claim.session,
        role=Message.Role.PRODUCER,
        code="fault",
        text=FAULT,
        reply_to=_question(claim),
    )
    conversation.record(message, answering=conversation.answering(claim.session))


def register() -> None:
    steps.register(Kind(ANSWER, "drafting", answer, give_up, outlives_run=True))
    checkpoints.register_frame(DELTA, DELTA)
