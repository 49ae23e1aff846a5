"""The JSON API of the writers' room: the same commands as its pages."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja.responses import Status
from pydantic import Field

from broadcast.studio.drafting import publish
from sessions_app import commands, context
from sessions_app.commands import Payload
from sessions_app.errors import Invalid
from sessions_app.web.api import PROBLEMS, Page, caller, once, owned, page_of, router
from stories.drafting import drafts, versions
from stories.drafting.agents import MOST_TEXT, MOST_TITLE
from stories.drafting.commands import LONGEST_WISH, NewDraft
from stories.drafting.versions import Outdated
from stories.models import Draft

Body = dict[str, Any]
CONFLICT = 409
# A conflict of versions carries the version that was not seen.
EDITING: dict[Any, Any] = {
    200: Body, CONFLICT: Body, **{codes - {CONFLICT}: each for codes, each in PROBLEMS.items()},
}  # fmt: skip


class DraftCommand(Payload):
    """What is to be done; ``text`` is for advise, ``version`` for restore."""

    command: Literal["stop", "resume", "advise", "restore", "air"]
    text: str | None = Field(None, max_length=LONGEST_WISH)
    version: int | None = None


class Edit(Payload):
    """A person's text; ``version`` is the one it was written from (0: none)."""

    version: int = Field(ge=0)
    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    reason: str = Field("Edited by hand", min_length=1, max_length=300)


@router.post("/sessions/{session_id}/drafts", response={201: Body, **PROBLEMS})
def start_draft(request: HttpRequest, session_id: str, body: NewDraft) -> Status[Body]:
    """Have the writers' room write about some keywords."""
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        return 201, drafts.payload(commands.run("draft.start", caller(request), session, body))

    return Status(*once(request, effect))


@router.get("/sessions/{session_id}/drafts", response={200: Page, **PROBLEMS})
def list_drafts(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """The drafts of a session, newest first."""
    rows = drafts.of_session(owned(request, session_id))
    page = page_of(rows, limit, cursor, lambda draft: {"id": draft.pk, "draft": draft})
    found = [each["draft"] for each in page["items"]]
    return {"items": drafts.payloads(found), "next": page["next"]}


@router.get("/drafts/{draft_id}", response={200: Body, **PROBLEMS})
def read_draft(request: HttpRequest, draft_id: int) -> Body:
    """A draft with its latest text, whatever became of it."""
    draft = _mine(request, draft_id)
    latest = versions.latest(draft)
    return drafts.payload(draft) | {"text": latest.text if latest else ""}


@router.post("/drafts/{draft_id}", response={200: Body, **PROBLEMS})
def command_draft(request: HttpRequest, draft_id: int, body: DraftCommand) -> Status[Body]:
    """Stop, resume or advise a draft, restore a version of it, or put it on air."""
    draft = _mine(request, draft_id)
    data = _data(draft, body)

    def effect() -> tuple[int, Body]:
        commands.run(f"draft.{body.command}", caller(request), draft.session, data)
        return 200, drafts.payload(drafts.find(draft.session, draft.pk))

    return Status(*once(request, effect))


def _data(draft: Draft, body: DraftCommand) -> Body:
    """The payload of the command; Invalid where what it needs is missing."""
    data: Body = {"draft": draft.pk}
    for command, name in (("advise", "text"), ("restore", "version")):
        if body.command == command:
            data[name] = getattr(body, name)
            if data[name] is None:
                raise Invalid(f"{name}: {command} needs it.")
    return data


@router.patch("/drafts/{draft_id}", response=EDITING)
def edit_draft(request: HttpRequest, draft_id: int, body: Edit) -> Status[Body]:
    """Save a text written by hand as a new version; 409 with the latest one where it is newer."""
    draft = _mine(request, draft_id)
    data = {"draft": draft.pk, **body.model_dump()}
    try:
        version = commands.run("draft.save", caller(request), draft.session, data)
    except Outdated as error:
        problem = {"code": error.code, "detail": error.sentence, "state": error.state}
        return Status(CONFLICT, problem | {"latest": versions.payload(error.latest)})
    return Status(200, versions.payload(version))


@router.get("/drafts/{draft_id}/versions", response={200: Page, **PROBLEMS})
def list_versions(request: HttpRequest, draft_id: int, limit: int = 50, cursor: str = "") -> Body:
    """What a draft said, the newest version first."""
    rows = versions.of_draft(_mine(request, draft_id))
    return page_of(rows, limit, cursor, versions.payload, by="number")


@router.get("/drafts/{draft_id}/messages", response={200: Page, **PROBLEMS})
def list_turns(request: HttpRequest, draft_id: int, limit: int = 50, cursor: str = "") -> Body:
    """What the agents handed over, turn by turn."""
    rows = drafts.of_draft(_mine(request, draft_id))
    return page_of(rows, limit, cursor, drafts.message_payload, by="turn")


@router.get("/sessions/{session_id}/story", response={200: Body, **PROBLEMS})
def read_text(request: HttpRequest, session_id: str) -> Body:
    """The session's finished text: its latest finished draft, else what was told, in order."""
    return publish.text_of(owned(request, session_id))


def _mine(request: HttpRequest, draft_id: int) -> Draft:
    """The caller's draft, bound to the log lines; NotFound for anybody else's."""
    draft = drafts.get(caller(request), draft_id)
    context.bind(**context.session_fields(draft.session), draft=draft.pk)
    return draft
