"""The conversation with the producer: questions, answers, and the answer in progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from pydantic import Field

from sessions_app import rate_limits, sessions
from sessions_app.background import steps
from sessions_app.commands import Call, Command, Payload
from sessions_app.errors import Conflict, Invalid
from sessions_app.events import recorder
from sessions_app.models import AILink, Message, Session, Step
from sessions_app.realtime import checkpoints
from sessions_app.session_logs.redaction import redact
from stories.text.cleaning import clean_text, within
from stories.text.sentences import tokens_of

ANSWER = "answer"  # the kind of step
DELTA = "chat.delta"
MOST_TEXT = 2000  # characters
LOOKED_AT = 60  # messages
EXCHANGES = 6
MOST_TOKENS = 600  # of earlier exchanges
MOST_TOKENS_OF_ONE = 150  # of one text of an exchange
EXAMPLES = ("What is next?", "More science, less sport, slower", "What does it cost?")


class Question(Payload):
    """A message to the producer."""

    text: str = Field(min_length=1, max_length=MOST_TEXT, description="The message.")


def say(call: Call) -> Message:
    """Stores a message to the producer and enqueues its answer."""
    # A key pasted by mistake would stay in events, exports and prompts.
    session, text = call.target, redact(clean_text(call.payload.text, MOST_TEXT)).strip()
    if not text:
        raise Invalid("text: must not be empty.")
    sessions.require_open(session)
    most = settings.SMNB.limit_questions
    with transaction.atomic():
        if rate_limits.reached(open_questions(session), most):
            raise Conflict(f"The producer has {most} questions to answer. Wait for one.")
        message = Message.objects.create(session=session, role=Message.Role.HUMAN, text=text)
        steps.enqueue(session, ANSWER, message.pk)
        record(message, answering=True)
    return message


SAY = Command("chat.say", Question, say, "Sends a question or a request to the producer.")


def open_questions(session: Session) -> int:
    """Returns the number of questions that have no answer yet."""
    return Step.objects.filter(session=session, kind=ANSWER, state__in=Step.OPEN).count()


def answering(session: Session) -> bool:
    return open_questions(session) > 0


def record(message: Message, *, answering: bool) -> None:
    """Records the event of a new message; ``answering`` means that another answer follows."""
    payload = {"message": recorder.message_payload(message), "answering": answering}
    recorder.record(message.session, recorder.MESSAGE_ADDED, payload, messages=1)


def so_far(session: Session) -> Mapping[str, object] | None:
    """Returns the answer in progress as ``{text}``; None when no question is open."""
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
    """Returns the last exchanges before a question, oldest first, in ``MOST_TOKENS`` tokens.

    An earlier question may have been answered only after this one was asked; it is included.
    """
    rows = Message.objects.filter(session=question.session)
    tokens_left = MOST_TOKENS
    exchanges: list[Exchange] = []
    for row in rows.select_related("reply_to", "link").order_by("-id")[:LOOKED_AT]:
        if row.role != Message.Role.PRODUCER or row.reply_to is None or row.code:
            continue
        if row.reply_to.pk >= question.pk:
            continue
        text = row.text
        if row.plan:
            text = f"{text} [The plan was {row.plan['outcome'] or 'not applied'}.]"
        asked = within(row.reply_to.text, MOST_TOKENS_OF_ONE)
        answered = within(text, MOST_TOKENS_OF_ONE)
        tokens_left -= tokens_of(asked) + tokens_of(answered)
        if tokens_left < 0 or len(exchanges) == EXCHANGES:
            break
        exchanges.append(Exchange(asked, answered, row.link))
    return exchanges[::-1]
