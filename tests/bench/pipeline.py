"""Tells stories as a worker does and measures what they cost; run through ``manage.py shell``."""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from broadcast import orchestrator
from sessions_app import commands, context, sessions
from sessions_app.background import sending, steps
from sessions_app.events import recorder
from sessions_app.models import Session, Step
from smnb import tracing
from smnb.logging import SessionFiles
from stories.models import Source
from stories.posts import queue
from stories.sources import service
from stories.sources.service import SourceSpec
from stories.types import FetchedPost

STORIES = 50


def run() -> None:
    """Print the middle time of a round of the host in each way, in seconds."""
    sending.set_poker(lambda _step, _queue: None)
    session = _session()
    narrate = Step.objects.get(session=session, kind=orchestrator.NARRATE)
    tracer = tracing.SpanTracer(tracing.provider_to(InMemorySpanExporter()))
    took: dict[str, list[float]] = {"on": [], "off": []}
    for number in range(2 * STORIES):
        # One story each in turn, so that whatever else the machine does falls on both alike.
        way = "on" if number % 2 else "off"
        with _watched(tracer if way == "on" else None):
            began = time.perf_counter()
            steps.run(narrate.pk)
            took[way].append(time.perf_counter() - began)
        _finish(session, narrate)
    print(json.dumps({way: statistics.median(each[3:]) for way, each in took.items()}))


def cost() -> None:
    """Print the statements and the processor time of the middle story, in milliseconds."""
    sending.set_poker(lambda _step, _queue: None)
    session = _session()
    narrate = Step.objects.get(session=session, kind=orchestrator.NARRATE)
    took, statements = list[float](), list[int]()
    for _ in range(STORIES):
        with CaptureQueriesContext(connection) as queries:
            began = time.process_time()
            steps.run(narrate.pk)
            spent = time.process_time() - began
        # The airing that a worker of another queue ends at its time belongs to the story too.
        with CaptureQueriesContext(connection) as more:
            began = time.process_time()
            _finish(session, narrate)
            took.append(1000 * (spent + time.process_time() - began))
        found = [*queries.captured_queries, *more.captured_queries]
        ends = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
        statements.append(sum(not each["sql"].startswith(ends) for each in found) - OWN)
    print(json.dumps({"ms": statistics.median(took), "statements": statistics.median(statements)}))


# Statements of ``_finish`` that are those of the bench.
OWN = 2


def _finish(session: Session, narrate: Step) -> None:
    """End the airing, and make the next story due."""
    Step.objects.filter(pk=narrate.pk).update(due_at=steps.now())
    for airing in Step.objects.filter(
        session=session, kind=orchestrator.FINISH_AIRING, state=Step.State.PENDING
    ):
        steps.run(airing.pk)


@contextmanager
def _watched(tracer: tracing.SpanTracer | None) -> Iterator[None]:
    root = logging.getLogger()
    handlers = root.handlers[:]
    if tracer is None:
        root.handlers[:] = [each for each in handlers if not isinstance(each, SessionFiles)]
    else:
        context.set_tracer(tracer)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        context.set_tracer(context.NoTracer())


def _session() -> Session:
    owner = User.objects.create_user("olga")
    made = {"pace": 0, "model": "extractive"}
    session = sessions.create(owner, "Bench", made, None)
    service.add(session, SourceSpec(kind="rss", locator="https://example.org/feed"))
    commands.run("broadcast.start", owner, session, {})
    source = Source.objects.get(session=session)
    words = ("tide", "ferry", "harbour", "bridge", "storm", "council", "tram", "comet")
    fetched = [
        FetchedPost(
            f"p{at}",
            f"{words[at % 8]} {words[at // 8 % 8]} {words[at // 64 % 8]} number {at} is told",
            body="The keeper said so on Monday. It was raining. Nobody came to look at it.",
        )
        for at in range(2 * STORIES + 50)
    ]
    for at in range(0, len(fetched), 100):
        with transaction.atomic():
            added = queue.add(source, fetched[at : at + 100], steps.now())
            count = {"feed": len(added.posts), "queue": added.queued}
            recorder.record(session, service.POLLED, {"queue": []}, **count)
    return session
