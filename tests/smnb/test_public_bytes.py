"""Nothing of the owner, the prompts, the model or the money is in any byte that the public can get.

All that is private carries a mark of its own here, and every public address and every public frame
is searched for the marks.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from broadcast import editorial, next_story, orchestrator
from broadcast.models import Sound
from broadcast.public import podcast
from broadcast.stream import plan
from sessions_app.events import recorder
from sessions_app.files import artifacts
from sessions_app.models import Session, SessionEvent, SessionStats
from sessions_app.realtime import frames
from stories import stories
from stories.models import Source, SourcePost, Story
from tests.broadcast.speech.recorded_session import correct, press, show, tell, with_engine
from tests.broadcast.stream.recordings import play
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import past
from tests.smnb.test_authz import BROKEN, OURS, TABLE

pytestmark = pytest.mark.django_db(transaction=True)

MARK = "canary"
FIGURE = 987_654_321
WORDS = (MARK, str(FIGURE), "extractive", "espeak", "gmw/", "usd", "$", "_tokens", "csrf")
PUBLIC = sorted(pair for pair in TABLE if pair[0].startswith("watch/<token>/"))


def mark(session: Session) -> None:
    """Put marks on what was private in the rows so far; later events are made from them."""
    Story.objects.filter(session=session).update(
        note=MARK, model=MARK, summary=MARK, agent_type=MARK
    )
    figures = dict.fromkeys(("cost_lower", "cost_upper", "input_tokens"), FIGURE)
    SessionStats.objects.filter(session=session).update(**figures)
    SourcePost.objects.filter(session=session).update(author=MARK)
    locator = f"https://news.example.org/feed?key={MARK}"
    Source.objects.filter(session=session).update(locator=locator)


@pytest.fixture
def aired(owner: User, make_session: MakeSession, settings: Any) -> Session:
    """A session in which everything public has happened: two runs, sounds, a correction, a kill."""
    with_engine(settings)
    return past("public bytes", owner, lambda: marked_past(owner, make_session))


def marked_past(owner: User, make_session: MakeSession) -> Session:
    User.objects.filter(pk=owner.pk).update(
        username=f"{MARK}-name", first_name=MARK, last_name=MARK, email=f"{MARK}@example.org"
    )
    private = {"model": "extractive", "instructions": MARK, "embedding": "anywhere"}
    session = show(make_session("Harbour news", **private))
    tell(session)
    mark(session)
    recorder.add_message(session, "producer", MARK)
    correct(session, Story.objects.earliest("id"))
    with transaction.atomic():
        first = stories.find(session, Story.objects.earliest("id").pk)
        editorial.record_source(first)
        # As it was announced while another story was on air.
        first.state = Story.State.WRITTEN
        next_story.tell(first, orchestrator.latest(session))
    press(session, "story.kill", story=Story.objects.latest("id").pk)
    tell(session, stories=3)
    run_due_steps(session)
    artifacts.replace_logo(session, owner, podcast.draw_cover("Logo"))
    mark(session)
    return session


def test_no_public_address_tells(aired: Session) -> None:
    sound = Sound.objects.filter(state="ready", story__state="aired").earliest("id")
    now = timezone.now()
    slot = plan.slot_of(now)
    values = {
        "token": aired.watch_token,
        "sound": sound.pk,
        "run_number": 1,
        "suffix": "mp3",
        "slot": slot,
        "digest": plan.digest(play(aired, now, 12).parts, slot),
    }
    statuses, told = {}, {}
    for route, method in PUBLIC:
        path = "/" + re.sub(r"<(\w+)>", lambda found: str(values[found[1]]), route)
        client = Client(headers={"Origin": OURS})
        answer = client.get(path) if method == "GET" else client.post(path, BROKEN)
        statuses[route, method] = answer.status_code
        told[route, method] = found_in(str(answer.headers), aired)
        if answer.streaming and "stream" in route:
            continue  # It never ends; its segments are searched one by one.
        # In the bytes of a sound a short word can occur by chance.
        if answer["Content-Type"].startswith(("audio/", "image/")):
            told[route, method] += [MARK] if MARK.encode() in answer.content else []
        else:
            told[route, method] += found_in(answer.content.decode(), aired)
    assert statuses == {place: 200 if place[1] == "GET" else 204 for place in PUBLIC}
    assert told == {place: [] for place in PUBLIC}


@pytest.mark.parametrize("format_", [frames.HTML, frames.JSON])
def test_no_public_frame_tells(aired: Session, format_: str) -> None:
    public = SessionEvent.objects.filter(session=aired, type__in=recorder.public_types())
    assert set(public.values_list("type", flat=True)) == recorder.public_types()
    for event in public:
        frame = frames.frame_of(event, event.seq - 1, recorder.PUBLIC)
        assert found_in(frames.text_of(frame, recorder.PUBLIC, format_), aired) == []


def test_the_marks_are_where_the_owner_looks(aired: Session) -> None:
    texts = "".join(
        frames.text_of(frames.frame_of(event, 0, recorder.OWNER), recorder.OWNER, frames.JSON)
        for event in SessionEvent.objects.filter(session=aired)
    )
    assert {MARK, "extractive", "espeak"} <= set(found_in(texts, aired))


def found_in(text: str, session: Session) -> list[str]:
    """The private words in a text; a random address could spell one of them."""
    text = text.replace(session.watch_token, "").lower()
    return [word for word in WORDS if word in text]
