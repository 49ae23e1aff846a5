"""The JSON API of exports, imports and forks."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import File, UploadedFile
from ninja.responses import Status

from broadcast import session_commands
from broadcast.models import Transfer
from broadcast.studio.sessions.api import Body
from broadcast.transfer import exporter, fork, importer, transfers
from sessions_app import commands
from sessions_app.web.api import PROBLEMS, Page, caller, once, owned, page_of, router


@router.post("/sessions/{session_id}/exports", response={202: Body, **PROBLEMS})
def start_export(request: HttpRequest, session_id: str, body: exporter.Start) -> Status[Body]:
    """Have a session written as a file; it becomes an artifact of the session."""
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        return 202, transfers.payload(commands.run("export.start", caller(request), session, body))

    return Status(*once(request, effect))


@router.get("/sessions/{session_id}/exports", response={200: Page, **PROBLEMS})
def list_exports(request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "") -> Body:
    """A session's exports, and its import where it was brought in, the newest first."""
    rows = Transfer.objects.filter(session=owned(request, session_id)).select_related("artifact")
    return page_of(rows, limit, cursor, transfers.payload)


@router.post("/sessions/{session_id}/fork", response={201: Body, **PROBLEMS})
def fork_session(
    request: HttpRequest, session_id: str, body: fork.Fork | None = None
) -> Status[Body]:
    """Copy a session anew, with the threads it has told."""
    session = owned(request, session_id)

    def effect() -> tuple[int, Body]:
        wanted = body or fork.Fork()
        fresh = commands.run("session.fork", caller(request), session, wanted)
        return 201, session_commands.session_payload(fresh)

    return Status(*once(request, effect))


@router.post("/imports", response={202: Body, **PROBLEMS})
def import_session(request: HttpRequest, archive: File[UploadedFile]) -> Status[Body]:
    """Bring in an exported session (ZIP, at most 50 MB); the same archive is the same session."""
    brought = importer.upload(caller(request), archive.size or 0, archive.chunks())
    return Status(202, {**session_commands.session_payload(brought.session), "new": brought.new})
