"""The artifacts of a session: listed, downloaded, removed, and brought in from the browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from broadcast import queries as broadcast_queries
from broadcast.studio.artifacts import bundle as artifacts_bundle
from broadcast.studio.artifacts import queries
from broadcast.studio.artifacts.queries import Part
from sessions_app import commands
from sessions_app.errors import Invalid, NotFound, SmnbError
from sessions_app.files import artifacts, downloads
from sessions_app.files.artifacts import Category
from sessions_app.models import Artifact, Session
from sessions_app.web.http import SignedIn, of_session, refused, status_of


@require_safe
@of_session
def listed(request: SignedIn, session: Session) -> HttpResponse:
    """With ``?category=`` that category alone, with ``?before=`` (an id) its older files."""
    before = broadcast_queries.key_of(request.GET.get("before", ""))
    part = Part.of(request.GET.get("category", ""), before)
    page = queries.page(session, part) | {"here": request.get_full_path()}
    template = (
        "studio/artifacts/_artifacts.html" if request.htmx else "studio/artifacts/artifacts.html"
    )
    return render(request, template, page)


@require_safe
@of_session
def download(request: SignedIn, session: Session, artifact_id: int) -> HttpResponse:
    try:
        found = artifacts.find(session, artifact_id)
    except NotFound as error:
        raise Http404(error.sentence) from None
    sent = downloads.send(request, found.path, found.media_type, found.sha256, save_as=found.name)
    return cast("HttpResponse", sent)


@require_POST
@of_session
def drop(request: SignedIn, session: Session, artifact_id: int) -> HttpResponse:
    data = {"artifact": artifact_id}
    return _done(
        request, session, lambda: commands.run(artifacts.REMOVE, request.user, session, data)
    )


@require_POST
@of_session
def upload(request: SignedIn, session: Session) -> HttpResponse:
    """Keep the file of the form's field ``file``."""
    return _done(request, session, lambda: _upload(request, session), Category.FILES)


def _upload(request: SignedIn, session: Session) -> Artifact:
    sent = request.FILES.get("file")
    if sent is None:
        raise Invalid("Choose a file first.")
    return artifacts.upload(session, request.user, sent.name or "", sent.size or 0, sent.chunks())


@require_POST
@of_session
def bundle(request: SignedIn, session: Session) -> HttpResponse:
    """Make a trace bundle with the browser's ``facts`` (JSON), where it has any."""

    def make() -> Artifact:
        facts = artifacts_bundle.facts_of(request.POST.get("facts", ""))
        return artifacts_bundle.keep(session, request.user, facts)

    return _done(request, session, make, Category.DEVTOOLS)


@require_POST
@of_session
def record(request: SignedIn, session: Session) -> HttpResponse:
    """Record the finished run of this number."""
    data = {"run": request.POST.get("run", "")}
    return _done(
        request, session, lambda: commands.run("recording.make", request.user, session, data)
    )


def _done(
    request: SignedIn, session: Session, act: Callable[[], object], section: str = ""
) -> HttpResponse:
    """Act, then show the artifacts (at a section of the page), or say why it was refused."""
    try:
        act()
    except SmnbError as error:
        return refused(request, error, "artifacts", session.pk)
    anchor = f"#{section}" if section else ""
    return redirect(reverse("artifacts", args=[session.pk]) + anchor)


@require_POST
@of_session
def screenshot(request: SignedIn, session: Session) -> HttpResponse:
    """Keep the PNG in the field ``picture``: 201 with its name, or the reason in a sentence."""
    sent = request.FILES.get("picture")
    try:
        if sent is None or (sent.size or 0) > artifacts.MAX_PICTURE_BYTES:
            raise Invalid("Send one PNG picture of at most 10 MB.")
        kept = artifacts.screenshot(session, request.user, sent.read())
    except SmnbError as error:
        return JsonResponse({"sentence": error.sentence}, status=status_of(error))
    return JsonResponse({"name": kept.name, "id": kept.pk}, status=201)
