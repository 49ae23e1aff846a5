"""Drafts and their turns: finding them, and how pages, events and the API show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from django.contrib.auth.models import User
from django.db.models import BooleanField, Count, F, Q, QuerySet, Sum
from django.db.models.expressions import RawSQL
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.money import Amount
from stories.drafting.agents import Handover, Outline, Remark, Research, Review, Text, Verdict
from stories.models import Draft, DraftMessage, DraftVersion, TokenUsage

State, Phase = Draft.State, Draft.Phase

# Spelled out, because SQLite uses a partial index only where it sees the condition of the index.
OPEN = RawSQL("stories_draft.state IN ('running', 'waiting')", [], BooleanField())

MILESTONES = (33, 67)

# Progress of a draft, in per cent, at the beginning of each phase.
BEGINS = {
    Phase.RESEARCH: 0,
    Phase.OUTLINE: 15,
    Phase.WRITING: MILESTONES[0],
    Phase.REVIEW: 50,
    Phase.FINAL: MILESTONES[1],
    Phase.DONE: 100,
}


class DraftWish(TypedDict):
    text: Annotated[str, Field(description="The wish in the owner's words.")]
    turn: Annotated[int, Field(description="Number of the turn after which it was added.")]


class DraftCost(TypedDict):
    lower: Annotated[Amount, Field(description="Certain cost, in USD.")]
    upper: Annotated[Amount, Field(description="Cost including uncertain calls, in USD.")]
    unpriced: Annotated[int, Field(description="Number of calls without a known price.")]


class DraftTokens(TypedDict):
    input: Annotated[int, Field(description="Input tokens of all calls.")]
    output: Annotated[int, Field(description="Output tokens of all calls.")]


class DraftFields(TypedDict):
    """A draft without the cost of its agents' calls."""

    id: Annotated[int, Field(description="Id of the draft.")]
    session: Annotated[str, Field(description="Id of its session.")]
    state: Annotated[str, Field(description="running, waiting, finished, failed or expired.")]
    phase: Annotated[str, Field(description="research, outline, writing, review, final or done.")]
    progress: Annotated[int, Field(description="Progress in per cent.")]
    title: Annotated[str, Field(description='Title of the latest version, "" without one.')]
    name: Annotated[str, Field(description="The title, or else the keywords.")]
    keywords: Annotated[list[str], Field(description="Keywords it is about.")]
    words: Annotated[int, Field(description="Ordered length in words.")]
    written: Annotated[int, Field(description="Length of the latest version in words.")]
    style: Annotated[str, Field(description="report, feature, explainer or comment.")]
    language: Annotated[str, Field(description="Language tag (BCP 47) of the text.")]
    wishes: Annotated[list[DraftWish], Field(description="The owner's wishes, oldest first.")]
    turns: Annotated[int, Field(description="Number of turns taken.")]
    version: Annotated[int, Field(description="Number of the latest version, 0 without one.")]
    note: Annotated[str, Field(description='Why it waits or failed, "" otherwise.')]
    note_code: Annotated[str, Field(description='Code of the note, "" without one.')]
    active_at: Annotated[str, Field(description="Last activity of an agent or person (ISO 8601).")]
    created_at: Annotated[str, Field(description="Time of its creation (ISO 8601).")]
    finished_at: Annotated[
        str | None, Field(description="Time it was finished (ISO 8601), or null.")
    ]
    tokens: Annotated[DraftTokens, Field(description="Tokens of the agents' model calls.")]
    story_id: Annotated[int | None, Field(description="Id of the story made of it, or null.")]


class DraftPayload(DraftFields):
    """A draft as pages and events show it to its owner."""

    cost: Annotated[DraftCost, Field(description="Cost of the agents' model calls.")]


class DraftMessagePayload(TypedDict):
    """A turn of a draft: the hand-over of one agent."""

    id: Annotated[int, Field(description="Id of the turn.")]
    draft: Annotated[int, Field(description="Id of the draft.")]
    turn: Annotated[int, Field(description="Number of the turn within the draft, from 1.")]
    role: Annotated[str, Field(description="researcher, writer, reader or expert.")]
    after: Annotated[str, Field(description='Role of the turn before, "" for the first turn.')]
    kind: Annotated[str, Field(description="research, outline, text, review or verdict.")]
    payload: Annotated[
        Mapping[str, object],
        Field(description="The hand-over; its fields depend on kind. A text is in its version."),
    ]
    text: Annotated[str, Field(description="The hand-over as plain text.")]
    model: Annotated[str, Field(description='Its model; extractive is none, "" is not known.')]
    at: Annotated[str, Field(description="Time it was stored (ISO 8601).")]


class DraftChecks(TypedDict):
    phase: Annotated[str, Field(description="Phase of the draft.")]
    turns: Annotated[int, Field(description="Number of turns taken.")]
    words: Annotated[int, Field(description="Length of the latest version in words.")]
    wanted: Annotated[int, Field(description="Ordered length in words.")]
    left: Annotated[
        Amount | None,
        Field(description="Rest of the session's budget, in USD; null without a budget."),
    ]


class DraftEvent(TypedDict):
    draft: Annotated[DraftPayload, Field(description="The draft after the change.")]


class DraftMessageEvent(TypedDict):
    message: Annotated[DraftMessagePayload, Field(description="The turn that was stored.")]


class DraftMilestoneEvent(TypedDict):
    draft: Annotated[DraftPayload, Field(description="The draft after the turn.")]
    milestone: Annotated[int, Field(description="The progress that was passed, in per cent.")]
    checks: Annotated[DraftChecks, Field(description="Figures for the owner to decide on.")]


CHANGED = recorder.declare(
    "draft.changed", "A draft was started, resumed, changed, paused or ended.", DraftEvent
)
PROGRESS = recorder.declare(
    "draft.progress", "A draft passed a third or two thirds of its progress.", DraftMilestoneEvent
)
ADDED = recorder.declare(
    "draft.message", "An agent of the writers' room handed over its result.", DraftMessageEvent
)


class Spent(TypedDict):
    """The usage of a draft's model calls; money in 10⁻¹² USD."""

    input_tokens: int
    output_tokens: int
    lower: int
    upper: int
    unpriced: int


NOTHING = Spent(input_tokens=0, output_tokens=0, lower=0, upper=0, unpriced=0)


def of_session(session: Session) -> QuerySet[Draft]:
    """Returns the session's drafts, newest first."""
    return Draft.objects.filter(session=session).select_related("story").order_by("-id")


def find(session: Session, draft_id: int) -> Draft:
    """Returns a draft of the session, or raises NotFound."""
    draft = of_session(session).select_related("session").filter(pk=draft_id).first()
    if draft is None:
        raise NotFound("This session has no such draft.")
    return draft


def get(user: User, draft_id: int) -> Draft:
    """Returns a draft of one of the user's sessions in any state, or raises NotFound."""
    # The owner is part of the query, so that another user's draft is not found.
    rows = Draft.objects.filter(session__in=Session.objects.for_user(user))
    draft = rows.select_related("session", "story").filter(pk=draft_id).first()
    if draft is None:
        raise NotFound("There is no such draft.")
    return draft


def progress(draft: Draft) -> int:
    """Returns the progress in per cent."""
    begins = BEGINS[Phase(draft.phase)]
    # Each further version is a step ahead, but no more than three rounds are counted.
    if draft.phase == Phase.REVIEW:
        return begins + min(draft.version - 1, 3) * 5
    return begins


def spent_on(drafts: Iterable[Draft]) -> dict[int, Spent]:
    """Returns the usage of the agents' model calls by draft id; drafts without calls are left out."""
    # One query for all drafts of a page.
    rows = TokenUsage.objects.filter(draft__in=[draft.pk for draft in drafts])
    sums = (
        # Open calls have no usage yet.
        rows.exclude(state__in=TokenUsage.OPEN)
        .values("draft")
        .annotate(
            Sum("input_tokens"),
            Sum("output_tokens"),
            Sum("cost_lower"),
            Sum("cost_upper"),
            without_price=Count("pk", filter=Q(unpriced=True)),
        )
    )
    return {
        row["draft"]: Spent(
            input_tokens=row["input_tokens__sum"],
            output_tokens=row["output_tokens__sum"],
            lower=row["cost_lower__sum"],
            upper=row["cost_upper__sum"],
            unpriced=row["without_price"],
        )
        for row in sums
    }


def words_of_latest(drafts: Iterable[Draft]) -> dict[int, int]:
    """Returns the length of each draft's latest version; drafts without a version are left out."""
    rows = DraftVersion.objects.filter(draft__in=[draft.pk for draft in drafts])
    return dict(rows.filter(number=F("draft__version")).values_list("draft", "word_count"))


def payload(draft: Draft, spent: Spent | None = None, written: int | None = None) -> DraftPayload:
    """Returns a draft for its owner; looks up ``spent`` and ``written`` unless they are given."""
    if spent is None:
        spent = spent_on([draft]).get(draft.pk, NOTHING)
    if written is None:
        written = words_of_latest([draft]).get(draft.pk, 0)
    return {
        "id": draft.pk,
        "session": str(draft.session_id),
        "state": draft.state,
        "phase": draft.phase,
        "progress": progress(draft),
        "title": draft.title,
        "name": str(draft),
        "keywords": draft.keywords,
        "words": draft.words,
        "written": written,
        "style": draft.style,
        "language": draft.language,
        "wishes": draft.wishes,
        "turns": draft.turns,
        "version": draft.version,
        "note": draft.note,
        "note_code": draft.note_code,
        "active_at": recorder.timestamp(draft.active_at),
        "created_at": recorder.timestamp(draft.created_at),
        "finished_at": recorder.timestamp(draft.finished_at),
        "cost": {
            "lower": spent["lower"],
            "upper": spent["upper"],
            "unpriced": spent["unpriced"],
        },
        "tokens": {"input": spent["input_tokens"], "output": spent["output_tokens"]},
        "story_id": draft.story.pk if hasattr(draft, "story") else None,
    }


def payloads(drafts: Sequence[Draft]) -> list[DraftPayload]:
    """Returns the drafts with their usage and length, in two queries."""
    spent, written = spent_on(drafts), words_of_latest(drafts)
    return [
        payload(draft, spent.get(draft.pk, NOTHING), written.get(draft.pk, 0)) for draft in drafts
    ]


def listed(session: Session, most: int = 50) -> list[DraftPayload]:
    """Returns the newest drafts with their usage and length, in three queries."""
    return payloads(list(of_session(session)[:most]))


def changed(draft: Draft) -> None:
    """Records the new state of the draft; call it last in the transaction that changed it."""
    recorder.record(draft.session, CHANGED, {"draft": payload(draft)})


def of_draft(draft: Draft) -> QuerySet[DraftMessage]:
    """Returns all turns of the draft, oldest first."""
    return DraftMessage.objects.filter(draft=draft).select_related("link").order_by("turn")


def message_payload(message: DraftMessage) -> DraftMessagePayload:
    """Returns a turn as pages, events and the API show it."""
    return {
        "id": message.pk,
        "draft": message.draft_id,
        "turn": message.turn,
        "role": message.role,
        "after": message.after,
        "kind": message.kind,
        "payload": message.payload,
        "text": message.text,
        "model": message.link.model if message.link else "",
        "at": recorder.timestamp(message.created_at),
    }


def in_words(handover: Handover) -> str:
    """Returns the hand-over as a few lines of plain text."""
    lines: list[str] = []
    match handover:
        case Research():
            lines = [handover.angle] if handover.angle else []
            lines += [f"• {found.text} [{', '.join(found.sources)}]" for found in handover.findings]
            if handover.gaps:
                lines.append(f"Nothing was found about: {', '.join(handover.gaps)}.")
        case Outline():
            lines = [handover.title]
            for number, section in enumerate(handover.sections, 1):
                findings = ", ".join(map(str, section.findings))
                lines.append(f"{number}. {section.heading} (findings {findings})")
        case Text():
            cites = f" Rests on {', '.join(handover.cites)}." if handover.cites else ""
            lines = [f"{handover.reason.rstrip('.')}.{cites}"]
        case Review():
            opening = "Approved." if handover.decision == "approve" else "Please change:"
            lines = [opening, *_remark_lines(handover.remarks)]
        case Verdict():
            opening = "Final." if handover.decision == "approve" else "Not yet:"
            opening = f"{opening} {handover.reason}".strip()
            lines = [opening, *_remark_lines(handover.remarks)]
    return "\n".join(lines)


def _remark_lines(remarks: list[Remark]) -> list[str]:
    lines: list[str] = []
    for remark in remarks:
        line = f"• {remark.about}: {remark.wish}"
        if remark.where:
            instead = f" becomes “{remark.instead}”" if remark.instead else ""
            line += f" (“{remark.where}”{instead})"
        lines.append(line)
    return lines
