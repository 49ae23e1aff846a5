"""What several tests of the whole product begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sessions_app import context
from sessions_app.models import Session
from smnb import tracing
from tests.broadcast.session_with_history import with_a_past
from tests.conftest import MakeSession
from tests.database_snapshots import past


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """All spans that are made and over, in the order of their ends."""
    exporter = InMemorySpanExporter()
    provider = tracing.provider_to(exporter, at_once=True)
    context.set_tracer(tracing.SpanTracer(provider))
    yield exporter
    context.set_tracer(context.NoTracer())
    provider.shutdown()


@pytest.fixture
def harbour_news(owner: User, make_session: MakeSession) -> Session:
    """A session with a history, made once where the test has no transaction around it."""
    return past("harbour news", owner, lambda: with_a_past(make_session("Harbour news")))
