"""The artifacts of a session: list, download, remove, upload, and make from the browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from django.conf import settings
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe
from ninja import Query
from typing_extensions import TypedDict

from broadcast import orchestrator, recordings
from broadcast import queries as broadcast_queries
from broadcast.studio.artifacts import bundle as trace_bundle
from sessions_app import commands
from sessions_app.errors import Invalid, SmnbError
from sessions_app.files import artifacts, storage
from sessions_app.files.artifacts import MEANINGS, ArtifactPayload, Category
from sessions_app.models import Artifact, Session, SessionStats
from sessions_app.web.api import PROBLEMS, Page, Paging, owned, page_of, router, user_of
from sessions_app.web.http import SignedIn, of_session, post_only, refused, status_of

FEW = 5  # files of a category when all categories are shown
MOST = 40  # files on a page of one category


@dataclass(frozen=True, slots=True)
class Part:
    """The files to show: one category or all (""), and those before an id or the newest (None)."""

    category: str = ""
    before: int | None = None

    @classmethod
    def of(cls, category: str, before: int | None) -> Part:
        return cls(category, before) if category in Category.values else cls()


class FileRow(ArtifactPayload):
    """An artifact with its maker, and whether the page can show it as a picture."""

    made_by: str
    picture: bool


class CategoryRow(TypedDict):
    """A category with its newest files; ``older`` is the id before which the next page begins."""

    name: str
    meaning: str
    number: int
    bytes: int
    files: list[FileRow]
    older: int | None


class ArtifactsPage(TypedDict):
    """The page of the artifacts; sizes are in bytes."""

    session: Session
    last_seq: int
    used: int
    quota: int
    nearly: int
    part: Part
    categories: list[CategoryRow]
    missing: object
    upload_mb: int


def page_of_files(session: Session, part: Part) -> ArtifactsPage:
    """Returns what the page of the artifacts shows."""
    # Read first: an event recorded after this is delivered to the page again.
    stats = SessionStats.objects.get(session=session)
    # One query for the sizes of all categories.
    rows = artifacts.listed(session).order_by().values("category")
    sizes = {
        row["category"]: (row["number"], row["total"])
        for row in rows.annotate(number=Count("pk"), total=Sum("bytes"))
    }
    quota = artifacts.quota_bytes()
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "used": sum(total for _, total in sizes.values()),
        "quota": quota,
        "nearly": quota * 9 // 10,
        "part": part,
        "categories": [
            _category(session, category, *sizes[category], part)
            for category in Category.values
            if category in sizes and part.category in ("", category)
        ],
        "missing": recordings.missing(session),
        "upload_mb": settings.SMNB.limit_upload_mb,
    }


def _category(
    session: Session, category: str, number: int, total_bytes: int, part: Part
) -> CategoryRow:
    rows = artifacts.listed(session, category).select_related("made_by")
    if part.before is not None:
        rows = rows.filter(pk__lt=part.before)
    most = MOST if part.category else FEW
    files = list(rows[: most + 1])
    return {
        "name": category,
        "meaning": MEANINGS[category],
        "number": number,
        "bytes": total_bytes,
        "files": [
            {
                **artifacts.payload(file),
                "made_by": file.made_by.get_username() if file.made_by else "",
                "picture": file.category == Category.SCREENSHOTS,
            }
            for file in files[:most]
        ],
        "older": files[most - 1].pk if len(files) > most else None,
    }


@require_safe
@of_session
def listed(request: SignedIn, session: Session) -> HttpResponse:
    """The artifacts; ``?category=`` shows one category, ``?before=`` (an id) its older files."""
    before = broadcast_queries.key_of(request.GET.get("before", ""))
    part = Part.of(request.GET.get("category", ""), before)
    page = {
        **page_of_files(session, part),
        "here": request.get_full_path(),
        "session_air": orchestrator.latest_payload(session),
    }
    template = (
        "studio/artifacts/_artifacts.html" if request.htmx else "studio/artifacts/artifacts.html"
    )
    return render(request, template, page)


@require_safe
@of_session
def download(request: SignedIn, session: Session, artifact_id: int) -> HttpResponse:
    artifact = artifacts.find(session, artifact_id)
    response = storage.send(
        request, artifact.path, artifact.media_type, artifact.sha256, save_as=artifact.name
    )
    return cast("HttpResponse", response)


@post_only
@of_session
def drop(request: SignedIn, session: Session, artifact_id: int) -> HttpResponse:
    """Removes a file permanently."""
    data = {"artifact": artifact_id}
    return _change(
        request, session, lambda: commands.run(artifacts.REMOVE, request.user, session, data)
    )


@post_only
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


@post_only
@of_session
def bundle(request: SignedIn, session: Session) -> HttpResponse:
    """Makes a trace bundle, with the browser's ``facts`` (JSON) if the form has them."""

    def make() -> Artifact:
        facts = trace_bundle.parse_facts(request.POST.get("facts", ""))
        return trace_bundle.store(session, request.user, facts)

    return _change(request, session, make, Category.DEVTOOLS)


@post_only
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


@post_only
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


@router.get("/sessions/{session_id}/artifacts", response={200: Page[ArtifactPayload], **PROBLEMS})
def list_artifacts(
    request: HttpRequest, session_id: str, paging: Query[Paging], category: str = ""
) -> Page[ArtifactPayload]:
    """Lists the files of a session, or those of one category."""
    session = owned(request, session_id)
    # An unknown category would look like one without files.
    if category and category not in Category.values:
        raise Invalid(f"category: must be one of {', '.join(Category.values)}.")
    return page_of(artifacts.listed(session, category), paging, artifacts.payload)


@router.get("/sessions/{session_id}/artifacts/{artifact_id}", response={200: None, **PROBLEMS})
def read_artifact(request: HttpRequest, session_id: str, artifact_id: int) -> HttpResponse:
    """Downloads a file, or the range of bytes that the Range header asks for."""
    artifact = artifacts.find(owned(request, session_id), artifact_id)
    response = storage.send(
        request, artifact.path, artifact.media_type, artifact.sha256, save_as=artifact.name
    )
    return cast("HttpResponse", response)


@router.delete(
    "/sessions/{session_id}/artifacts/{artifact_id}", response={200: ArtifactPayload, **PROBLEMS}
)
def drop_artifact(request: HttpRequest, session_id: str, artifact_id: int) -> ArtifactPayload:
    """Deletes a file permanently. Recordings can be made again."""
    session = owned(request, session_id)
    data = {"artifact": artifact_id}
    return artifacts.payload(commands.run(artifacts.REMOVE, user_of(request), session, data))
