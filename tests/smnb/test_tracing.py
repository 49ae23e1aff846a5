"""Traces: every span has its session, also children and those of libraries; links cross processes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sessions_app import context
from sessions_app.models import Session, Step
from smnb import tracing
from tests.conftest import run_due_steps
from tests.standins.server import StandIn

pytestmark = pytest.mark.django_db(transaction=True)


class Collector(StandIn):
    """Takes whatever is sent to it."""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.reply(request, 200)


def of(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def aired(
    owner: User, session: Session, client_of: Callable[[User], Client], spans: InMemorySpanExporter
) -> InMemorySpanExporter:
    """What Go Live and the first stories leave."""
    client_of(owner).post(f"/broadcast/{session.pk}/command/", {"command": "start"})
    run_due_steps(session, most=6)
    return spans


def test_every_span_has_its_session(aired: InMemorySpanExporter, session: Session) -> None:
    found = aired.get_finished_spans()
    assert {"fetch", "narrate"} <= {span.name for span in found}
    for span in found:
        assert (span.attributes or {}).get("session.id") == str(session.pk), span.name


def test_a_span_that_began_before_its_session_was_known_has_it_too(
    aired: InMemorySpanExporter, session: Session, owner: User
) -> None:
    (door,) = of(aired, "POST /broadcast/<uuid:session_id>/command/")
    assert door.attributes is not None
    assert door.attributes["session.id"] == str(session.pk)
    assert door.attributes["user.id"] == str(owner.pk)


def span_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def test_a_step_is_linked_to_the_request_that_caused_it(aired: InMemorySpanExporter) -> None:
    (door,) = of(aired, "POST /broadcast/<uuid:session_id>/command/")
    for span in of(aired, "poll") + [each for each in of(aired, "narrate") if each.parent is None]:
        assert [link.context.span_id for link in span.links] == [span_id(door)]
        assert (span.attributes or {})["request.id"] == (door.attributes or {})["request.id"]


def test_the_narrator_s_span_is_a_child_in_the_agent_s_environment(
    aired: InMemorySpanExporter,
) -> None:
    (child, *_) = [span for span in of(aired, "narrate") if span.parent is not None]
    assert (child.attributes or {})["smnb.environment"] == "agent"
    assert "_folder" not in str(child.attributes)


def test_a_span_that_a_library_begins_has_the_session_too(spans: InMemorySpanExporter) -> None:
    tracer = tracing.provider_to(spans, at_once=True).get_tracer("library")
    with context.scope(session="one"), tracer.start_as_current_span("query"):
        pass
    (span,) = of(spans, "query")
    assert (span.attributes or {})["session.id"] == "one"


def test_without_a_tracer_nothing_is_carried(session: Session, go_live: Callable[..., Any]) -> None:
    with context.scope(request="a-request-1", operation="x"):
        go_live(session)
    step = Step.objects.filter(session=session).first()
    assert step is not None
    assert step.origin == {"request": "a-request-1", "operation": "x"}


def test_spans_arrive_at_a_collector(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        assert tracing.start(collector.url) is not None
        fields = context.session_fields(session)
        with context.scope(cause="", **fields, operation="test"), context.span("part"):
            pass
        tracing.stop()
        bodies = [each.body for each in collector.requests]
    sent = ExportTraceServiceRequest()
    sent.ParseFromString(_plain(bodies[0]))
    found = [
        span for all_ in sent.resource_spans for scope in all_.scope_spans for span in scope.spans
    ]
    assert {span.name for span in found} == {"test", "part"}
    for span in found:
        values = {each.key: each.value.string_value for each in span.attributes}
        assert values["session.id"] == str(session.pk)


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def test_no_endpoint_means_no_traces() -> None:
    assert tracing.start("") is None


def test_an_endpoint_without_the_extra_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda _name: None)
    assert tracing.start("http://127.0.0.1:1") is None
    assert "make otel" in caplog.text
