"""Pages and the API report each error with the same HTTP status."""

from __future__ import annotations

import json

import pytest
from django.test import RequestFactory
from ninja import NinjaAPI

from sessions_app.errors import Conflict, Forbidden, Invalid, NotFound, SmnbError, StaleClaim
from sessions_app.rate_limits import TooMany
from sessions_app.web.api import install_errors
from sessions_app.web.http import status_of

ERRORS = [
    (Forbidden("Ask the staff."), 403, "forbidden"),
    (NotFound("There is no such session."), 404, "not_found"),
    (Conflict("The session is archived."), 409, "conflict"),
    (Invalid("name: must not be empty."), 422, "invalid"),
    (TooMany("At most 3 writes in 60 s.", after=7), 429, "rate_limited"),
    (StaleClaim("Another worker has claimed the step."), 503, "stale_claim"),
]


@pytest.mark.parametrize(("error", "status", "code"), ERRORS)
def test_a_page_and_the_api_respond_with_the_same_status(
    error: SmnbError, status: int, code: str
) -> None:
    api = NinjaAPI(urls_namespace=f"errors-{code}")
    install_errors(api)
    response = api.on_exception(RequestFactory().get("/api/sessions"), error)
    assert (status_of(error), response.status_code) == (status, status)
    body = json.loads(response.content)
    assert (body["code"], body["detail"]) == (code, error.sentence)


def test_the_response_to_too_many_requests_says_when_to_try_again() -> None:
    api = NinjaAPI(urls_namespace="errors-retry-after")
    install_errors(api)
    error = TooMany("At most 3 writes in 60 s.", after=7)
    response = api.on_exception(RequestFactory().get("/api/sessions"), error)
    assert response["Retry-After"] == "7"
