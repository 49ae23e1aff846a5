"""Exports, imports and forks of sessions."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import File, Query, UploadedFile
from ninja.params import FormEx, P
from ninja.responses import Status
from pydantic import Field

from broadcast import session_commands
from broadcast.models import Transfer
from broadcast.session_commands import OwnedSession
from broadcast.studio.sessions import views
from broadcast.studio.sessions.forms import ExportForm, ForkForm, ImportForm
from broadcast.transfer import exporter, importer, transfers
from broadcast.transfer.fork import FORK, Fork
from broadcast.transfer.transfers import TransferPayload
from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.web.api import PROBLEMS, Page, Paging, caller, owned, page_of, router, run_command
from sessions_app.web.http import (
    SignedIn,
    of_session,
    post_only,
    refused,
    show_refusal,
    signed_in,
    status_of,
)

NAME = (
    "Name of the new session. Empty: the name in the archive, with the date of the import if the "
    "user has a session of that name."
)


@post_only
@of_session
def export(request: SignedIn, session: Session) -> HttpResponse:
    """Starts an export; frames of its progress update the page."""
    form = ExportForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, "exports", status=422, replaced={"export_form": form})
    response = views.run(request, session, exporter.EXPORT_SESSION, form.payload(), "exports")
    # Only a redirect means success; a refusal has to reach the page.
    done = response.status_code == 302
    return HttpResponse(status=204) if request.htmx and done else response


@post_only
@of_session
def fork(request: SignedIn, session: Session) -> HttpResponse:
    """Forks the session and opens the fork."""
    form = ForkForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422)
    try:
        copy = commands.run(FORK, request.user, session, form.payload())
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return views.back_to(copy)


@post_only
@signed_in
def import_archive(request: SignedIn) -> HttpResponse:
    """Imports an archive. The new session opens at once and fills in the background."""
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return views.listed(request, 422, import_form=form)
    archive = form.cleaned_data["archive"]
    try:
        name = form.cleaned_data["name"]
        result = importer.upload(request.user, archive.size, archive.chunks(), name)
    except SmnbError as error:
        show_refusal(form, error, "archive")
        return views.listed(request, status_of(error), import_form=form)
    return views.back_to(result.session, "exports")


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
    request: HttpRequest, session_id: str, body: Fork | None = None
) -> Status[OwnedSession]:
    """Copies a session's settings, sources and schedule and, if asked for, its threads."""
    options = body or Fork()
    return run_command(request, session_id, FORK, options, session_commands.session_payload, 201)


@router.post("/imports", response={202: ImportedSession, **PROBLEMS})
def import_session(
    request: HttpRequest,
    archive: File[UploadedFile],
    name: FormEx[str, P(max_length=120, description=NAME)] = "",
) -> Status[ImportedSession]:
    """Imports an exported session (a ZIP of at most 50 MB).

    Uploading the same archive again returns the session that already exists.
    """
    # No Idempotency-Key is needed: the same archive is recognized by its content.
    size = archive.size or 0
    upload = importer.upload(caller(request), size, archive.chunks(), name.strip())
    session = session_commands.session_payload(upload.session)
    return Status(202, ImportedSession(**session, new=upload.new))
