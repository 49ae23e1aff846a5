"""The JSON API of exports, imports and forks."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import File, UploadedFile
from ninja.responses import Status

from broadcast import desk, forking
from broadcast.api.router import router
from broadcast.api.sessions import Body
from broadcast.models import Transfer
from broadcast.transfer import exporting, importing, ledger
from sessions_app import commands
from sessions_app.api import PROBLEMS, Page, caller, once, owned, page_of


@router.post("/sessions/{session_id}/exports", response={202: Body, **PROBLEMS})
def start_export(request: HttpRequest, session_id: str, body: exporting.Start) -> Status[Body]:
    """Have a session written as a file; it becomes an artifact of the session."""
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        return 202, ledger.payload(commands.run("export.start", caller(request), session, body))

    return Status(*once(request, effect))


@router.get("/sessions/{session_id}/exports", response={200: Page, **PROBLEMS})
def list_exports(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """A session's exports, and its import where it was brought in, the newest first."""
    rows = Transfer.objects.filter(session=owned(request, session_id)).select_related("artifact")
    return page_of(rows, limit, cursor, ledger.payload)


@router.post("/sessions/{session_id}/fork", response={201: Body, **PROBLEMS})
def fork_session(
    request: HttpRequest, session_id: str, body: forking.Fork | None = None
) -> Status[Body]:
    """Copy a session anew, with the threads it has told."""
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        wanted = body or forking.Fork()
        fresh = commands.run("session.fork", caller(request), session, wanted)
        return 201, desk.session_payload(fresh)

    return Status(*once(request, effect))


@router.post("/imports", response={202: Body, **PROBLEMS})
def import_session(request: HttpRequest, archive: File[UploadedFile]) -> Status[Body]:
    """Bring in an exported session (ZIP, at most 50 MB); the same archive is the same session."""
    brought = importing.upload(caller(request), archive.size or 0, archive.chunks())
    return Status(202, {**desk.session_payload(brought.session), "new": brought.new})
