"""The JSON API under /api, described at /api/openapi.json."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import etag
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from pydantic import TypeAdapter

from broadcast.studio.ai_chain import views as ai_chain_views
from broadcast.studio.artifacts import views as artifacts_views
from broadcast.studio.broadcast_center import api as broadcast_center_api
from broadcast.studio.drafting import api as drafting_api
from broadcast.studio.sessions import api as sessions_api
from broadcast.studio.sessions import sources_api
from broadcast.studio.traces import views as traces_views
from broadcast.studio.transfers import views as transfers_views
from sessions_app import commands
from sessions_app.events import recorder, statistics
from sessions_app.web.api import AUTH, PROBLEMS, install_errors, router
from smnb import health
from smnb.health import HealthReport
from stories.sources import preview


class Api(NinjaAPI):
    """The API with an OpenAPI document that client generators read well."""

    # By the prefix of the paths. Any client may ask for it, and making it takes a fifth of a second.
    documents: dict[str | None, OpenAPISchema] = {}

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Returns the OpenAPI document, with the payloads of all event types."""
        if path_prefix in self.documents:
            return self.documents[path_prefix]
        document = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        schemas = document["components"]["schemas"]
        types = recorder.payload_types()
        types["figures"] = statistics.FiguresPayload
        references, extra = TypeAdapter.json_schemas(
            [(name, "serialization", TypeAdapter(payload)) for name, payload in types.items()],
            ref_template="#/components/schemas/{model}",
        )
        for name, schema in extra.get("$defs", {}).items():
            schemas.setdefault(name, schema)
        # An event's ``data`` stays an open object: events of earlier versions must stay readable.
        payloads = {name: schema for (name, _), schema in references.items()}
        data = schemas["ApiEvent"]["properties"]["data"]
        data |= {"x-figures": payloads.pop("figures"), "x-payloads": payloads}
        for methods in document["paths"].values():
            for method, operation in methods.items():
                _describe_limits(method, operation)
        for name, schema in schemas.items():
            # Generators name classes by the title, which is "Page" for every page of items.
            schema["title"] = name
        self.documents[path_prefix] = document
        return document


def written_once(write: Callable[..., HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Wraps Ninja's view of the document, which writes it as JSON again for each request."""

    @cache
    def document() -> tuple[bytes, str]:
        content = write(HttpRequest()).content
        return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    @cache_control(public=True, no_cache=True)
    @etag(lambda request: document()[1])
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(document()[0], content_type="application/json")

    return view


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": commands.LONGEST_KEY},
    "description": "A text of the client's choice. A request that is sent again with the same key "
    "and body has no second effect and gets the first answer; with another body it gets 422. "
    "Answers are stored for some days, see Settings.",
}
# Further limits of single operations.
MORE_LIMITS = {
    "command_broadcast": (settings.SMNB.limit_go_live, "starts and recoveries a minute"),
    "add_source": (settings.SMNB.limit_feeds, "new sources an hour"),
    "test_source": (preview.TESTS_A_MINUTE, "tests a minute"),
}


def _describe_limits(method: str, operation: dict[str, Any]) -> None:
    """Adds the Idempotency-Key of a POST, and the limits of an operation, to its description."""
    if method == "post":
        operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    env = settings.SMNB
    limits = [
        (env.limit_reads, "reads a minute")
        if method == "get"
        else (env.limit_writes, "writes a minute")
    ]
    limits += [MORE_LIMITS[name]] if (name := operation["operationId"]) in MORE_LIMITS else []
    counted = " and ".join(f"{most} {what}" for most, what in limits if most) or "no limit"
    responses = operation["responses"]
    if 429 in responses:
        responses[429] = {
            **responses[429],
            "description": f"Too many requests of this user ({counted}).",
            "headers": {
                "Retry-After": {
                    "description": "Seconds until the next request is accepted.",
                    "schema": {"type": "integer"},
                }
            },
        }


api = Api(
    title="SMNB",
    version="1",
    auth=AUTH,
    docs_url=None,
    docs_decorator=written_once,
    urls_namespace="api",
)
install_errors(api)
# Importing these modules adds their operations to the router: a path has one view for all its
# methods, also when they are defined in different modules.
OPERATIONS = (
    ai_chain_views,
    artifacts_views,
    broadcast_center_api,
    drafting_api,
    sessions_api,
    sources_api,
    traces_views,
    transfers_views,
)
api.add_router("", router)


@api.get("/health", response={200: HealthReport, **PROBLEMS}, tags=["health"])
def read_health(request: HttpRequest) -> HealthReport:
    """Checks the components of this installation."""
    return health.components()
