"""What a person decides about a plan: it is applied as a whole, once, or dismissed."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from broadcast import airing
from broadcast.chat import conversation, plans
from sessions_app import commands, events
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, NotFound
from sessions_app.models import Message, Session

CHANGED = events.declare("message.changed", "A plan of the producer was applied or dismissed.")
APPLIED, DISMISSED = "applied", "dismissed"


class MessageId(Payload):
    """A message of the producer with a plan."""

    message: int


def apply(call: Call) -> Message:
    """Have every command of the plan done, or none; each is checked once more as it stands now."""
    session = call.target
    with transaction.atomic():
        # The run before whatever the commands touch, as everywhere.
        airing.live_run(session)
        message = _settle(session, call.payload.message, APPLIED)
        done = [_run(call, each) for each in _plan(message)["commands"]]
        who = call.actor.get_username()
        _tell(message, f"{who} applied the plan. " + " ".join(done))
    return message


def dismiss(call: Call) -> Message:
    """Let the plan go: nothing of it will be done."""
    with transaction.atomic():
        message = _settle(call.target, call.payload.message, DISMISSED)
        events.record(message.session, CHANGED, {"message": events.message_payload(message)})
    return message


def _settle(session: Session, message_id: int, outcome: str) -> Message:
    """Decide about an open plan, once; Conflict when it is decided."""
    message = _find(session, message_id)
    plan = _plan(message) | {"outcome": outcome}
    undecided = Message.objects.filter(pk=message.pk, applied_at=None)
    if not undecided.update(applied_at=timezone.now(), plan=plan):
        raise Conflict("This plan was applied or dismissed already.")
    message.refresh_from_db(fields=["applied_at", "plan"])
    return message


def _find(session: Session, message_id: int) -> Message:
    rows = Message.objects.select_related("reply_to", "session")
    message = rows.filter(session=session, pk=message_id, plan__isnull=False).first()
    if message is None:
        raise NotFound("This session has no such plan.")
    return message


def _plan(message: Message) -> dict[str, Any]:
    return dict(message.plan or {})


def _run(call: Call, proposed: dict[str, Any]) -> str:
    data, sentence = plans.checked(call.target, proposed["command"], proposed["payload"])
    commands.run(proposed["command"], call.actor, call.session, data)
    return sentence


def _tell(message: Message, text: str) -> None:
    """Record what was done as a message of its own, then the plan as it is now."""
    note = Message.objects.create(
        session=message.session, role=Message.Role.SYSTEM, code="plan_applied",
        text=text[: conversation.MOST_TEXT], reply_to=message,
    )  # fmt: skip
    conversation.record(note, answering=conversation.answering(message.session))
    events.record(message.session, CHANGED, {"message": events.message_payload(message)})


def register() -> None:
    for name, payload, function, meaning in (
        ("chat.say", conversation.Question, conversation.say, "Ask or tell the producer."),
        ("chat.apply", MessageId, apply, "Have a plan of the producer done."),
        ("chat.dismiss", MessageId, dismiss, "Let a plan of the producer go."),
    ):
        commands.register(name, payload, function, meaning)
