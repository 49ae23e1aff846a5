"""Artifacts in the API: listed, downloaded, and removed."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse

from sessions_app import commands
from sessions_app.errors import Invalid
from sessions_app.files import artifacts, downloads
from sessions_app.files.artifacts import Category
from sessions_app.web.api import PROBLEMS, Page, caller, owned, page_of, router


@router.get("/sessions/{session_id}/artifacts", response={200: Page, **PROBLEMS})
def list_artifacts(
    request: HttpRequest, session_id: str, limit: int = 50, cursor: str = "", category: str = ""
) -> dict[str, Any]:
    """The files of a session, the newest first, or those of one category."""
    session = owned(request, session_id)
    if category and category not in Category.values:
        raise Invalid(f"category: one of {', '.join(Category.values)}.")
    return page_of(artifacts.listed(session, category), limit, cursor, artifacts.payload)


@router.get("/sessions/{session_id}/artifacts/{artifact_id}", response={200: None, **PROBLEMS})
def read_artifact(request: HttpRequest, session_id: str, artifact_id: int) -> HttpResponse:
    """The file itself, whole or a range of it."""
    found = artifacts.find(owned(request, session_id), artifact_id)
    sent = downloads.send(request, found.path, found.media_type, found.sha256, save_as=found.name)
    return cast("HttpResponse", sent)


@router.delete(
    "/sessions/{session_id}/artifacts/{artifact_id}", response={200: dict[str, Any], **PROBLEMS}
)
def drop_artifact(request: HttpRequest, session_id: str, artifact_id: int) -> dict[str, Any]:
    """Remove a file for good; recordings can be made again."""
    session = owned(request, session_id)
    data = {"artifact": artifact_id}
    dropped = commands.run("artifact.drop", caller(request), session, data)
    return artifacts.payload(dropped)
