"""The watch page beside the story on air: what is next, the last broadcast, captions and cards."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta
from itertools import count
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from PIL import Image

from broadcast.models import Airing, Broadcast, Recap
from broadcast.public import share_card
from broadcast.replay import runs
from broadcast.schedule import slots
from sessions_app import rate_limits, sessions
from sessions_app.events import recorder
from sessions_app.models import Session, Step
from sessions_app.realtime.batching import SingleFlight
from stories.models import SourcePost, Story
from tests.broadcast.speech.recorded_session import press, tell, visit
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]


@pytest.fixture
@made_once
def ended(make_session: MakeSession) -> Session:
    """A visible session with one finished run of three stories."""
    session = make_session("Harbour news", model="extractive")
    tell(session, stories=3)
    run_due_steps(session)
    return sessions.show(session, True)


def page(session: Session, part: str = "") -> str:
    answer = visit(session, part)
    assert answer.status_code == 200
    return str(answer.content.decode())


def named_next(session: Session) -> list[str]:
    """The headlines under Up next."""
    found = re.search(r'<ol\s+id="next".*?</ol>', page(session), re.DOTALL)
    assert found is not None
    return re.findall(r'<h3 dir="auto">(.*?)</h3>', found[0])


def waiting(session: Session, title: str, **more: Any) -> Story:
    story: Story = Story.objects.create(
        session=session,
        title=title,
        narrative="It is so.",
        origin="manual",
        word_count=3,
        duration=1,
        completed_at=timezone.now(),
        **more,
    )
    return story


@pytest.mark.parametrize(
    ("mode", "named"),
    [
        ("hands-free", ["Breaks in", "Written", "Approved"]),
        ("balanced", ["Approved"]),
        ("full-control", ["Approved"]),
    ],
)
def test_up_next_names_only_what_is_released(
    make_session: MakeSession, go_live: GoLive, mode: str, named: list[str]
) -> None:
    session = make_session(model="extractive", control_mode=mode)
    go_live(session)
    run_due_steps(session, most=1)
    waiting(session, "Written", state="written")
    waiting(session, "Approved", state="approved")
    waiting(session, "Held", state="written", held=True)
    waiting(session, "Vetoed", state="vetoed")
    waiting(session, "Breaks in", state="written", cuts_in=True)
    waiting(session, "Aired", state="aired")
    assert named_next(sessions.show(session, True)) == named


def test_off_air_nothing_is_said_to_be_next(session: Session) -> None:
    waiting(session, "Approved", state="approved")
    assert named_next(sessions.show(session, True)) == []


def test_off_air_the_last_broadcast_is_offered_with_its_chapters(ended: Session) -> None:
    recording = runs.find(ended, 1, recorder.PUBLIC)
    home = f"/watch/{ended.watch_token}/"
    shown = page(ended)
    assert f'href="{home}replay/1/"' in shown
    chapters = re.findall(
        r'href="[^"]*replay/1/\?at=(\d+)".*?<span dir="auto">(.*?)<', shown, re.DOTALL
    )
    airings = Airing.objects.filter(session=ended).select_related("story").order_by("pk")
    assert len(airings) == 3
    assert chapters == [(str(recording.offset(a.aired_at)), a.story.title) for a in airings]
    recap = Recap.objects.get(session=ended)
    assert f'<h2 id="last-head" dir="auto">{recap.title}</h2>' in shown
    pulled = Story.objects.get(title=recap.title)
    press(ended, "story.kill", story=pulled.pk)
    for gone in ("?part=last", "", "replay/1/"):
        assert pulled.title not in page(ended, gone)
    part = page(ended, "?part=last")
    assert part.count("replay/1/?at=") == 2
    assert "<html" not in part


def test_on_air_the_last_broadcast_is_away_and_the_clock_has_its_beginning(
    ended: Session, go_live: GoLive
) -> None:
    run = go_live(ended)
    run_due_steps(ended, most=6)
    run.refresh_from_db()
    shown = page(ended)
    assert "Play the last broadcast" not in shown
    assert f'data-tick="up" data-since="{recorder.timestamp(run.live_at)}"' in shown
    # The part for pages that are open names the run that is over, not the one on air.
    assert "replay/1/" in page(ended, "?part=last")


def test_other_sites_get_absolute_addresses_of_page_and_card(ended: Session, settings: Any) -> None:
    settings.PUBLIC_URL = "https://news.example.org"
    home = f"https://news.example.org/watch/{ended.watch_token}/"
    for part in ("", "replay/1/"):
        text = page(ended, part)
        assert f'<meta property="og:image" content="{home}card.png">' in text
        assert f'<meta name="twitter:image" content="{home}card.png">' in text
        assert f'<meta property="og:url" content="{home}">' in text
        assert '<meta property="og:title" content="Harbour news">' in text
    thread = page(ended, "?thread=5")
    assert f'<meta property="og:url" content="{home}?thread=5">' in thread
    assert f'<meta property="og:image" content="{home}card.png?thread=5">' in thread


def test_the_card_shows_the_latest_headline_and_is_drawn_once(
    ended: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    draw = share_card.draw

    def counted(card: share_card.Card) -> bytes:
        drawn.append(card.headline)
        return draw(card)

    monkeypatch.setattr(share_card, "draw", counted)
    monkeypatch.setattr(share_card, "_drawn", SingleFlight[bytes](64))
    answer = visit(ended, "card.png")
    assert answer["Content-Type"] == "image/png"
    assert answer["Cache-Control"] == "private, no-cache"
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == ("PNG", (1200, 630))
    assert visit(ended, "card.png", **{"If-None-Match": answer["ETag"]}).status_code == 304
    assert visit(ended, "card.png").content == answer.content
    newest = Story.objects.filter(state="aired").latest("id")
    assert drawn == [newest.title]
    press(ended, "story.kill", story=newest.pk)
    changed = visit(ended, "card.png")
    assert changed["ETag"] != answer["ETag"]
    assert changed.content != answer.content
    nothing = visit(ended, "card.png?thread=987654321")
    assert nothing.status_code == 200
    assert nothing["ETag"] not in (answer["ETag"], changed["ETag"])


def test_a_session_gets_few_new_cards_a_minute_and_meanwhile_its_last_one(
    ended: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share_card, "_drawn", SingleFlight[bytes](64))
    monkeypatch.setattr(share_card, "A_MINUTE", 1)
    # Another test may have drawn cards of a session with this id.
    cache.clear()
    first = visit(ended, "card.png")
    assert first.status_code == 200
    # The next minute may begin at any moment, with a count of its own.
    minute = int(timezone.now().timestamp()) // 60
    for each in (minute, minute + 1):
        cache.set(f"limit:share-cards:{ended.pk}:{each}", 1)
    newest = Story.objects.filter(state="aired").latest("id")
    waiting(ended, "A newer headline", state="aired")
    meanwhile = visit(ended, "card.png")
    assert (meanwhile["ETag"], meanwhile.content) == (first["ETag"], first.content)
    press(ended, "story.kill", story=newest.pk)
    # The card of a pulled headline is no last one.
    refused = visit(ended, "card.png")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60


def test_a_card_that_many_ask_for_is_counted_and_drawn_once_and_holds_up_no_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, free, drawn = Event(), Event(), count()

    def draw(card: share_card.Card) -> bytes:
        begun.set()
        assert free.wait(60)
        return f"{card.headline} {next(drawn)}".encode()

    monkeypatch.setattr(share_card, "draw", draw)
    monkeypatch.setattr(share_card, "_drawn", SingleFlight[bytes](64))
    monkeypatch.setattr(share_card, "A_MINUTE", 1)
    cache.clear()
    session = UUID(int=7)
    card, next_card = (share_card.Card("News", headline, "waves-1") for headline in "ab")
    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(share_card.drawn, session, card) for _ in range(4)]
        try:
            assert begun.wait(60)
            refused = threads.submit(share_card.drawn, session, next_card)
            with pytest.raises(rate_limits.TooMany):
                refused.result(60)
        finally:
            free.set()
        assert [each.result(60) for each in asked] == [b"a 0"] * 4
    # One that could not be drawn is drawn for who asks next.
    monkeypatch.setattr(share_card, "A_MINUTE", 3)
    assert share_card.drawn(session, next_card) == b"b 1"


@pytest.mark.parametrize(
    ("session", "headline"),
    [
        ("Harbour news", "The ferry is late — “again”"),
        ("x" * 200, "word " * 120),
        ("S", "Donaudampfschifffahrtsgesellschaftskapitän" * 6),
        ("ニュース", "大雨で運休"),
        ("\x00\n", ""),
    ],
)
def test_a_card_is_drawn_for_every_name_and_headline(session: str, headline: str) -> None:
    data = share_card.draw(share_card.Card(session, headline, "waves-1"))
    assert Image.open(io.BytesIO(data)).size == (1200, 630)
    assert len(data) < 600_000


def cues(text: str) -> list[tuple[float, float, str]]:
    """The captions of a WebVTT file: begin and end in seconds, and text."""
    head, *blocks = text.strip().split("\n\n")
    assert head == "WEBVTT"
    found = []
    for block in blocks:
        times, _, lines = block.partition("\n")
        begin, end = (
            sum(float(part) * 60**place for place, part in enumerate(reversed(each.split(":"))))
            for each in times.split(" line:")[0].split(" --> ")
        )
        found.append((begin, end, lines.replace("\n", " ")))
    return found


def test_captions_come_with_the_words_of_the_replay(ended: Session) -> None:
    recording = runs.find(ended, 1, recorder.PUBLIC)
    first, second, third = Airing.objects.filter(session=ended).order_by("pk")
    words = [f"w{number}" for number in range(120)]
    text = " ".join(" ".join(words[at : at + 12]) + "." for at in range(0, 120, 12))
    Story.objects.filter(pk=first.story_id).update(narrative=text)
    began = recording.began + timedelta(seconds=10)
    for airing, start, length, cut in (
        (first, 0, 40, 30),
        (second, 30, 20, 20),
        (third, 60, 20, 20),
    ):
        at = began + timedelta(seconds=start)
        finish, finished = at + timedelta(seconds=length), at + timedelta(seconds=cut)
        Airing.objects.filter(pk=airing.pk).update(
            aired_at=at, finish_at=finish, finished_at=finished
        )
    Story.objects.filter(pk=third.story_id).update(
        state="killed", title="Pulled", narrative="Gone."
    )
    answer = visit(ended, "replay/1/captions.vtt")
    assert answer["Content-Type"] == "text/vtt; charset=utf-8"
    label, *shown = cues(answer.content.decode())
    assert list(label) == [10, 15, "[Written and read by software.]"]
    spoken = [(begin, end, lines) for begin, end, lines in shown if lines in text]
    said = 0
    for begin, end, lines in spoken:
        # A replay reaches word number ``said`` of 120 at its share of the 40 seconds.
        assert begin == pytest.approx(10 + 40 * said / 120, abs=0.5)
        said += len(lines.split())
        assert end == pytest.approx(min(40, 10 + 40 * said / 120), abs=0.5)
    # Another story broke in after 30 of its 40 seconds, so a quarter of its words was never read.
    assert spoken[-1][1] == 40
    assert 90 <= said <= 102
    assert min(begin for begin, _, lines in shown if lines not in text) == 40
    assert "Gone" not in answer.content.decode()
    assert (
        visit(ended, "replay/1/captions.vtt", **{"If-None-Match": answer["ETag"]}).status_code
        == 304
    )
    assert visit(ended, "replay/2/captions.vtt").status_code == 404


def test_a_hidden_session_has_no_card_and_no_captions(ended: Session) -> None:
    token = ended.watch_token
    sessions.show(ended, False)
    for part in ("card.png", "replay/1/captions.vtt", "?part=last"):
        assert Client().get(f"/watch/{token}/{part}").status_code == 404


def why(session: Session) -> str:
    """What the watch page says while nothing is on air."""
    return " ".join(re.sub(r"<[^>]+>", " ", page(session, "?part=waiting")).split())


def test_the_page_says_why_nothing_is_on_air_and_until_when(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = sessions.show(make_session(model="extractive"), True)
    assert why(session) == ""
    # Within a slot its next turn would be its end.
    on, off = (time((timezone.now().hour + hours) % 24) for hours in (2, 4))
    slots.add(session, {"days": 127, "on_at": on, "off_at": off, "zone": "UTC"})
    assert why(session) == f"Back on air at {on:%H}:00 UTC"
    assert "Back on air at" in page(session)
    run = go_live(session)
    run_due_steps(session, "poll")
    assert why(session) == ""  # posts are waiting, so the next story is being prepared
    SourcePost.objects.filter(session=session).update(state="skipped")
    assert why(session) == "All news has been read. The next check is soon ."
    Step.objects.filter(session=session, kind="poll").delete()
    assert why(session) == "All news has been read. The broadcast waits for new sources."
    assert why(session) in " ".join(re.sub(r"<[^>]+>", " ", page(session)).split())
    waiting(session, "Not yet released", held=True)
    assert why(session) == "The next story waits for its editor."
    hold = {"code": "budget", "sentence": "Secret to the audience.", "until": None}
    Broadcast.objects.filter(pk=run.pk).update(hold=hold)
    assert why(session) == "The broadcast is paused."
