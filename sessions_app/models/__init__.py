"""Models of sessions, their events, background steps, AI chain and artifacts, and of accounts."""

from sessions_app.models.accounts import (
    ApiToken,
    IdempotencyKey,
    Participant,
    Preferences,
    SealedKey,
    Workspace,
)
from sessions_app.models.ai_chain import AILink, AITransition, Chain
from sessions_app.models.artifacts import Archive, Artifact
from sessions_app.models.events import (
    AuditReport,
    Bucket,
    FailedWork,
    Message,
    SessionEvent,
    Step,
    Tally,
)
from sessions_app.models.session import InSession, Session, SessionStats

__all__ = [
    "AILink",
    "AITransition",
    "ApiToken",
    "Archive",
    "Artifact",
    "AuditReport",
    "Bucket",
    "Chain",
    "FailedWork",
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
