"""Listeners of one stream get one answer, which is never older than their request."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from broadcast.models import Airing, AudioStream, Sound
from broadcast.public import stream_views
from broadcast.speech import sounds
from broadcast.stream import plan
from sessions_app import sessions
from sessions_app.models import Session
from sessions_app.realtime import presence
from smnb.asgi import application
from stories.models import Story
from tests.broadcast.speech.recorded_session import correct, press, spoken_session, with_engine
from tests.broadcast.stream.recordings import as_if_rendered, planned
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

PIECE = re.compile(rb"\d+-[0-9a-f]{12}\.mp3")


@pytest.fixture
def heard(settings: Any, owner: User, make_session: MakeSession) -> Session:
    """A visible session with two stories that are heard in its stream."""
    # It has the link that the session of the test before had.
    router: Any = application
    while not hasattr(router, "application_mapping"):
        router = router.application
    of_streams = router.application_mapping["http"]
    for joined in (of_streams, of_streams.application):
        joined._responses.clear()
    with_engine(settings)
    session = spoken_session(owner, make_session)
    at = timezone.now()
    Airing.objects.update(aired_at=at, finish_at=at)
    # Its stories are in the slots that were live in the last minute.
    as_if_rendered(planned(session, at - timedelta(seconds=36), 36))
    return session


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that Django answers."""
    found: list[str] = []
    for name in ("cacheable_content", "_row_with"):
        whole = getattr(stream_views, name)

        def noting(request: Any, *args: Any, whole: Any = whole) -> Any:
            found.append(request.path.rpartition("/")[2])
            return whole(request, *args)

        monkeypatch.setattr(stream_views, name, noting)
    return found


async def get(session: Session, part: str, headers: Mapping[str, str] | None = None) -> Any:
    """What a server that runs the whole application answers: status, headers and body."""
    given = [(b"host", b"localhost:8000")]
    given += [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    http = HttpCommunicator(
        application, "GET", f"/watch/{session.watch_token}/{part}", headers=dict(given).items()
    )
    answer = await http.get_response(timeout=60)
    named = {name.decode().lower(): value.decode() for name, value in answer["headers"]}
    return answer["status"], named, answer["body"]


async def burst(session: Session, part: str, listeners: int = 40) -> list[Any]:
    return await asyncio.gather(*(get(session, part) for _ in range(listeners)))


async def test_a_burst_of_listeners_is_answered_once(heard: Session, asked: list[str]) -> None:
    answers = await burst(heard, "stream/audio.m3u8")
    assert {status for status, _, _ in answers} == {200}
    assert len({body for _, _, body in answers}) == 1
    assert len({headers["x-request-id"] for _, headers, _ in answers}) == 40
    # Twice if the live slot changes in the middle.
    assert 1 <= len(asked) <= 2
    _, headers, body = answers[-1]
    assert headers["cache-control"] == "public, max-age=1"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src" in headers["content-security-policy"]

    name = PIECE.findall(body)[-1].decode()
    slot = int(name.split("-")[0])
    # Of another test with the same session, in the same seconds; the last ones count after a second.
    await asyncio.sleep(1.2)
    before = await sync_to_async(presence.listeners)(heard.pk, slot) or 0
    answers = await burst(heard, f"stream/{name}")
    assert len({body for _, _, body in answers}) == 1
    _, headers, sound = answers[-1]
    assert headers["cache-control"] == "public, max-age=60, immutable"
    assert headers["content-type"] == "audio/mpeg"
    assert int(headers["content-length"]) == len(sound) == 48_000
    assert asked.count(name) <= 2
    # All of them are counted, the first one by Django and the others together after a second.
    await asyncio.sleep(1.2)
    assert await sync_to_async(presence.listeners)(heard.pk, slot) == before + 40


async def test_listeners_of_an_address_who_come_at_once_are_limited_too(
    heard: Session, settings: Any
) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={"limit_public_sockets": 2})
    slot = plan.slot_of(timezone.now()) - 1

    def tuned_in(address: str) -> Any:
        return stream_views.sound(heard.watch_token, slot, address)

    async def hears(listener: Any) -> bool:
        return bool(await anext(listener, None))

    listeners = [tuned_in("192.0.2.7") for _ in range(4)]
    assert [await hears(each) for each in listeners] == [True, True, False, False]
    listeners.append(tuned_in("192.0.2.8"))
    assert await hears(listeners[-1])
    await listeners[0].aclose()
    listeners.append(tuned_in("192.0.2.7"))
    assert await hears(listeners[-1])
    for each in listeners:
        await each.aclose()
    assert not stream_views._listening


def test_one_query_finds_the_live_edges_of_many_streams(
    heard: Session, make_session: MakeSession, django_assert_num_queries: Any
) -> None:
    other, hidden = make_session("Other"), make_session("Hidden")
    sessions.show(other, True)
    row = AudioStream.objects.get(session=heard)
    tokens = [session.watch_token for session in (heard, hidden, other)]
    with django_assert_num_queries(1):
        found = stream_views.edges([*tokens, "unknown"])
    assert [edge and (edge.session, edge.revision) for edge in found.values()] == [
        (heard.pk, row.revision),
        None,
        (other.pk, None),
        None,
    ]
    assert list(found) == [*tokens, "unknown"]


async def test_who_has_it_gets_no_body_and_who_asks_for_a_part_gets_that(heard: Session) -> None:
    _, _, body = await get(heard, "stream/audio.m3u8")
    part = f"stream/{PIECE.findall(body)[-1].decode()}"
    _, headers, sound = await get(heard, part)
    for has in ({"If-None-Match": headers["etag"]},) * 2:
        status, again, nothing = await get(heard, part, has)
        assert (status, nothing) == (304, b"")
        assert again["cache-control"] == "public, max-age=60, immutable"
        assert "content-length" not in again
    assert (await get(heard, part, {"If-None-Match": '"other"'}))[0] == 200
    status, headers, some = await get(heard, part, {"Range": "bytes=10-19"})
    assert (status, some) == (206, sound[10:20])
    # A cache must not answer others with the refusal of a range.
    status, headers, _ = await get(heard, part, {"Range": "bytes=48000-"})
    assert (status, headers["cache-control"]) == (416, "private, no-cache")
    # The host is checked for each of them.
    assert (await get(heard, part, {"Host": "attacker.example"}))[0] == 400


async def test_all_who_listen_to_a_story_get_its_captions_from_one_answer(
    heard: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = await Sound.objects.filter(session=heard, state="ready").afirst()
    assert sound is not None
    asked, find = [], sounds.find

    def noting(session: Session, sound_id: int) -> Sound:
        asked.append(sound_id)
        return find(session, sound_id)

    monkeypatch.setattr(sounds, "find", noting)
    answers = await burst(heard, f"sounds/{sound.pk}.vtt", 50)
    assert {status for status, _, _ in answers} == {200}
    assert len({body for _, _, body in answers}) == 1
    assert answers[0][2].startswith(b"WEBVTT\n\n00:00:0")
    assert asked == [sound.pk]
    assert answers[-1][1]["cache-control"] == "public, max-age=60, immutable"
    tag = {"If-None-Match": answers[-1][1]["etag"]}
    assert (await get(heard, f"sounds/{sound.pk}.vtt", tag))[::2] == (304, b"")
    # What is pulled is gone for the next one who asks.
    await sync_to_async(press)(heard, "story.kill", story=sound.story_id)
    assert (await get(heard, f"sounds/{sound.pk}.vtt"))[0] == 404
    assert (await get(Session(watch_token="guess"), f"sounds/{sound.pk}.vtt"))[0] == 404


@pytest.mark.parametrize("change", ["kill", "correct", "hide", "rotate"])
async def test_nothing_that_was_taken_back_is_sent_again(heard: Session, change: str) -> None:
    row = await AudioStream.objects.aget(session=heard)
    part = next(part for part in row.parts if part["story"])
    slot = part["at"] // plan.SLOT_FRAMES + 1
    name = f"stream/{slot}-{plan.digest(row.parts, slot)}.mp3"
    playlist, vtt = "stream/audio.m3u8", name.replace(".mp3", ".vtt")
    before = [(await get(heard, address))[0] for address in (name, vtt, playlist) for _ in range(2)]
    assert before == [200] * 6

    def take_back() -> None:
        session = Session.objects.get(pk=heard.pk)
        story = Story.objects.get(pk=part["story"])
        if change == "kill":
            press(session, "story.kill", story=story.pk)
        elif change == "correct":
            correct(session, story)
        else:
            sessions.show(session, False)
        if change == "rotate":
            sessions.show(session, True)

    await sync_to_async(take_back)()
    for address in (name, vtt):
        assert [(await get(heard, address))[0] for _ in range(2)] == [404, 404]
    status, _, body = await get(heard, playlist)
    if change in ("hide", "rotate"):
        assert status == 404
    else:
        assert name.encode() not in body
        assert part["title"].encode() not in body


async def test_links_that_do_not_exist_cost_one_query_together_and_get_nothing(
    heard: Session, make_session: MakeSession
) -> None:
    other = await sync_to_async(lambda: sessions.show(make_session("Silent"), True))()
    hidden = await sync_to_async(make_session)("Hidden")
    queries: list[str] = []

    def noting(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    unknown = [f"guess-{number}" for number in range(30)]
    links = [heard.watch_token, other.watch_token, hidden.watch_token, *unknown]

    def edges() -> dict[str, Any]:
        with connection.execute_wrapper(noting):
            return stream_views.edges(links)

    found = await sync_to_async(edges)()
    assert len(queries) == 1
    assert list(found) == links
    # Each has the edge of its own session, and what is not visible has none.
    assert [found[link] and found[link].session for link in links] == [
        heard.pk,
        other.pk,
        *[None] * 31,
    ]
    answers = await asyncio.gather(
        *(get(Session(watch_token=link), "stream/audio.m3u8") for link in links[2:])
    )
    assert {status for status, _, _ in answers} == {404}
    segment = PIECE.findall((await get(heard, "stream/audio.m3u8"))[2])[-1].decode()
    assert (await get(heard, f"stream/{segment}"))[0] == 200
    assert (await get(other, f"stream/{segment}"))[0] == 404


async def test_listeners_before_the_first_segment_wait_together(
    owner: User, make_session: MakeSession, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_engine(settings)
    session = await sync_to_async(make_session)("Radio")
    await sync_to_async(sessions.show)(session, True)
    monkeypatch.setattr(stream_views, "FIRST_SECONDS", 1.0)
    answers = asyncio.create_task(burst(session, "stream/audio.m3u8", 10))
    await asyncio.sleep(0.3)
    assert await AudioStream.objects.filter(session=session).acount() == 1
    statuses = {(status, headers.get("retry-after")) for status, headers, _ in await answers}
    assert statuses == {(503, "3")}
    # A refusal is not stored.
    row = await sync_to_async(planned)(session, timezone.now(), 12)
    await sync_to_async(as_if_rendered)(row)
    assert (await get(session, "stream/audio.m3u8"))[0] == 200


def test_who_waits_for_the_first_segment_holds_no_connection(
    owner: User, make_session: MakeSession, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_engine(settings)
    session = sessions.show(make_session("Radio"), True)
    # As with PostgreSQL: the end of a request closes its connection, or returns it to the pool.
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    connection.close()
    held, sleep = [], time.sleep

    def waits(seconds: float) -> None:
        held.append(connection.connection is not None)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", waits)
    monkeypatch.setattr(stream_views, "FIRST_SECONDS", 0.3)
    assert Client().get(f"/watch/{session.watch_token}/stream/audio.m3u8").status_code == 503
    # Once at least: on a busy machine the time may be over after that.
    assert set(held) == {False}
