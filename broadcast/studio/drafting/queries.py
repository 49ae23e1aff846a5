"""What the pages of Keyword Drafting show, read in a constant number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import TypedDict

from broadcast.queries import key_of
from sessions_app.errors import NotFound
from sessions_app.models import Session, SessionStats
from stories import corrections
from stories.drafting import drafts, versions, workflow
from stories.drafting import turns as drafting_turns
from stories.drafting.drafts import DraftMessagePayload, DraftPayload
from stories.drafting.turns import Milestone
from stories.drafting.versions import DraftVersionPayload
from stories.models import Draft

LISTED = 50


@dataclass(frozen=True, slots=True)
class VersionPart:
    """The version to show (None: the latest, which is live) and the one to compare it with."""

    number: int | None = None
    against: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> VersionPart:
        return cls(key_of(query.get("version", "")), key_of(query.get("against", "")))


LATEST = VersionPart()


class DraftsPage(TypedDict):
    """The drafts of a session, newest first."""

    last_seq: int
    drafts: list[DraftPayload]


class DraftPage(TypedDict):
    """One draft with its conversation and its versions.

    ``live`` is the turn in progress; ``before`` is the version that ``version`` is compared with,
    and ``diff`` the comparison as (text, "same" | "gone" | "new").
    """

    session: Session
    last_seq: int
    draft: DraftPayload
    live: Mapping[str, object] | None
    turns: list[DraftMessagePayload]
    milestones: list[Milestone]
    versions: list[DraftVersionPayload]
    part: VersionPart
    version: DraftVersionPayload | None
    before: DraftVersionPayload | None
    diff: Sequence[tuple[str, str]]


def drafts_page(session: Session) -> DraftsPage:
    """The session's newest drafts."""
    # Read first: an event recorded after this is delivered to the page again.
    stats = SessionStats.objects.get(session=session)
    return {"last_seq": stats.last_seq, "drafts": drafts.listed(session, LISTED)}


def draft_page(session: Session, draft_id: int, part: VersionPart = LATEST) -> DraftPage:
    """One draft of the session; NotFound if there is no such draft or version."""
    stats = SessionStats.objects.get(session=session)
    # After the seq was read: an event recorded from here on is delivered to the page again.
    draft = drafts.find(session, draft_id)
    rows = [versions.payload(version) for version in versions.of_draft(draft)]
    by_number = {row["number"]: row for row in rows}
    number = draft.version if part.number is None else part.number
    if {number, part.against} - by_number.keys() - {None, 0}:
        raise NotFound("This draft has no such version.")
    version, before = by_number.get(number), by_number.get(part.against or 0)
    diff: Sequence[tuple[str, str]] = []
    if version is not None and before is not None:
        diff = list(corrections.compare(before["text"], version["text"]))
    turns = [drafts.message_payload(message) for message in drafts.of_draft(draft)]
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "draft": drafts.payload(draft),
        "live": workflow.turn_in_progress(draft) if draft.state == Draft.State.RUNNING else None,
        "turns": turns,
        "milestones": drafting_turns.milestones_passed(turns, rows, draft.words),
        "versions": rows,
        "part": part,
        "version": version,
        "before": before,
        "diff": diff,
    }
