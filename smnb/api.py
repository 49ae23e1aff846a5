"""The JSON API under /api, described at /api/openapi.json."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from pydantic import TypeAdapter

from broadcast.studio.ai_chain import views as ai_chain_views
from broadcast.studio.artifacts import views as artifacts_views
from broadcast.studio.broadcast_center import api as broadcast_center_api
from broadcast.studio.drafting import api as drafting_api
from broadcast.studio.sessions import api as sessions_api
from broadcast.studio.traces import views as traces_views
from broadcast.studio.transfers import views as transfers_views
from sessions_app.events import recorder
from sessions_app.web.api import AUTH, PROBLEMS, install_errors, router
from smnb import health
from smnb.health import HealthReport


class Api(NinjaAPI):
    """The API with an OpenAPI document that client generators read well."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Returns the OpenAPI document, with the payloads of all event types."""
        document = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        schemas = document["components"]["schemas"]
        types = recorder.payload_types()
        references, extra = TypeAdapter.json_schemas(
            [(name, "serialization", TypeAdapter(payload)) for name, payload in types.items()],
            ref_template="#/components/schemas/{model}",
        )
        for name, schema in extra.get("$defs", {}).items():
            schemas.setdefault(name, schema)
        # An event's ``data`` stays an open object: events of earlier versions must stay readable.
        schemas["ApiEvent"]["properties"]["data"]["x-payloads"] = {
            name: schema for (name, _), schema in references.items()
        }
        for name, schema in schemas.items():
            # Generators name classes by the title, which is "Page" for every page of items.
            schema["title"] = name
        return document


api = Api(title="SMNB", version="1", auth=AUTH, docs_url=None, urls_namespace="api")
install_errors(api)
# Importing these modules adds their operations to the router: a path has one view for all its
# methods, also when they are defined in different modules.
OPERATIONS = (
    ai_chain_views,
    artifacts_views,
    broadcast_center_api,
    drafting_api,
    sessions_api,
    traces_views,
    transfers_views,
)
api.add_router("", router)


@api.get("/health", response={200: HealthReport, **PROBLEMS}, tags=["health"])
def read_health(request: HttpRequest) -> HealthReport:
    """Checks the components of this installation."""
    return health.components()
