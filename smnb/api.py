"""The JSON API under /api, described at /api/openapi.json."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import NinjaAPI

from broadcast.studio.ai_chain import api as ai_chain_api
from broadcast.studio.artifacts import api as artifacts_api
from broadcast.studio.broadcast_center import api as broadcast_center_api
from broadcast.studio.drafting import api as drafting_api
from broadcast.studio.sessions import api as sessions_api
from broadcast.studio.traces import api as traces_api
from broadcast.studio.transfers import api as transfers_api
from sessions_app.web.api import AUTH, PROBLEMS, install_errors, router
from smnb import health
from smnb.health import HealthReport

api = NinjaAPI(title="SMNB", version="1", auth=AUTH, docs_url=None, urls_namespace="api")
install_errors(api)
# Importing these modules adds their operations to the router: a path has one view for all its
# methods, also when they are defined in different modules.
OPERATIONS = (
    ai_chain_api,
    artifacts_api,
    broadcast_center_api,
    drafting_api,
    sessions_api,
    traces_api,
    transfers_api,
)
api.add_router("", router)


@api.get("/health", response={200: HealthReport, **PROBLEMS}, tags=["health"])
def read_health(request: HttpRequest) -> HealthReport:
    """Checks the components of this installation."""
    return health.components()
