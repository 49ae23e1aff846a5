"""API operations that export, import and fork sessions."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from ninja import File, Query, UploadedFile
from ninja.responses import Status
from pydantic import Field

from broadcast import session_commands
from broadcast.models import Transfer
from broadcast.session_commands import OwnedSession
from broadcast.transfer import exporter, fork, importer, transfers
from broadcast.transfer.transfers import TransferPayload
from sessions_app.web.api import PROBLEMS, Page, Paging, caller, owned, page_of, router, run_command


class ImportedSession(OwnedSession):
    """The session of an imported archive."""

    new: Annotated[
        bool, Field(description="False if the archive was imported before; nothing changes then.")
    ]


@router.post("/sessions/{session_id}/exports", response={202: TransferPayload, **PROBLEMS})
def start_export(
    request: HttpRequest, session_id: str, body: exporter.Start
) -> Status[TransferPayload]:
    """Starts an export of a session; the file becomes one of the session's artifacts."""
    return run_command(request, session_id, exporter.EXPORT_SESSION, body, transfers.payload, 202)


@router.get("/sessions/{session_id}/exports", response={200: Page[TransferPayload], **PROBLEMS})
def list_exports(
    request: HttpRequest, session_id: str, paging: Query[Paging]
) -> Page[TransferPayload]:
    """Lists a session's exports and, if it was imported, its import."""
    rows = Transfer.objects.filter(session=owned(request, session_id)).select_related("artifact")
    return page_of(rows, paging, transfers.payload)


@router.post("/sessions/{session_id}/fork", response={201: OwnedSession, **PROBLEMS})
def fork_session(
    request: HttpRequest, session_id: str, body: fork.Fork | None = None
) -> Status[OwnedSession]:
    """Copies a session's settings, sources and schedule and, if asked for, its threads."""
    options = body or fork.Fork()
    return run_command(
        request, session_id, fork.FORK, options, session_commands.session_payload, 201
    )


@router.post("/imports", response={202: ImportedSession, **PROBLEMS})
def import_session(request: HttpRequest, archive: File[UploadedFile]) -> Status[ImportedSession]:
    """Imports an exported session (a ZIP of at most 50 MB).

    Uploading the same archive again returns the session that already exists.
    """
    # No Idempotency-Key is needed: the same archive is recognized by its content.
    upload = importer.upload(caller(request), archive.size or 0, archive.chunks())
    session = session_commands.session_payload(upload.session)
    return Status(202, ImportedSession(**session, new=upload.new))
