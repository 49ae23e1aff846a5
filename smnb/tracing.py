"""OpenTelemetry traces, which are off until an endpoint is configured.

Each scope and each part of ``sessions_app.context`` is a span. A span processor adds the fields of
the context to every span at its start, including spans of libraries; fields that are bound later are
added to all open spans. So every span has its session.
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

# The conventional names of fields that other products have too; ours get the prefix "smnb.". A
# field with an empty name is left out.
NAMES = {
    "session": "session.id",
    "user": "user.id",
    "request": "request.id",
    "_folder": "",
    "socket": "smnb.audience",
}

_open: ContextVar[tuple[Any, ...]] = ContextVar("smnb_open_spans", default=())


def attributes(fields: Mapping[str, str]) -> dict[str, str]:
    """Returns the fields of a context as attributes of a span."""
    named = {NAMES.get(key, f"smnb.{key}"): value for key, value in fields.items()}
    named.pop("", None)
    return named


class SpanTracer:
    """Creates the spans; ``sessions_app.context.NoTracer`` has the same methods and does nothing."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("smnb")

    @contextmanager
    def span(self, name: str, cause: str = "") -> Iterator[None]:
        """Opens a span, linked to the one with the traceparent ``cause``, if it is not empty."""
        # Imported here, because the extra may not be installed.
        from opentelemetry.trace import Link, get_current_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        links: list[Link] = []
        if cause:
            # The cause ran in another process or long ago, so it cannot be the parent.
            extracted = TraceContextTextMapPropagator().extract({"traceparent": cause})
            origin = get_current_span(extracted).get_span_context()
            if origin.is_valid:
                links.append(Link(origin))
        with self._tracer.start_as_current_span(name, links=links) as span:
            before = _open.get()
            _open.set((*before, span))
            try:
                yield
            finally:
                _open.set(before)

    def bound(self, fields: Mapping[str, str]) -> None:
        """Adds fields to the open spans; an operation also renames the outermost one."""
        values = attributes(fields)
        spans: tuple[Span, ...] = _open.get()
        for span in spans:
            span.set_attributes(values)
        if spans and "operation" in fields:
            spans[0].update_name(fields["operation"])

    def traceparent(self) -> str:
        """Returns the traceparent of the current span, or ""."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        """Sends the remaining spans and shuts the provider down."""
        self._provider.shutdown()


_started: list[SpanTracer] = []


def provider_to(exporter: SpanExporter, *, at_once: bool = False) -> TracerProvider:
    """Returns a provider that sends spans to ``exporter`` in the background or, for tests, at once."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    class FromContext(SpanProcessor):
        """Adds the fields of the context to each span, also to those of libraries."""

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            span.set_attributes(attributes(context.current()))

    provider = TracerProvider(resource=Resource.create({"service.name": "smnb"}))
    provider.add_span_processor(FromContext())
    send = SimpleSpanProcessor if at_once else BatchSpanProcessor
    provider.add_span_processor(send(exporter))
    return provider


def start(endpoint: str) -> SpanTracer | None:
    """Starts tracing if an endpoint is configured and the extra is installed."""
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
    """Sends the remaining spans and ends tracing in this process."""
    context.set_tracer(context.NoTracer())
    # More than one only in tests.
    while _started:
        _started.pop().close()
