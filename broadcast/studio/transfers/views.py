"""Exports, imports and forks of sessions."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_POST

from broadcast.studio.sessions import views
from broadcast.studio.transfers.forms import ExportForm, ForkForm, ImportForm
from broadcast.transfer import exporter, importer
from broadcast.transfer.fork import FORK
from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, refused, signed_in, status_of


@require_POST
@of_session
def export(request: SignedIn, session: Session) -> HttpResponse:
    """Starts an export; frames of its progress update the page."""
    form = ExportForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422, export_form=form)
    response = views.run(request, session, exporter.EXPORT_SESSION, form.payload(), "exports")
    # Only a redirect means success; a refusal has to reach the page.
    done = response.status_code == 302
    return HttpResponse(status=204) if request.htmx and done else response


@require_POST
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


@require_POST
@signed_in
def import_archive(request: SignedIn) -> HttpResponse:
    """Imports an archive. The new session opens at once and fills in the background."""
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return views.listed(request, 422, import_form=form)
    archive = form.cleaned_data["archive"]
    try:
        result = importer.upload(request.user, archive.size, archive.chunks())
    except SmnbError as error:
        form.add_error("archive", error.sentence)
        return views.listed(request, status_of(error), import_form=form)
    return views.back_to(result.session, "exports")
