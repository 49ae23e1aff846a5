"""Sessions out as files, in from archives, and forked."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_POST

from broadcast.studio.sessions import views
from broadcast.studio.transfers.forms import ExportForm, ForkForm, ImportForm
from broadcast.transfer import importer
from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, refused, signed_in, status_of


@require_POST
@of_session
def export(request: SignedIn, session: Session) -> HttpResponse:
    """Have a file made; the page hears of it as it grows."""
    form = ExportForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422, export_form=form)
    answer = views.run(request, session, "export.start", form.payload(), "exports")
    return HttpResponse(status=204) if request.htmx and answer.status_code == 302 else answer


@require_POST
@of_session
def fork(request: SignedIn, session: Session) -> HttpResponse:
    form = ForkForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422)
    try:
        fresh = commands.run("session.fork", request.user, session, form.payload())
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return views.back_to(fresh)


@require_POST
@signed_in
def bring(request: SignedIn) -> HttpResponse:
    """Take an archive; its session opens at once and fills while one looks at it."""
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return views.listed(request, 422, import_form=form)
    sent = form.cleaned_data["archive"]
    try:
        brought = importer.upload(request.user, sent.size, sent.chunks())
    except SmnbError as error:
        form.add_error("archive", error.sentence)
        return views.listed(request, status_of(error), import_form=form)
    return views.back_to(brought.session, "exports")
