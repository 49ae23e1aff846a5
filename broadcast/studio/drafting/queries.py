"""What the pages of the writers' room show, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broadcast.queries import key_of
from sessions_app.errors import NotFound
from sessions_app.models import Session, SessionStats
from stories import corrections
from stories.drafting import drafts, versions, workflow
from stories.drafting import turns as drafting_turns
from stories.models import Draft

LISTED = 50


@dataclass(frozen=True, slots=True)
class VersionPart:
    """Which version is shown (None: the latest, live), and with which one it is compared."""

    number: int | None = None
    against: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> VersionPart:
        return cls(key_of(asked.get("version", "")), key_of(asked.get("against", "")))


LATEST = VersionPart()


def drafts_page(session: Session) -> dict[str, Any]:
    """The session's newest drafts. ``last_seq`` is read first, so no event can be missed."""
    stats = SessionStats.objects.get(session=session)
    return {"last_seq": stats.last_seq, "drafts": drafts.listed(session, LISTED)}


def draft_page(session: Session, draft_id: int, part: VersionPart = LATEST) -> dict[str, Any]:
    """One draft with its conversation and its versions; NotFound where there is none."""
    stats = SessionStats.objects.get(session=session)
    draft = drafts.find(session, draft_id)
    found = [versions.payload(each) for each in versions.of_draft(draft)]
    by_number = {each["number"]: each for each in found}
    turns = [drafts.message_payload(each) for each in drafts.of_draft(draft)]
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "draft": drafts.payload(draft),
        "live": workflow.turn_in_progress(draft) if draft.state == Draft.State.RUNNING else None,
        "turns": turns,
        "milestones": drafting_turns.milestones_passed(turns, found, draft.words),
        "versions": found,
        "part": part,
        **_chosen(by_number, part, draft.version),
    }


def _chosen(found: Mapping[int, dict[str, Any]], part: VersionPart, latest: int) -> dict[str, Any]:
    """The version that is read, and what it changed; ``diff`` is [(text, same|gone|new)]."""
    wanted = latest if part.number is None else part.number
    if {wanted, part.against} - found.keys() - {None, 0}:
        raise NotFound("This draft has no such version.")
    shown, before = found.get(wanted), found.get(part.against or 0)
    diff = list(corrections.compare(before["text"], shown["text"])) if before and shown else []
    return {"version": shown, "before": before, "diff": diff}
