"""Who owns the work, and the thread that runs through it."""

from sessions_app.models.access import ApiToken, IdempotencyKey
from sessions_app.models.base import InSession
from sessions_app.models.record import Message, SessionEvent, Step
from sessions_app.models.session import Session, SessionStats

__all__ = [
    "ApiToken",
    "IdempotencyKey",
    "InSession",
    "Message",
    "Session",
    "SessionEvent",
    "SessionStats",
    "Step",
]
