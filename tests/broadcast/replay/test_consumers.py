"""The sockets of replays: who may listen, how many, and what ends them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from broadcast.replay import consumers
from sessions_app import api_tokens, sessions
from sessions_app.models import Session, SessionEvent
from smnb.asgi import application
from tests.broadcast.test_queries import press
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once
from tests.sessions_app.realtime.test_hub import until

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 60


@pytest.fixture
@made_once
def recorded(make_session: MakeSession) -> Session:
    """A visible session with a finished run, the last event of which came an hour late."""
    session = make_session()
    press(session, "broadcast.start")
    run_due_steps(session, most=6)
    press(session, "broadcast.stop")
    last = SessionEvent.objects.filter(session=session).latest("seq")
    SessionEvent.objects.filter(pk=last.pk).update(at=last.at + timedelta(hours=1))
    return sessions.show(session, True)


@asynccontextmanager
async def opened(path: str, token: str = "") -> AsyncIterator[WebsocketCommunicator]:
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    socket = WebsocketCommunicator(application, path, headers=headers)
    connected, _ = await socket.connect(timeout=PATIENCE)
    assert connected
    yield socket
    await socket.disconnect(timeout=PATIENCE)


async def heard(socket: WebsocketCommunicator) -> tuple[list[dict[str, Any]], int]:
    """All frames until the replay is over, or the socket is closed with a code."""
    found: list[dict[str, Any]] = []
    while (output := await socket.receive_output(timeout=PATIENCE))["type"] == "websocket.send":
        found.append(json.loads(output["text"]))
        if found[-1]["data"].get("over"):
            return found, consumers.OVER
    return found, int(output["code"])


async def play(path: str, token: str = "", after: int = 0) -> tuple[list[dict[str, Any]], int]:
    async with opened(path, token) as socket:
        await socket.send_to(text_data=json.dumps({"after": after}))
        return await heard(socket)


async def refused(path: str, token: str = "") -> int:
    async with opened(path, token) as socket:
        return (await heard(socket))[1]


def ours(session: Session, query: str = "?format=json&speed=60", number: int = 1) -> str:
    return f"/ws/sessions/{session.pk}/replay/{number}/{query}"


def theirs(session: Session, query: str = "?format=json&speed=60") -> str:
    return f"/ws/watch/{session.watch_token}/replay/1/{query}"


async def token_of(user: User) -> str:
    return str(await sync_to_async(api_tokens.make)(user))


async def test_the_owner_gets_the_frames_of_the_live_socket_and_the_clock(
    recorded: Session,
) -> None:
    found, code = await play(ours(recorded), await token_of(recorded.owner))
    stored = [frame for frame in found if frame["seq"] is not None]
    assert code == consumers.OVER
    assert [frame["prev"] for frame in stored] == [frame["seq"] - 1 for frame in stored]
    clocks = [frame["data"] for frame in found if frame["type"] == "replay.clock"]
    assert any(clock["cut"] > 3500 for clock in clocks)
    assert [clock["over"] for clock in clocks][-2:] == [False, True]


async def test_a_page_that_comes_back_goes_on_where_it_was(recorded: Session) -> None:
    token = await token_of(recorded.owner)
    whole, _ = await play(ours(recorded), token)
    seqs = [frame["seq"] for frame in whole if frame["seq"] is not None]
    rest, _ = await play(ours(recorded), token, after=seqs[-3])
    assert [frame["seq"] for frame in rest if frame["seq"] is not None] == seqs[-2:]


async def test_a_page_that_stays_after_the_end_is_let_go(
    recorded: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "LINGER", 0.05)
    async with opened(theirs(recorded)) as socket:
        await socket.send_to(text_data='{"after": 0}')
        await heard(socket)
        closing = await socket.receive_output(timeout=PATIENCE)
        assert closing["code"] == consumers.OVER


async def test_the_public_gets_the_public_part_alone(recorded: Session) -> None:
    found, code = await play(theirs(recorded))
    assert code == consumers.OVER
    assert {frame["type"] for frame in found} == {
        "broadcast.state",
        "story.aired",
        "story.finished",
        "story.released",
        "replay.clock",
    }
    assert not any("figures" in frame["data"] for frame in found)


async def test_nobody_else_hears_anything(recorded: Session, stranger: User) -> None:
    token, owner = await token_of(stranger), await token_of(recorded.owner)
    assert await refused(ours(recorded), token) == 4404
    assert await refused(ours(recorded, number=2), owner) == 4404
    assert await refused(ours(recorded), "smnb_wrong") == 4401
    await sync_to_async(sessions.show)(recorded, False)
    assert await refused(theirs(recorded)) == 4404


async def test_a_run_that_is_on_air_is_no_recording_yet(
    session: Session, go_live: Callable[[Session], Any]
) -> None:
    await sync_to_async(go_live)(session)
    assert await refused(ours(session), await token_of(session.owner)) == 4404


@pytest.mark.parametrize("query", ["?speed=61", "?speed=x", "?at=-1"])
async def test_a_query_that_makes_no_sense_is_refused(recorded: Session, query: str) -> None:
    assert await refused(theirs(recorded, query)) == 4400


@pytest.mark.parametrize("limit", ["limit_replays", "limit_public_sockets"])
async def test_so_many_play_at_the_same_time_and_no_more(
    recorded: Session, settings: Any, limit: str
) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={limit: 1})
    async with opened(theirs(recorded, "?format=json")) as socket:
        await socket.send_to(text_data='{"after": 0}')
        await socket.receive_from(timeout=PATIENCE)
        assert await refused(theirs(recorded)) == 4013
    assert (await play(theirs(recorded)))[1] == consumers.OVER


async def test_a_link_that_is_withdrawn_ends_the_replay(
    recorded: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "GRANTS_EVERY", 0.05)
    async with opened(theirs(recorded, "?format=json")) as socket:
        await socket.send_to(text_data='{"after": 0}')
        json.loads(await socket.receive_from(timeout=PATIENCE))
        await sync_to_async(sessions.show)(recorded, False)
        assert (await heard(socket))[1] == 4404


async def test_who_leaves_leaves_nothing_behind(recorded: Session) -> None:
    async with opened(theirs(recorded, "?format=json")) as socket:
        await socket.send_to(text_data='{"after": 0}')
        await socket.receive_from(timeout=PATIENCE)
        assert "replay" in {task.get_name() for task in asyncio.all_tasks()}
    await until(lambda: "replay" not in {task.get_name() for task in asyncio.all_tasks()})


async def test_what_is_not_understood_ends_it(recorded: Session) -> None:
    async with opened(theirs(recorded)) as socket:
        await socket.send_to(text_data='{"play": true}')
        assert (await heard(socket))[1] == 4400
