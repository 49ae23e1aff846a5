"""Who owns the work, and the thread that runs through it."""

from sessions_app.models.access import ApiToken, IdempotencyKey
from sessions_app.models.artifact import Archive, Artifact
from sessions_app.models.base import InSession
from sessions_app.models.chain import AILink, AITransition, Chain
from sessions_app.models.preferences import Participant, Preferences, SealedKey, Workspace
from sessions_app.models.record import Message, SessionEvent, Step
from sessions_app.models.series import Bucket, Tally
from sessions_app.models.session import Session, SessionStats

__all__ = [
    "AILink",
    "AITransition",
    "ApiToken",
    "Archive",
    "Artifact",
    "Bucket",
    "Chain",
    "IdempotencyKey",
    "InSession",
    "Message",
    "Participant",
    "Preferences",
    "SealedKey",
    "Session",
    "SessionEvent",
    "SessionStats",
    "Step",
    "Tally",
    "Workspace",
]
