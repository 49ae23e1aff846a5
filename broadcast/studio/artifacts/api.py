"""API operations on the artifacts of a session: list, download and delete."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest, HttpResponse
from ninja import Query

from sessions_app import commands
from sessions_app.errors import Invalid
from sessions_app.files import artifacts, downloads
from sessions_app.files.artifacts import ArtifactPayload, Category
from sessions_app.web.api import PROBLEMS, Page, Paging, owned, page_of, router, user_of


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
    response = downloads.send(
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
