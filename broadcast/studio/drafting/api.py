"""API operations on drafts: start, read, command, edit, and list versions and messages."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja.responses import Status
from pydantic import Field

from broadcast.studio.drafting import publish
from broadcast.studio.drafting.publish import SessionText
from sessions_app import commands, context
from sessions_app.commands import Payload
from sessions_app.errors import Invalid
from sessions_app.web.api import (
    PROBLEMS,
    Page,
    caller,
    once,
    owned,
    page_of,
    router,
    run_command,
    user_of,
)
from stories.drafting import drafts, versions
from stories.drafting.agents import MOST_TEXT, MOST_TITLE
from stories.drafting.commands import LONGEST_WISH, NewDraft
from stories.drafting.versions import Outdated
from stories.models import Draft

Body = dict[str, Any]
CONFLICT = 409
# A version conflict (409) has its own schema: it carries the version the caller has not seen.
EDITING: dict[Any, Any] = {
    200: Body,
    CONFLICT: Body,
    **{codes - {CONFLICT}: schema for codes, schema in PROBLEMS.items()},
}


class DraftCommand(Payload):
    """A command on a draft; some commands need one more field."""

    command: Literal["stop", "resume", "advise", "restore", "air"]
    text: str | None = Field(
        None, max_length=LONGEST_WISH, description="Advice for the next agent; for advise."
    )
    version: int | None = Field(None, description="Number of a version; for restore.")


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


@router.post("/sessions/{session_id}/drafts", response={201: Body, **PROBLEMS})
def start_draft(request: HttpRequest, session_id: str, body: NewDraft) -> Status[Body]:
    """Starts a draft about some keywords."""
    return run_command(request, session_id, "draft.start", body, drafts.payload, 201)


@router.get("/sessions/{session_id}/drafts", response={200: Page[Body], **PROBLEMS})
def list_drafts(
    request: HttpRequest, session_id: str, limit: int = 50, cursor: str = ""
) -> Page[Body]:
    """Lists the drafts of a session."""
    rows = drafts.of_session(owned(request, session_id))
    page = page_of(rows, limit, cursor, lambda draft: draft)
    # Costs and lengths of all drafts of the page come from two queries.
    return {"items": drafts.payloads(page["items"]), "next": page["next"]}


@router.get("/drafts/{draft_id}", response={200: Body, **PROBLEMS})
def read_draft(request: HttpRequest, draft_id: int) -> Body:
    """Returns a draft in any state, with its latest text."""
    draft = _owned_draft(request, draft_id)
    latest = versions.latest(draft)
    return {**drafts.payload(draft), "text": latest.text if latest else ""}


@router.post("/drafts/{draft_id}", response={200: Body, **PROBLEMS})
def command_draft(request: HttpRequest, draft_id: int, body: DraftCommand) -> Status[Body]:
    """Stops, resumes or advises a draft, restores a version of it, or puts it on air."""
    draft = _owned_draft(request, draft_id)
    data: dict[str, object] = {"draft": draft.pk}
    if body.command == "advise":
        if body.text is None:
            raise Invalid("text: advise needs it.")
        data["text"] = body.text
    if body.command == "restore":
        if body.version is None:
            raise Invalid("version: restore needs it.")
        data["version"] = body.version

    def effect() -> Body:
        commands.run(f"draft.{body.command}", user_of(request), draft.session, data)
        return drafts.payload(drafts.find(draft.session, draft.pk))

    return once(request, 200, effect)


@router.patch("/drafts/{draft_id}", response=EDITING)
def edit_draft(request: HttpRequest, draft_id: int, body: Edit) -> Status[Body]:
    """Saves a text written by hand as a new version.

    When a newer version exists, nothing is saved and the 409 response holds that version.
    """
    draft = _owned_draft(request, draft_id)
    data = {"draft": draft.pk, **body.model_dump()}
    try:
        version = commands.run("draft.save", user_of(request), draft.session, data)
    except Outdated as error:
        problem = {"code": error.code, "detail": error.sentence, "state": error.state}
        return Status(CONFLICT, problem | {"latest": versions.payload(error.latest)})
    return Status(200, versions.payload(version))


@router.get("/drafts/{draft_id}/versions", response={200: Page[Body], **PROBLEMS})
def list_versions(
    request: HttpRequest, draft_id: int, limit: int = 50, cursor: str = ""
) -> Page[Body]:
    """Lists the versions of a draft with their texts."""
    rows = versions.of_draft(_owned_draft(request, draft_id))
    return page_of(rows, limit, cursor, versions.payload, by="number")


@router.get("/drafts/{draft_id}/messages", response={200: Page[Body], **PROBLEMS})
def list_draft_messages(
    request: HttpRequest, draft_id: int, limit: int = 50, cursor: str = ""
) -> Page[Body]:
    """Lists what the agents handed over, turn by turn."""
    rows = drafts.of_draft(_owned_draft(request, draft_id))
    return page_of(rows, limit, cursor, drafts.message_payload, by="turn")


@router.get("/sessions/{session_id}/story", response={200: SessionText, **PROBLEMS})
def read_text(request: HttpRequest, session_id: str) -> SessionText:
    """Returns a session's finished text: its latest finished draft, or its published stories."""
    return publish.text_of(owned(request, session_id))


def _owned_draft(request: HttpRequest, draft_id: int) -> Draft:
    """The caller's draft, bound to the log lines; NotFound for a draft of another user."""
    draft = drafts.get(caller(request), draft_id)
    context.bind(**context.session_fields(draft.session), draft=draft.pk)
    return draft
