"""The conversation with the producer: what was asked, what was answered, and what is still open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from pydantic import Field

from sessions_app import rate_limits, sessions
from sessions_app.background import steps
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, Invalid
from sessions_app.events import recorder
from sessions_app.models import AILink, Message, Session, Step
from sessions_app.realtime import checkpoints
from stories.text import clean_text, tokens_of, within

ANSWER = "answer"  # the kind of step
DELTA = "chat.delta"
MOST_TEXT = 2000  # characters
LOOKED_AT = 60  # messages
EXCHANGES = 6
MOST_TOKENS = 600  # of earlier exchanges
_MOST_ONE = 150  # tokens of one of their texts
EXAMPLES = ("What is next?", "More science, less sport, slower", "What does it cost?")


class Question(Payload):
    """What a person says to the producer."""

    text: str = Field(min_length=1, max_length=MOST_TEXT)


def say(call: Call) -> Message:
    """Keep what a person says, and have the producer answer it."""
    session, text = call.target, clean_text(call.payload.text, MOST_TEXT).strip()
    if not text:
        raise Invalid("text: say something.")
    sessions.require_open(session)
    most = settings.SMNB.limit_questions
    with transaction.atomic():
        if rate_limits.reached(_open(session), most):
            raise Conflict(f"The producer has {most} questions to answer. Wait for one.")
        message = Message.objects.create(session=session, role=Message.Role.HUMAN, text=text)
        steps.enqueue(session, ANSWER, message.pk)
        record(message, answering=True)
    return message


def _open(session: Session) -> int:
    return Step.objects.filter(session=session, kind=ANSWER, state__in=Step.OPEN).count()


def record(message: Message, *, answering: bool) -> None:
    """Tell of a new message of the conversation; ``answering``: another answer is to come."""
    shown = {"message": recorder.message_payload(message), "answering": answering}
    recorder.record(message.session, recorder.MESSAGE_ADDED, shown, messages=1)


def answering(session: Session) -> bool:
    return _open(session) > 0


def so_far(session: Session) -> dict[str, Any] | None:
    """What the page shows of the answer under way: None, or ``{text}`` as far as it goes."""
    if not answering(session):
        return None
    return checkpoints.read(session.pk, DELTA) or {"text": ""}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer; ``link`` is the answer's place in the AI chain."""

    question: str
    answer: str
    link: AILink | None


def earlier(question: Message) -> list[Exchange]:
    """The last exchanges before a question, the oldest first, in at most ``MOST_TOKENS`` tokens.

    What was asked before it may have been answered after it was said: that is known, too.
    """
    rows = Message.objects.filter(session=question.session)
    left = MOST_TOKENS
    found: list[Exchange] = []
    for row in rows.select_related("reply_to", "link").order_by("-id")[:LOOKED_AT]:
        if row.role != Message.Role.PRODUCER or row.reply_to is None or row.code:
            continue
        if row.reply_to.pk >= question.pk:
            continue
        asked, said = within(row.reply_to.text, _MOST_ONE), within(_outcome(row), _MOST_ONE)
        left -= tokens_of(asked) + tokens_of(said)
        if left < 0 or len(found) == EXCHANGES:
            break
        found.append(Exchange(asked, said, row.link))
    return found[::-1]


def _outcome(answer: Message) -> str:
    """An answer with what became of its plan."""
    if not answer.plan:
        return answer.text
    done = answer.plan["outcome"] or "not applied"
    return f"{answer.text} [The plan was {done}.]"
