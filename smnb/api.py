"""The API's root: every app's router under /api, described at /api/openapi.json."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI

from broadcast.api import router
from sessions_app.api import AUTH, install_errors
from smnb import health

api = NinjaAPI(title="SMNB", version="1", auth=AUTH, docs_url=None, urls_namespace="api")
install_errors(api)
api.add_router("", router)


@api.get("/health", response={200: dict[str, Any]}, tags=["health"])
def read_health(request: HttpRequest) -> dict[str, Any]:
    """The state of each part of this installation."""
    return health.components()
