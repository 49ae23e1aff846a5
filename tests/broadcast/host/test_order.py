"""The order in which the host airs the whole recording."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction

from broadcast.models import Airing, Broadcast
from sessions_app import audits
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Session, SessionStats, Step
from stories import threads
from stories.models import SourcePost, StoryReport
from stories.posts import queue
from stories.posts.events import Index
from stories.posts.selection import is_newer
from stories.sources import recording, service
from stories.sources.service import SourceSpec
from stories.text.cleaning import clean_line
from stories.types import FetchedPost
from tests.conftest import MakeSession, run_due_steps
from tests.standins.recorded import DATA, FIXTURES

pytestmark = pytest.mark.django_db(transaction=True)

BOOK = json.loads(Path(recording.__file__).with_name("recording.json").read_text())
AT = {post["id"]: post["at"] for post in BOOK["posts"]}


def play(session: Session, polls_between: int, rounds: int) -> None:
    """Reads the recording and narrates it; ``polls_between`` readings come before each story."""

    def run_next(kind: str) -> bool:
        step = Step.objects.filter(session=session, kind=kind, state="pending").first()
        if step is not None:
            Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
            run_due_steps(session, kind, most=1)
        return step is not None

    for _ in range(rounds):
        for _ in range(polls_between):
            if not run_next("poll"):
                break
        run_next("narrate")
        run_next("finish_airing")
        if SourcePost.objects.filter(session=session, state__in=("queued", "claimed")).count() == 0:
            return


def aired_too_early(session: Session) -> list[tuple[str, str]]:
    """Pairs of posts of which the second one aired before the first, which it follows."""
    aired = Airing.objects.filter(session=session).order_by("aired_at", "id")
    place = {
        key: at for at, key in enumerate(aired.values_list("story__post__external_id", flat=True))
    }
    return [
        (earlier, later)
        for later, earlier in BOOK["follow_ups"].items()
        if later in place and earlier in place and place[earlier] > place[later]
    ]


@pytest.fixture
def live(make_session: MakeSession, go_live: Callable[[Session], Broadcast]) -> Session:
    session = make_session(model="extractive", pace=0)
    go_live(session)
    return session


@pytest.mark.slow
def test_no_follow_up_airs_before_what_it_follows_while_the_recording_is_read(
    live: Session,
) -> None:
    """A few posts come before each story, until all have been read; the rest is the next test."""
    play(live, polls_between=1, rounds=40)
    assert SourcePost.objects.filter(session=live).count() == 83
    assert Airing.objects.filter(session=live).count() >= 35
    assert aired_too_early(live) == []


@pytest.mark.slow
def test_no_follow_up_of_the_recording_airs_before_what_it_follows(live: Session) -> None:
    play(live, polls_between=40, rounds=200)
    rows = SourcePost.objects.filter(session=live)
    assert (rows.count(), rows.filter(state__in=("queued", "claimed")).count()) == (83, 0)
    assert aired_too_early(live) == []
    # What was overtaken is listed with the newer story, and a duplicate is credited by the story.
    for report in StoryReport.objects.select_related("post", "story__post"):
        assert report.story.post is not None
        own, key = report.story.post.external_id, report.post.external_id
        assert report.post.state == "skipped"
        if report.role == "repeated":
            assert BOOK["duplicates"][key] == own
        else:
            assert AT[key] < AT[own]
            assert report.post.reason.startswith("Superseded by “")
    # The scale of priorities is used.
    labels = list(SourcePost.objects.filter(session=live).values_list("label", flat=True))
    assert 4 <= labels.count("high") <= 83 / 4
    assert labels.count("low") >= 83 / 4
    assert SessionStats.objects.get(session=live).queue == 0
    assert list(audits.run()) == []


PAIRS = json.loads((DATA / "matching/recorded_pairs.json").read_text("utf-8"))["pairs"]


def developments() -> list[tuple[str, str]]:
    """The keys of a newer post and the older one that it supersedes, as labelled by hand."""
    return [(new, earlier) for _, kind, new, earlier in PAIRS if kind == "development"]


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="Recorded listings are not beside this clone.")
def test_no_post_of_the_recorded_listings_airs_after_a_newer_one_of_its_story(
    make_session: MakeSession, go_live: Callable[[Session], Broadcast]
) -> None:
    session = make_session(model="extractive", pace=0, recording=False)
    source = service.add(session, SourceSpec(kind="rss", locator="https://listing.example/feed"))
    go_live(session)
    labelled = {key for _, kind, *pair in PAIRS for key in pair if kind != "unrelated"}
    posts = []
    for path in sorted((FIXTURES / "reddit").glob("*_20*.json")):
        whole = path.name.startswith("r_technology")
        for child in json.loads(path.read_text("utf-8"))["data"]["children"]:
            fields = child["data"]
            name = f"{path.name}\nt3_{fields['id']}".encode()
            key = hashlib.sha256(name).hexdigest()[:12]
            if whole or key in labelled:
                at = datetime.fromtimestamp(fields["created_utc"], UTC)
                title = clean_line(fields["title"], 500)
                posts.append(FetchedPost(key, title, url=fields["url"], published_at=at))
    with transaction.atomic():
        added = queue.add(source, posts, steps.now())
        counts = {"feed": len(added.posts), "queue": added.queued}
        recorder.record(session, service.POLLED, {"queue": []}, **counts)
    for _ in range(2 * added.queued):
        for kind in ("narrate", "finish_airing"):
            Step.objects.filter(session=session, kind=kind, state="pending").update(
                due_at=steps.now() - timedelta(seconds=1)
            )
            run_due_steps(session, kind, most=1)
        if not SourcePost.objects.filter(session=session, state__in=("queued", "claimed")).exists():
            break
    aired = Airing.objects.filter(session=session).select_related(
        "story__post__source", "story__thread"
    )
    on_air = [airing.story for airing in aired.order_by("aired_at", "id")]
    assert len(on_air) >= 40
    index, wrong, place = Index(), [], dict[str, int]()
    for number, story in enumerate(on_air):
        assert story.post is not None
        report = threads.report_of(story)
        newer = [match.key for match in index.matches(report) if is_newer(on_air[match.key], story)]
        wrong += [(report.title, on_air[key].title) for key in newer]
        index.add(number, report)
        place[story.post.external_id] = number
    assert wrong == []
    # By the labels set by hand too, also where headlines share no more than a state and a number.
    pairs = [pair for pair in developments() if place.keys() >= set(pair)]
    assert [pair for pair in pairs if place[pair[0]] < place[pair[1]]] == []
    assert list(audits.run()) == []
