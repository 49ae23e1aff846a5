"""Traces by OpenTelemetry, for whoever collects them: off until an endpoint is named.

Doors and frames are spans. A processor gives every span, also those that libraries begin, what the
context holds at its start; what the context learns later joins the spans that are open. So no child
is without its session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import structlog

from sessions_app import context

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

log = structlog.get_logger(__name__)

# What collectors call the fields of ours that everybody has; the others keep their names.
NAMES = {
    "session": "session.id", "user": "user.id", "request": "request.id",
    "_folder": "", "socket": "smnb.audience",
}  # fmt: skip

_open: ContextVar[tuple[Any, ...]] = ContextVar("smnb_open_spans", default=())


def attributes(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of a context as attributes of a span."""
    named = {NAMES.get(key, f"smnb.{key}"): value for key, value in fields.items()}
    named.pop("", None)
    return named


class SpanTracer:
    """Makes the spans of doors and frames; the null one stands in ``sessions_app.context``."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("smnb")

    @contextmanager
    def span(self, name: str, cause: str = "") -> Iterator[None]:
        with self._tracer.start_as_current_span(name, links=_links(cause)) as span:
            before = _open.get()
            _open.set((*before, span))
            try:
                yield
            finally:
                _open.set(before)

    def bound(self, fields: Mapping[str, str]) -> None:
        found = attributes(fields)
        spans: tuple[Span, ...] = _open.get()
        for span in spans:
            span.set_attributes(found)
        if spans and "operation" in fields:
            spans[0].update_name(fields["operation"])

    def traceparent(self) -> str:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        """Send what waits, and end."""
        self._provider.shutdown()


_started: list[SpanTracer] = []


def _links(cause: str) -> list[Any]:
    """The span that led to this one, in another process or long ago."""
    if not cause:
        return []
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found = TraceContextTextMapPropagator().extract({"traceparent": cause})
    led = get_current_span(found).get_span_context()
    return [Link(led)] if led.is_valid else []


def provider_to(exporter: SpanExporter, *, at_once: bool = False) -> TracerProvider:
    """Spans with our attributes, sent to ``exporter`` in the background or, for tests, at once."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    class FromContext(SpanProcessor):
        """Gives each span what the context holds, whoever begins it."""

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            span.set_attributes(attributes(context.current()))

    provider = TracerProvider(resource=Resource.create({"service.name": "smnb"}))
    provider.add_span_processor(FromContext())
    send = SimpleSpanProcessor if at_once else BatchSpanProcessor
    provider.add_span_processor(send(exporter))
    return provider


def start(endpoint: str) -> SpanTracer | None:
    """Trace to the endpoint, if one is named and the extra is installed."""
    if not endpoint:
        return None
    if find_spec("opentelemetry.exporter") is None or find_spec("opentelemetry.sdk") is None:
        log.warning("traces_off", sentence="OTEL_EXPORTER_OTLP_ENDPOINT is set: run make otel.")
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    tracer = SpanTracer(provider_to(OTLPSpanExporter()))
    context.set_tracer(tracer)
    _started.append(tracer)
    return tracer


def stop() -> None:
    """Send what waits; from here on this process makes no spans."""
    context.set_tracer(context.NoTracer())
    while _started:
        _started.pop().close()
