"""Feeds whose entries differ in one thing only: each entry of them becomes a story."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Session, Step
from stories.models import SourcePost, Story
from stories.posts import queue
from stories.sources import service
from stories.sources.http_client import Headers, Response
from stories.sources.rss import read_feed
from stories.sources.service import SourceSpec
from tests.conftest import MakeSession, run_due_steps
from tests.standins.recorded import DATA

pytestmark = pytest.mark.django_db(transaction=True)

FEEDS = (
    "links-by-fragment",
    "links-by-hashbang",
    "links-by-ref",
    "guids-with-one-link",
    "links-with-one-guid",
    "alerts-with-one-title",
    "titles-alone",
)
ROUNDS = 8


def narrate_all(session: Session) -> None:
    for _ in range(ROUNDS):
        for kind in ("narrate", "finish_airing"):
            pending = Step.objects.filter(session=session, kind=kind, state=Step.State.PENDING)
            pending.update(due_at=steps.now())
            run_due_steps(session, kind, most=1)


@pytest.mark.parametrize("name", FEEDS)
@pytest.mark.slow
def test_each_entry_of_a_feed_becomes_a_story(
    make_session: MakeSession, go_live: Any, name: str
) -> None:
    session = make_session(recording=False, model="extractive")
    source = service.add(session, SourceSpec(kind="rss", locator="https://gazette.example/rss"))
    body = (DATA / "feeds" / f"{name}.xml").read_bytes()
    response = Response(200, source.locator, Headers([("Content-Type", "text/xml")]), body)
    posts = read_feed(response, steps.now(), {}).posts
    with transaction.atomic():
        added = queue.add(source, posts, steps.now())
        event = {"source": service.payload(source), "added": 3, "queue": []}
        recorder.record(session, service.POLLED, event, feed=len(added.posts), queue=added.queued)
    assert [post.state for post in added.posts] == ["queued"] * 3
    go_live(session)
    narrate_all(session)
    assert set(SourcePost.objects.values_list("state", flat=True)) == {"told"}
    assert Story.objects.filter(session=session).exclude(post=None).count() == 3
