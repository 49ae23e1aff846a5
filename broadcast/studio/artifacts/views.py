"""The artifacts of a session: list, download, remove, upload, and make from the browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from broadcast import queries as broadcast_queries
from broadcast import recordings
from broadcast.studio.artifacts import bundle as trace_bundle
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
    """The artifacts; ``?category=`` shows one category, ``?before=`` (an id) its older files."""
    before = broadcast_queries.key_of(request.GET.get("before", ""))
    part = Part.of(request.GET.get("category", ""), before)
    page = {**queries.page(session, part), "here": request.get_full_path()}
    template = (
        "studio/artifacts/_artifacts.html" if request.htmx else "studio/artifacts/artifacts.html"
    )
    return render(request, template, page)


@require_safe
@of_session
def download(request: SignedIn, session: Session, artifact_id: int) -> HttpResponse:
    try:
        artifact = artifacts.find(session, artifact_id)
    except NotFound as error:
        raise Http404(error.sentence) from None
    response = downloads.send(
        request, artifact.path, artifact.media_type, artifact.sha256, save_as=artifact.name
    )
    return cast("HttpResponse", response)


@require_POST
@of_session
def drop(request: SignedIn, session: Session, artifact_id: int) -> HttpResponse:
    """Removes a file permanently."""
    data = {"artifact": artifact_id}
    return _change(
        request, session, lambda: commands.run(artifacts.REMOVE, request.user, session, data)
    )


@require_POST
@of_session
def upload(request: SignedIn, session: Session) -> HttpResponse:
    """Stores the file of the form's field ``file``."""

    def store() -> Artifact:
        file = request.FILES.get("file")
        if file is None:
            raise Invalid("Choose a file first.")
        return artifacts.upload(
            session, request.user, file.name or "", file.size or 0, file.chunks()
        )

    return _change(request, session, store, Category.FILES)


@require_POST
@of_session
def bundle(request: SignedIn, session: Session) -> HttpResponse:
    """Makes a trace bundle, with the browser's ``facts`` (JSON) if the form has them."""

    def make() -> Artifact:
        facts = trace_bundle.parse_facts(request.POST.get("facts", ""))
        return trace_bundle.store(session, request.user, facts)

    return _change(request, session, make, Category.DEVTOOLS)


@require_POST
@of_session
def record(request: SignedIn, session: Session) -> HttpResponse:
    """Starts the recording of the finished run with this number."""
    data = {"run": request.POST.get("run", "")}
    return _change(
        request, session, lambda: commands.run(recordings.RECORD_AGAIN, request.user, session, data)
    )


def _change(
    request: SignedIn, session: Session, change: Callable[[], object], section: str = ""
) -> HttpResponse:
    """Makes the change and redirects to a section of the page, or shows the refusal."""
    try:
        change()
    except SmnbError as error:
        return refused(request, error, "artifacts", session.pk)
    anchor = f"#{section}" if section else ""
    return redirect(reverse("artifacts", args=[session.pk]) + anchor)


@require_POST
@of_session
def screenshot(request: SignedIn, session: Session) -> HttpResponse:
    """Stores the PNG of the field ``picture``: 201 with its name, or a sentence that refuses it."""
    picture = request.FILES.get("picture")
    try:
        # The size is known before the picture is read into memory.
        if picture is None or (picture.size or 0) > artifacts.MAX_PICTURE_BYTES:
            raise Invalid("Send one PNG picture of at most 10 MB.")
        artifact = artifacts.screenshot(session, request.user, picture.read())
    except SmnbError as error:
        return JsonResponse({"sentence": error.sentence}, status=status_of(error))
    return JsonResponse({"name": artifact.name, "id": artifact.pk}, status=201)
