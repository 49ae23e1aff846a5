"""What the tests of traces share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sessions_app import context
from smnb import tracing


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """All spans that are made and over, in the order of their ends."""
    exporter = InMemorySpanExporter()
    provider = tracing.provider_to(exporter, at_once=True)
    context.set_tracer(tracing.SpanTracer(provider))
    yield exporter
    context.set_tracer(context.NoTracer())
    provider.shutdown()
