"""API operations on drafts: start, read, command, edit, and list versions and messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query
from ninja.responses import Status
from pydantic import Field
from typing_extensions import TypedDict

from broadcast.studio.drafting import publish
from broadcast.studio.drafting.publish import SessionText
from sessions_app import commands, context, money
from sessions_app.commands import Command, Payload
from sessions_app.errors import Invalid
from sessions_app.web.api import (
    PROBLEMS,
    Page,
    Paging,
    Problem,
    caller,
    once,
    owned,
    page_of,
    router,
    run_command,
    user_of,
)
from stories.drafting import commands as drafting_commands
from stories.drafting import drafts, versions
from stories.drafting.agents import MOST_TEXT, MOST_TITLE
from stories.drafting.commands import LONGEST_WISH, NewDraft
from stories.drafting.drafts import DraftFields, DraftMessagePayload, DraftPayload
from stories.drafting.versions import Comment, DraftVersionPayload, Outdated
from stories.models import Draft

CONFLICT = 409

DRAFT_COMMANDS: Mapping[str, Command[Any]] = {
    "stop": drafting_commands.STOP,
    "resume": drafting_commands.RESUME,
    "advise": drafting_commands.ADVISE,
    "decide": drafting_commands.DECIDE,
    "restore": versions.RESTORE,
    "air": publish.AIR,
}

# What a command needs besides the draft.
FIELDS_OF: Mapping[str, tuple[str, ...]] = {
    "advise": ("text",),
    "decide": ("version", "comment", "decision"),
    "restore": ("version",),
}


class ApiDraftCost(TypedDict):
    """The cost of a draft in USD."""

    lower: Annotated[str, Field(description="Certain cost in USD.")]
    upper: Annotated[str, Field(description="Cost including uncertain calls, in USD.")]
    unpriced: Annotated[int, Field(description="Number of calls without a known price.")]


class ApiDraft(DraftFields):
    """A draft as the API shows it to its owner."""

    cost: Annotated[ApiDraftCost, Field(description="Cost of the agents' model calls.")]


def draft_payload(draft: DraftPayload) -> ApiDraft:
    """Returns a draft with its cost as decimal strings."""
    cost: ApiDraftCost = {
        "lower": money.decimal_string(draft["cost"]["lower"]),
        "upper": money.decimal_string(draft["cost"]["upper"]),
        "unpriced": draft["cost"]["unpriced"],
    }
    return {**draft, "cost": cost}


class DraftWithText(ApiDraft):
    """A draft with the text of its latest version."""

    text: Annotated[str, Field(description='Text of the latest version, "" without one.')]


class VersionConflict(TypedDict):
    """The response to a text that was not written from the latest version."""

    code: Annotated[str, Field(description="outdated")]
    detail: Annotated[str, Field(description="What is wrong, as a sentence for people.")]
    state: Annotated[str | None, Field(description="Number of the latest version.")]
    latest: Annotated[DraftVersionPayload, Field(description="The latest version.")]


# A version conflict (409) has its own schema: it carries the version the caller has not seen.
EDITING: dict[Any, Any] = {
    200: DraftVersionPayload,
    CONFLICT: VersionConflict | Problem,
    **{codes - {CONFLICT}: schema for codes, schema in PROBLEMS.items()},
}


class DraftCommand(Payload):
    """A command on a draft; some commands need one more field."""

    command: Literal["stop", "resume", "advise", "decide", "restore", "air"] = Field(
        description="advise needs a text, restore a version, decide a version, a comment and a "
        "decision."
    )
    text: str | None = Field(
        None, max_length=LONGEST_WISH, description="Advice for the next agent; for advise."
    )
    version: int | None = Field(
        None, description="Number of a version; for restore, and the latest one for decide."
    )
    comment: int | None = Field(None, description="Number of a comment; for decide.")
    decision: Literal["accept", "reject", "undo"] | None = Field(
        None,
        description="For decide. Accepting a comment that suggests words puts them into the text, as "
        "a new version; other decisions are given to the next agent.",
    )


class Edit(Payload):
    """A version written by hand."""

    version: int = Field(
        ge=0, description="Number of the version this text is based on; 0 if there is none."
    )
    title: str = Field(min_length=1, max_length=MOST_TITLE, description="The headline.")
    text: str = Field(min_length=1, max_length=MOST_TEXT, description="The whole text.")
    reason: str = Field(
        "Edited by hand", min_length=1, max_length=300, description="What was changed and why."
    )


@router.post("/sessions/{session_id}/drafts", response={201: ApiDraft, **PROBLEMS})
def start_draft(request: HttpRequest, session_id: str, body: NewDraft) -> Status[ApiDraft]:
    """Starts a draft about some keywords."""
    return run_command(
        request,
        session_id,
        drafting_commands.START,
        body,
        lambda draft: draft_payload(drafts.payload(draft)),
        201,
    )


@router.get("/sessions/{session_id}/drafts", response={200: Page[ApiDraft], **PROBLEMS})
def list_drafts(request: HttpRequest, session_id: str, paging: Query[Paging]) -> Page[ApiDraft]:
    """Lists the drafts of a session."""
    rows = drafts.of_session(owned(request, session_id))
    page = page_of(rows, paging, lambda draft: draft)
    # Costs and lengths of all drafts of the page come from two queries.
    items = [draft_payload(draft) for draft in drafts.payloads(page["items"])]
    return {"items": items, "next": page["next"]}


@router.get("/drafts/{draft_id}", response={200: DraftWithText, **PROBLEMS})
def read_draft(request: HttpRequest, draft_id: int) -> DraftWithText:
    """Returns a draft in any state, with its latest text."""
    draft = _owned_draft(request, draft_id)
    latest = versions.latest(draft)
    return {**draft_payload(drafts.payload(draft)), "text": latest.text if latest else ""}


@router.post("/drafts/{draft_id}", response={200: ApiDraft, **PROBLEMS})
def command_draft(request: HttpRequest, draft_id: int, body: DraftCommand) -> Status[ApiDraft]:
    """Stops, resumes or advises a draft, decides on a comment, restores a version, or airs it."""
    draft = _owned_draft(request, draft_id)
    data: dict[str, object] = {"draft": draft.pk}
    # Checked here, because the payloads of the other commands have no such field.
    for name in FIELDS_OF.get(body.command, ()):
        data[name] = getattr(body, name)
        if data[name] is None:
            raise Invalid(f"{name}: must be set for {body.command}.")

    def effect() -> ApiDraft:
        commands.run(DRAFT_COMMANDS[body.command], user_of(request), draft.session, data)
        # Read again, because the commands return different objects.
        return draft_payload(drafts.payload(drafts.find(draft.session, draft.pk)))

    return once(request, 200, effect)


@router.patch("/drafts/{draft_id}", response=EDITING)
def edit_draft(
    request: HttpRequest, draft_id: int, body: Edit
) -> Status[DraftVersionPayload] | Status[VersionConflict]:
    """Saves a text written by hand as a new version.

    When a newer version exists, nothing is saved and the 409 response holds that version.
    """
    draft = _owned_draft(request, draft_id)
    data = {"draft": draft.pk, **body.model_dump()}
    try:
        version = commands.run(versions.SAVE, user_of(request), draft.session, data)
    # Not an ordinary error: the caller needs the version that it has not seen.
    except Outdated as error:
        conflict = VersionConflict(
            code=error.code,
            detail=error.sentence,
            state=error.state,
            latest=versions.payload(error.latest),
        )
        return Status(CONFLICT, conflict)
    return Status(200, versions.payload(version))


@router.get("/drafts/{draft_id}/versions", response={200: Page[DraftVersionPayload], **PROBLEMS})
def list_versions(
    request: HttpRequest, draft_id: int, paging: Query[Paging]
) -> Page[DraftVersionPayload]:
    """Lists the versions of a draft with their texts."""
    rows = versions.of_draft(_owned_draft(request, draft_id))
    return page_of(rows, paging, versions.payload, by="number")


@router.get("/drafts/{draft_id}/comments", response={200: Page[Comment], **PROBLEMS})
def list_draft_comments(request: HttpRequest, draft_id: int) -> Page[Comment]:
    """Lists the agents' comments on the latest version, at most some hundred."""
    draft = _owned_draft(request, draft_id)
    latest = versions.latest(draft)
    if latest is None:
        return {"items": [], "next": None}
    return {"items": versions.comments(draft, latest), "next": None}


@router.get("/drafts/{draft_id}/messages", response={200: Page[DraftMessagePayload], **PROBLEMS})
def list_draft_messages(
    request: HttpRequest, draft_id: int, paging: Query[Paging]
) -> Page[DraftMessagePayload]:
    """Lists what the agents handed over, turn by turn."""
    rows = drafts.of_draft(_owned_draft(request, draft_id))
    return page_of(rows, paging, drafts.message_payload, by="turn")


@router.get("/sessions/{session_id}/story", response={200: SessionText, **PROBLEMS})
def read_text(request: HttpRequest, session_id: str) -> SessionText:
    """Returns a session's finished text: its latest finished draft, or its published stories."""
    return publish.text_of(owned(request, session_id))


def _owned_draft(request: HttpRequest, draft_id: int) -> Draft:
    """The caller's draft, bound to the log lines; NotFound for a draft of another user."""
    # Another user's draft is not found, rather than forbidden: ids are consecutive numbers.
    draft = drafts.get(caller(request), draft_id)
    context.bind(**context.session_fields(draft.session), draft=draft.pk)
    return draft
