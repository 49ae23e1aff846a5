"""The context of log lines is set by scopes, restored, and never leaks into the next one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.http import HttpRequest, HttpResponse

from sessions_app import context
from sessions_app.web.middleware import ContextMiddleware


def test_a_scope_has_exactly_its_fields_and_restores_the_previous_ones() -> None:
    with context.scope(session="one"):
        context.bind(run=3)
        with context.scope(step=7):
            assert context.current() == {"step": "7"}
        assert context.current() == {"session": "one", "run": "3"}
    assert context.current() == {}


def test_a_scope_is_restored_after_an_error() -> None:
    with pytest.raises(RuntimeError), context.scope(session="one"):
        raise RuntimeError
    assert context.current() == {}


def test_current_returns_a_copy() -> None:
    with context.scope(session="one"):
        context.current()["session"] = "two"
        assert context.current() == {"session": "one"}


def test_a_log_line_gets_the_fields_but_keeps_its_own() -> None:
    with context.scope(session="one", step=7):
        found = context.add_context(None, "info", {"event": "x", "step": 9})
    assert found == {"event": "x", "step": 9, "session": "one"}


def test_every_request_has_an_id_of_its_own() -> None:
    seen: list[dict[str, str]] = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(context.current())
        return HttpResponse()

    middleware = ContextMiddleware(view)
    for _ in range(2):
        middleware(HttpRequest())
    assert seen[0]["request"] != seen[1]["request"]
    assert context.current() == {}


def test_requests_at_the_same_time_do_not_mix() -> None:
    all_bound = Barrier(8)

    def view(request: HttpRequest) -> HttpResponse:
        context.bind(path=request.path)
        all_bound.wait(10)
        assert context.current()["path"] == request.path
        return HttpResponse()

    def one(number: int) -> None:
        request = HttpRequest()
        request.path = f"/{number}/"
        ContextMiddleware(view)(request)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(8)))
    assert context.current() == {}
