"""The order in which the host airs the whole recording."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from broadcast.models import Airing, Broadcast
from sessions_app import audits
from sessions_app.background import steps
from sessions_app.models import Session, SessionStats, Step
from stories.models import SourcePost, StoryReport
from stories.sources import recording
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

BOOK = json.loads(Path(recording.__file__).with_name("recording.json").read_text())
AT = {post["id"]: post["at"] for post in BOOK["posts"]}


def play_recording(session: Session, polls_between: int) -> None:
    """Reads the recording and narrates it; ``polls_between`` readings come before each story."""
    for _ in range(200):
        for kind in ["poll"] * polls_between + ["narrate", "finish_airing"]:
            step = Step.objects.filter(session=session, kind=kind, state="pending").first()
            if step is not None:
                Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
                run_due_steps(session, kind, most=1)
        rows = SourcePost.objects.filter(session=session)
        if rows.count() == 83 and not rows.filter(state__in=("queued", "claimed")).exists():
            return
    raise AssertionError("The recording was not played to its end.")


@pytest.fixture
def live(make_session: MakeSession, go_live: Callable[[Session], Broadcast]) -> Session:
    session = make_session(model="extractive", pace=0)
    go_live(session)
    return session


@pytest.mark.parametrize("polls_between", [1, 40])
def test_no_follow_up_of_the_recording_airs_before_what_it_follows(
    live: Session, polls_between: int
) -> None:
    play_recording(live, polls_between)
    aired = Airing.objects.filter(session=live).order_by("aired_at", "id")
    place = {
        key: at for at, key in enumerate(aired.values_list("story__post__external_id", flat=True))
    }
    wrong = [
        (earlier, later)
        for later, earlier in BOOK["follow_ups"].items()
        if later in place and earlier in place and place[earlier] > place[later]
    ]
    assert wrong == []
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
