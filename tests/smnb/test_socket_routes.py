"""The door of a socket: its lines and spans have the session and a request, and the person if known."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sessions_app import context, sessions
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime import frames
from sessions_app.session_logs import reader
from sessions_app.session_logs.reader import Line, LogQuery
from smnb import tracing
from smnb.asgi import application
from tests.broadcast.speech.recorded_session import recorded
from tests.sessions_app.realtime.test_hub import until

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 60


@pytest.fixture
def shown(session: Session) -> Session:
    recorded(session)
    return sessions.show(session, True)


@pytest.fixture
def cookie(shown: Session, client_of: Callable[[User], Client]) -> dict[str, str]:
    """What the owner's browser sends when it opens a socket."""
    name = settings.SESSION_COOKIE_NAME
    value = client_of(shown.owner).cookies[name].value
    return {"cookie": f"{name}={value}", "origin": "http://localhost:8000"}


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter) -> None:
    """While a socket polls for events, a library opens a span and a line is logged."""
    tracer = tracing.provider_to(spans, at_once=True).get_tracer("library")
    read, log = frames.since, structlog.get_logger("tests")

    def since(missed: frames.Missed) -> Any:
        with tracer.start_as_current_span("query"):
            log.info("asked_for_news")
            return read(missed)

    monkeypatch.setattr(frames, "since", since)


@asynccontextmanager
async def opened(
    path: str, headers: dict[str, str], format_: str = "json"
) -> AsyncIterator[WebsocketCommunicator]:
    """A socket of the whole application, that has asked for what it missed and got it."""
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    socket = WebsocketCommunicator(application, f"{path}?format={format_}", headers=sent)
    connected, _ = await socket.connect(timeout=PATIENCE)
    assert connected
    await socket.send_to(text_data=json.dumps({"after": 0}))
    await socket.receive_from(timeout=PATIENCE)
    yield socket
    await socket.disconnect(timeout=PATIENCE)


async def attributes_of(
    spans: InMemorySpanExporter, path: str, headers: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """What each span of a socket's life has, by the span's name."""
    async with opened(path, headers):
        pass
    return {span.name: dict(span.attributes or {}) for span in spans.get_finished_spans()}


def lines(session: Session, event: str) -> list[Line]:
    found = reader.find(session.folder, LogQuery(environment="server"), 1000).lines
    return [line for line in found if line["event"] == event]


async def test_every_span_of_the_owner_s_socket_has_session_request_and_person(
    shown: Session, cookie: dict[str, str], spans: InMemorySpanExporter, heard: None
) -> None:
    found = await attributes_of(spans, f"/ws/sessions/{shown.pk}/", cookie)
    assert found.keys() == {"join", "catch_up", "query", "leave"}
    for name, values in found.items():
        assert values["session.id"] == str(shown.pk), name
        assert values["user.id"] == str(shown.owner_id), name
        assert values["smnb.operation"] == "socket", name
    assert len({values["request.id"] for values in found.values()}) == 1


async def test_every_span_of_a_viewer_s_socket_has_session_and_request_and_nobody(
    shown: Session, cookie: dict[str, str], spans: InMemorySpanExporter, heard: None
) -> None:
    found = await attributes_of(spans, f"/ws/watch/{shown.watch_token}/", cookie)
    assert found.keys() == {"join", "catch_up", "query"}
    for name, values in found.items():
        assert values["session.id"] == str(shown.pk), name
        assert values["smnb.audience"] == "public", name
        assert "user.id" not in values, name
    assert len({values["request.id"] for values in found.values()}) == 1


@pytest.mark.parametrize("whose", ["owner", "viewer"])
async def test_the_spans_of_a_replay_have_them_too(
    shown: Session, cookie: dict[str, str], spans: InMemorySpanExporter, whose: str
) -> None:
    own = f"/ws/sessions/{shown.pk}/replay/1/"
    path = own if whose == "owner" else f"/ws/watch/{shown.watch_token}/replay/1/"
    found = await attributes_of(spans, path, cookie)
    assert found["replay"]["session.id"] == str(shown.pk)
    assert found["replay"]["request.id"]
    assert found["replay"].get("user.id") == (str(shown.owner_id) if whose == "owner" else None)


async def test_a_line_written_in_a_socket_is_in_the_session_s_log(
    shown: Session, cookie: dict[str, str], spans: InMemorySpanExporter, heard: None
) -> None:
    for path in (f"/ws/sessions/{shown.pk}/", f"/ws/watch/{shown.watch_token}/"):
        async with opened(path, cookie):
            pass
    public, own = lines(shown, "asked_for_news")
    for line in (own, public):
        assert (line["session"], line["operation"]) == (str(shown.pk), "socket")
        assert (line["environment"], line["stack"]) == ("server", "catch_up")
    assert own["user"] == shown.owner_id
    assert "user" not in public
    assert own["request"] != public["request"]
    assert {line["request"] for line in (own, public)} >= {
        (span.attributes or {})["request.id"] for span in spans.get_finished_spans()
    }


@sync_to_async
def happen(session: Session, type_: str) -> None:
    with transaction.atomic():
        recorder.record(session, type_, {})


async def test_what_the_hub_says_of_a_session_is_in_its_log_and_nobody_s_request(
    shown: Session, cookie: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recorder._types, "test.unshown", "An event without a template.")
    async with opened(f"/ws/sessions/{shown.pk}/", cookie, "html"):
        await happen(shown, "test.unshown")
        await until(lambda: lines(shown, "event_not_shown"))
    (line,) = lines(shown, "event_not_shown")
    assert (line["operation"], line["environment"]) == ("hub", "server")
    assert not line.keys() & {"request", "user", "socket"}


async def test_the_hub_does_not_live_in_the_context_of_the_first_socket(
    shown: Session, cookie: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public replay asks for the hub when its session is known."""
    after, found = frames.after, list[dict[str, str]]()

    async def noted(*asked: Any) -> Any:
        found.append(context.current())
        return await after(*asked)

    monkeypatch.setattr(frames, "after", noted)
    async with (
        opened(f"/ws/watch/{shown.watch_token}/replay/1/", {}),
        opened(f"/ws/sessions/{shown.pk}/", cookie),
    ):
        await until(lambda: found)
    assert found[0] == {"environment": "server", "operation": "hub"}
