"""The sessions of the old system: each becomes one of ours once, at rest, with its own date."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from django.contrib.auth.models import User

from sessions_app import events, lifecycle
from sessions_app.folders import folder_name
from sessions_app.models import Session, SessionStats
from stories.legacy.documents import SessionDocument
from stories.text import clean_line

PREFIX = "legacy:"
# What the old settings have that no setting of ours is equal to.
DROPPED = ("temperature", "maxTokens", "topP", "frequencyPenalty", "presencePenalty")

_HOST_FORM = re.compile(r"host-session-(\d{13})-\w+")
_TAB_FORM = re.compile(r"session-(\d{13})(?:-\w+)?")
_ID_FORM = re.compile(r"[0-9a-z]{20,40}")

ABSENT = "No session is named."
HOST_FORM = "A name that the host gave itself; no session ever had it."
TAB_FORM = "A name that a browser's tab gave itself; no session ever had it."
UNKNOWN = "The session is not in the export: it was deleted, or its row is damaged."
NO_ID = "The name is not one that a session can have."


def why_homeless(named: str) -> str:
    """Why no session is behind this string."""
    if not named:
        return ABSENT
    if _HOST_FORM.fullmatch(named):
        return HOST_FORM
    if _TAB_FORM.fullmatch(named):
        return TAB_FORM
    return UNKNOWN if _ID_FORM.fullmatch(named) else NO_ID


def moment_named(named: str) -> float | None:
    """The moment that a dead form carries, in seconds."""
    found = _HOST_FORM.fullmatch(named) or _TAB_FORM.fullmatch(named)
    return int(found[1]) / 1000 if found else None


def homes(named: Iterable[str]) -> dict[str, Session]:
    """The sessions that were imported, whoever did it, by their old id.

    The old rows exist once, so they go where their session went.
    """
    wanted = [PREFIX + each for each in set(named) if _fits(each)]
    found = Session.objects.filter(imported_id__in=wanted)
    return {each.imported_id.removeprefix(PREFIX): each for each in found}


def _fits(named: str) -> bool:
    return 0 < len(named) <= 64 and "\0" not in named


def make(documents: Sequence[SessionDocument], owner: User) -> None:
    """New sessions with their counters, each with its event; in the caller's transaction."""
    fresh = [_session(document, owner) for document in documents]
    Session.objects.bulk_create(fresh)
    SessionStats.objects.bulk_create([SessionStats(session=session) for session in fresh])
    for session, document in zip(fresh, documents, strict=True):
        old = {"id": document.old_id, "broadcast_state": document.broadcast_state}
        shown = {"session": lifecycle.payload(session), "legacy": old}
        events.record(session, events.SESSION_CHANGED, shown)


def _session(document: SessionDocument, owner: User) -> Session:
    made = Session(
        owner=owner,
        name=clean_line(document.name, 120) or f"Session of {document.made:%Y-%m-%d}",
        type=Session.Type.IMPORTED,
        status=document.status,
        control_mode=document.settings.control_mode,
        imported_id=PREFIX + document.old_id,
        created_at=document.made,
    )
    made.model = clean_line(document.settings.model, 80) or made.model
    made.folder = folder_name(made.name, document.made.date(), made.pk)
    return made


def left_out(documents: Iterable[SessionDocument]) -> Counter[str]:
    """What the sessions lose: settings without an equal, and being on air."""
    found: Counter[str] = Counter()
    for document in documents:
        found.update(f"setting {name}" for name in DROPPED)
        if document.broadcast_state not in {None, "idle"}:
            found["stopped"] += 1
    return found
