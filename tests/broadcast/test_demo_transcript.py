"""The first minutes of the demo as they are heard, played on a clock of its own into a document.

``make transcript`` writes docs/demo-transcript.txt, with the recap on the hour. The test plays the first
minutes and fails when they are not what the document begins with.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection

from broadcast.models import Airing
from broadcast.speech import episodes
from broadcast.stream import plan
from sessions_app.background import steps
from sessions_app.models import Session, Step
from smnb.runner import first_run
from stories import disclosure
from stories.sources.recording import recording

pytestmark = pytest.mark.django_db

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "demo-transcript.txt"
# A Tuesday. The hour ends when the run is old enough for a recap of it.
BEGIN = datetime(2026, 3, 10, 9, 25, tzinfo=UTC)
LENGTH, HOUR = timedelta(minutes=20), datetime(2026, 3, 10, 10, tzinfo=UTC)
# Long enough for the same link to come again too soon.
TESTED = timedelta(minutes=8)
HEAD = """\
TRANSCRIPT OF THE DEMO

What a listener hears in the first 20 minutes of the demo, and the recap on the hour.
No model writes it: the offline narrator reads the posts of the bundled recording, which
are invented, with a host's sentences between them. The times are those after Go Live.

`make transcript` plays the demo on a clock of its own and writes this file; a test compares the beginning.
"""


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The clock of this process and that of SQLite, which stand still between two steps."""
    with time_machine.travel(BEGIN, tick=False) as traveller:

        def strftime(form: str, moment: str) -> str:
            assert (form, moment) == ("%Y-%m-%d %H:%M:%f", "NOW")
            return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

        # It stays on this connection, and later has the clock of everyone.
        connection.connection.create_function("strftime", 2, strftime)
        yield traveller


def play(session: Session, clock: time_machine.Traveller, until: datetime) -> None:
    """Does what the workers do, each step at its time."""
    while True:
        waiting = Step.objects.filter(session=session, state=Step.State.PENDING)
        step = waiting.order_by("due_at", "pk").first()
        if step is None or step.due_at > until:
            return
        # The clock of SQLite has whole milliseconds.
        clock.move_to(max(step.due_at, datetime.now(UTC)) + timedelta(milliseconds=2), tick=False)
        steps.run(step.pk)


def airings(session: Session) -> list[Airing]:
    rows = Airing.objects.filter(session=session).order_by("pk")
    return list(rows.select_related("story__post__source"))


def spoken(at: str, text: str) -> str:
    """A paragraph beside its time."""
    return textwrap.fill(text, 96, initial_indent=f"{at:>5}  ", subsequent_indent=" " * 7)


def transcript(session: Session) -> str:
    aired = airings(session)
    first = aired[0].aired_at
    made = [disclosure.of_story(aired[0].story)]
    moment = plan.spoken_time(BEGIN, ZoneInfo("UTC"))
    opening = f"{episodes.identification(session, made)} It is {moment}."
    lines = [HEAD, spoken("0:00", opening)]
    for airing in aired:
        story, after = airing.story, airing.aired_at - first
        if after < LENGTH or story.origin == "recap":
            minutes, seconds = divmod(round(after.total_seconds()), 60)
            if story.origin == "recap":
                lines.append("ON THE HOUR")
            lines.append(spoken(f"{minutes}:{seconds:02}", story.narrative))
    return "\n\n".join(lines) + "\n"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="its clock is the one that can be set")
def test_the_transcript_in_the_docs_is_what_the_demo_says(
    owner: User, clock: time_machine.Traveller, settings: Any
) -> None:
    # As often as a studio reads its sources unless it is configured otherwise.
    settings.SMNB = settings.SMNB.model_copy(update={"poll_seconds": 30.0})
    session = first_run._find_or_create_demo(owner)
    assert session is not None
    whole = os.environ.get("TRANSCRIPT") == "write"
    play(session, clock, HOUR + timedelta(minutes=3) if whole else BEGIN + TESTED)
    heard: dict[str, datetime] = {}
    for airing in airings(session):
        outlets = "|".join(sorted({post["outlet"] for post in recording()["posts"]}))
        for sentence in airing.story.passages:
            link = re.sub(rf"(?:[Tt]he )?(?:{outlets})", "…", sentence["text"])
            # No link comes again within five minutes, not even about another outlet.
            if sentence["support"] == "link":
                since = airing.aired_at - heard.get(link, BEGIN - timedelta(hours=1))
                assert since > timedelta(minutes=5), link
                heard[link] = airing.aired_at
    text = transcript(session)
    if whole:
        DOCUMENT.write_text(text, "utf-8")
    # Eighteen stories or more, and the last of them whole.
    assert text.count("\n\n") > 18
    assert DOCUMENT.read_text("utf-8").startswith(f"{text.rstrip()}\n")
