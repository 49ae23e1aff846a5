"""The hub in one process, with recording sockets: order, errors, and which sockets are closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, transaction
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from broadcast import orchestrator
from sessions_app import sessions
from sessions_app.events import recorder
from sessions_app.models import Session, SessionStats
from sessions_app.realtime import checkpoints, frames, hub, presence
from sessions_app.realtime.batching import one_by_one
from sessions_app.realtime.frames import JSON, Missed
from sessions_app.realtime.grants import Grant
from sessions_app.realtime.presence import Viewer

pytestmark = pytest.mark.django_db(transaction=True)


class Listener:
    """A socket that records the frames that it was sent and its close code."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.closed: int | None = None

    async def send_text(self, text: str, *, wait: bool = False) -> None:
        self.texts.append(text)
        if text.startswith("{"):
            self.frames.append(json.loads(text))

    async def end(self, code: int) -> None:
        self.closed = code


@pytest.fixture
async def running_hub() -> AsyncIterator[hub.Hub]:
    made = hub.Hub()
    yield made
    await made.close()


def viewer_of(session: Session, listener: Listener, format_: str = JSON) -> Viewer:
    grant = Grant("watch", session.watch_token, session.pk)
    return Viewer(listener, grant, recorder.OWNER, format_)


@sync_to_async
def happen(session: Session, type_: str = recorder.SESSION_CHANGED) -> int:
    with transaction.atomic():
        return recorder.record(session, type_, {"session": sessions.payload(session)}).seq


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the condition did not become true")


async def test_events_reach_a_viewer_once_and_in_order(
    running_hub: hub.Hub, session: Session
) -> None:
    listener = Listener()
    await running_hub.join(viewer_of(session, listener))
    seqs = [await happen(session) for _ in range(5)]
    await until(lambda: len(listener.frames) == 5)
    assert [frame["seq"] for frame in listener.frames] == seqs
    assert [frame["prev"] for frame in listener.frames] == [seq - 1 for seq in seqs]


class Stuck(Listener):
    """A socket of a server that waits for its client, which reads nothing before ``reads`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = asyncio.Event()

    async def send_text(self, text: str, *, wait: bool = False) -> None:
        await self.reads.wait()
        await super().send_text(text, wait=wait)


async def test_a_client_that_reads_nothing_delays_no_other(
    running_hub: hub.Hub, session: Session
) -> None:
    stuck, listener = Stuck(), Listener()
    await running_hub.join(viewer_of(session, stuck))
    await running_hub.join(viewer_of(session, listener))
    seqs = [await happen(session) for _ in range(4)]
    await until(lambda: len(listener.frames) == 4)
    assert stuck.frames == []
    stuck.reads.set()
    await until(lambda: len(stuck.frames) == 4)
    assert [frame["seq"] for frame in stuck.frames] == seqs


async def test_what_a_viewer_asked_for_comes_after_the_frames_that_wait(
    running_hub: hub.Hub, session: Session
) -> None:
    stuck = Stuck()
    await running_hub.join(viewer := viewer_of(session, stuck))
    seqs = [await happen(session) for _ in range(3)]
    await until(lambda: viewer.sent == seqs[-1])
    asked = asyncio.create_task(running_hub.catch_up(viewer, seqs[0] - 1))
    await asyncio.sleep(0.1)
    stuck.reads.set()
    await asked
    assert [frame["seq"] for frame in stuck.frames] == [*seqs, *seqs]


async def test_a_client_that_reads_nothing_is_closed_before_much_waits_for_it(
    running_hub: hub.Hub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_WAITING", 3000)
    stuck = Stuck()
    await running_hub.join(viewer := viewer_of(session, stuck))
    for _ in range(20):
        await happen(session)
        if stuck.closed:
            break
    await until(lambda: stuck.closed)
    assert stuck.closed == 4013
    assert (viewer.waiting, running_hub.rooms) == ([], {})


async def test_a_server_that_writes_frames_gets_them_encoded_in_order(
    running_hub: hub.Hub, session: Session
) -> None:
    written: list[bytes] = []
    viewer = viewer_of(session, Listener())
    viewer.write = written.append
    await running_hub.join(viewer)
    seqs = [await happen(session) for _ in range(3)]
    await until(lambda: len(written) == 3)
    assert [frame["seq"] for frame in decoded(written)] == seqs


async def test_events_of_one_transaction_are_written_together_and_none_to_a_page_hidden_among_them(
    running_hub: hub.Hub, session: Session
) -> None:
    shown = await sync_to_async(sessions.show)(session, True)
    written: dict[str, list[bytes]] = {recorder.OWNER: [], recorder.PUBLIC: []}
    page = Listener()
    for audience, pieces in written.items():
        viewer = viewer_of(shown, page)
        viewer.audience, viewer.write = audience, pieces.append
        await running_hub.join(viewer)
    before = running_hub.rooms[session.pk].last

    @sync_to_async
    def act() -> None:
        with transaction.atomic():
            for text in ("One.", "Two.", "Three."):
                recorder.add_message(shown, "system", text)
            sessions.show(shown, False)
            orchestrator.start(shown, shown.owner)

    await act()
    await until(lambda: page.closed and len(written[recorder.OWNER]) > 1)
    together, later = (decoded([piece]) for piece in written[recorder.OWNER])
    seqs = [frame["seq"] for frame in together]
    assert seqs == [before + number for number in (1, 2, 3, 4)]
    assert {frame["type"] for frame in later} >= {"broadcast.state"}
    assert {frame["type"] for frame in decoded(written[recorder.PUBLIC])} <= {"session.changed"}
    assert page.closed == 4404


def decoded(written: list[bytes]) -> list[dict[str, Any]]:
    """The frames of what was written to a connection."""
    client = ClientProtocol(parse_uri("ws://studio/"), state=State.OPEN)
    client.receive_data(b"".join(written))
    received = [event for event in client.events_received() if isinstance(event, Frame)]
    return [json.loads(bytes(frame.data)) for frame in received]


async def test_a_connection_that_fails_costs_the_others_nothing(
    running_hub: hub.Hub, session: Session
) -> None:
    def fails(frame: bytes) -> None:
        raise AttributeError

    written: list[bytes] = []
    for write in (fails, written.append, fails):
        viewer = viewer_of(session, Listener())
        viewer.write = write
        await running_hub.join(viewer)
    await happen(session)
    await until(lambda: written)
    assert len(running_hub.rooms[session.pk].viewers) == 1


async def test_an_event_that_cannot_be_rendered_does_not_block_those_after_it(
    running_hub: hub.Hub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recorder._types, "test.unshown", "It has no template.")
    pages, programs = Listener(), Listener()
    await running_hub.join(viewer_of(session, pages, "html"))
    await running_hub.join(viewer_of(session, programs))
    before = await happen(session)
    unshown = await happen(session, "test.unshown")
    after = await happen(session)
    await until(lambda: any(f'data-seq="{after}"' in text for text in pages.texts))
    await until(lambda: programs.frames and programs.frames[-1]["seq"] == after)
    assert [each["seq"] for each in programs.frames] == [before, unshown, after]


async def test_what_happens_while_a_viewer_catches_up_comes_after_it_and_once(
    running_hub: hub.Hub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = [await happen(session) for _ in range(3)]
    listener, read, later = Listener(), running_hub._since.ask, list[int]()
    viewer = viewer_of(session, listener)
    await running_hub.join(viewer)

    async def since(missed: Missed) -> tuple[list[str], int]:
        found = await read(missed)
        if len(later) < 2:
            later.append(await happen(session))
            await until(lambda: running_hub.rooms[session.pk].last == later[-1])
            await asyncio.sleep(0.1)  # The pump has sent it.
        return found

    monkeypatch.setattr(running_hub._since, "ask", since)
    await running_hub.catch_up(viewer, earlier[0] - 1)
    last = await happen(session)
    await until(lambda: listener.frames[-1]["seq"] == last)
    seqs = [*earlier, *later, last]
    assert [(each["prev"], each["seq"]) for each in listener.frames] == [
        (seq - 1, seq) for seq in seqs
    ]


async def test_what_a_viewer_caught_up_with_is_not_handed_out_again(
    running_hub: hub.Hub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The viewer reads one event after the hub has read it, and one that the hub reads later."""
    after, has_read, may_send = frames.after, asyncio.Event(), asyncio.Event()

    async def read_slowly(*asked: Any) -> Any:
        if news := await after(*asked):
            has_read.set()
            await may_send.wait()
        return news

    @sync_to_async
    def tell(text: str) -> int:
        with transaction.atomic():
            recorder.add_message(session, "system", text)
        return SessionStats.objects.get(session=session).last_seq

    monkeypatch.setattr(frames, "after", read_slowly)
    listener = Listener()
    viewer = viewer_of(session, listener)
    await running_hub.join(viewer)
    first = await tell("One.")
    await has_read.wait()
    second = await tell("Two.")
    await running_hub.catch_up(viewer, first - 1)
    assert [frame["seq"] for frame in listener.frames] == [first, second]
    # It is sent together with the second one, which the viewer has.
    last = await tell("Three.")
    may_send.set()
    await until(lambda: listener.frames[-1]["seq"] == last)
    assert [frame["seq"] for frame in listener.frames] == [first, second, last]


async def test_a_result_that_comes_while_a_viewer_catches_up_is_sent_after_the_text_so_far(
    running_hub: hub.Hub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, read = Listener(), running_hub._streams.ask
    await running_hub.join(viewer := viewer_of(session, listener))
    await sync_to_async(checkpoints.save)(session.pk, "chat.delta", {"text": "One"})

    async def streams(page: tuple[UUID, str]) -> list[str]:
        found = await read(page)
        if found:
            await sync_to_async(checkpoints.drop)(session.pk, "chat.delta")
            result = await happen(session)
            await until(lambda: running_hub.rooms[session.pk].last == result)
        return found

    monkeypatch.setattr(running_hub._streams, "ask", streams)
    await running_hub.catch_up(viewer, running_hub.rooms[session.pk].last)
    await until(lambda: len(listener.frames) == 2)
    assert [frame["type"] for frame in listener.frames] == ["chat.delta", "session.changed"]


async def test_a_viewer_is_live_again_after_a_catch_up_that_failed(
    running_hub: hub.Hub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def since(missed: Missed) -> tuple[list[str], int]:
        raise DatabaseError

    listener = Listener()
    viewer = viewer_of(session, listener)
    await running_hub.join(viewer)
    monkeypatch.setattr(running_hub._since, "_answer", one_by_one(since))
    with pytest.raises(DatabaseError):
        await running_hub.catch_up(viewer, 0)
    seq = await happen(session)
    await until(lambda: listener.frames and listener.frames[-1]["seq"] == seq)


async def test_catching_up_skips_events_that_cannot_be_rendered(
    running_hub: hub.Hub,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(recorder._types, "test.unshown", "It has no template.")
    before = await happen(session)
    unshown = await happen(session, "test.unshown")
    after = await happen(session)
    listener = Listener()
    viewer = viewer_of(session, listener, "html")
    await running_hub.join(viewer)
    await running_hub.catch_up(viewer, before - 1)
    first, second = listener.texts
    assert f'data-seq="{before}"' in first
    assert f'data-seq="{after}" data-prev="{before}"' in second
    assert any("event_not_shown" in str(each.msg) for each in caplog.records)
    assert str(unshown) in caplog.text


async def test_a_viewer_far_behind_gets_a_reload_and_continues_from_there(
    running_hub: hub.Hub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "CATCH_UP_MOST", 2)
    seqs = [await happen(session) for _ in range(5)]
    listener = Listener()
    viewer = viewer_of(session, listener)
    await running_hub.join(viewer)
    await running_hub.catch_up(viewer, 0)
    (frame,) = listener.frames
    assert (frame["type"], frame["seq"], viewer.sent) == ("reload", seqs[-1], seqs[-1])


@sync_to_async
def record_many(session: Session, count: int) -> int:
    """Records this many events in one transaction, as an import does."""
    shown = {"session": sessions.payload(session)}
    with transaction.atomic():
        made = [recorder.record(session, recorder.SESSION_CHANGED, shown) for _ in range(count)]
    return made[-1].seq


async def test_an_import_of_many_events_is_sent_as_one_reload(
    running_hub: hub.Hub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "CATCH_UP_MOST", 2)
    program, page = Listener(), Listener()
    await running_hub.join(viewer_of(session, program))
    await running_hub.join(viewer_of(session, page, "html"))
    seq = await record_many(session, 5)
    await until(lambda: program.frames and page.texts)
    (frame,) = program.frames
    assert (frame["type"], frame["seq"]) == ("reload", seq)
    assert "data-reload" in page.texts[0]
    after = await happen(session)
    await until(lambda: len(program.frames) == 2)
    assert (program.frames[1]["seq"], program.frames[1]["prev"]) == (after, seq)


async def test_an_invalid_message_on_the_channel_is_ignored(
    running_hub: hub.Hub, session: Session
) -> None:
    listener = Listener()
    await running_hub.join(viewer_of(session, listener))
    await asyncio.sleep(0.2)
    await sync_to_async(recorder.redis_client().publish)(recorder.CHANNEL, "not json")
    seq = await happen(session)
    await until(lambda: listener.frames and listener.frames[-1]["seq"] == seq)


async def test_a_session_whose_publish_was_lost_is_seen_while_another_one_is_busy(
    running_hub: hub.Hub,
    session: Session,
    make_session: Callable[..., Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = await sync_to_async(make_session)("Quiet")
    busy, quiet = Listener(), Listener()
    await running_hub.join(viewer_of(session, busy))
    await running_hub.join(viewer_of(other, quiet))
    await asyncio.sleep(0.5)  # The read that joining causes is over.
    publish = recorder.publish
    monkeypatch.setattr(
        recorder, "publish", lambda key, seq: publish(key, seq) if key == session.pk else None
    )
    await happen(other)
    for _ in range(40):
        await happen(session)
        await asyncio.sleep(0.1)
    assert len(quiet.frames) == 1


async def test_a_message_about_events_that_were_read_already_causes_no_other_read(
    running_hub: hub.Hub, session: Session
) -> None:
    listener = Listener()
    await running_hub.join(viewer_of(session, listener))
    seq = await happen(session)
    await until(lambda: listener.frames and listener.frames[-1]["seq"] == seq)
    # No other task runs between these lines.
    for number, changed in ((seq, set()), (seq + 1, {session.pk})):
        running_hub._changed.clear()
        await running_hub._receive(json.dumps({"session": str(session.pk), "seq": number}).encode())
        assert running_hub._changed == changed


async def test_a_viewer_without_a_valid_grant_is_closed(
    running_hub: hub.Hub, session: Session
) -> None:
    listener, monitor = Listener(), Listener()
    await running_hub.join(viewer_of(session, listener))
    # A signed-in user who looks at what the audience sees is to sign in again.
    ended = Grant("login", "gone", session.pk, session.owner_id)
    await running_hub.join(Viewer(monitor, ended, recorder.PUBLIC, JSON))
    # The session is not visible, so the grant of the audience is not valid either.
    await running_hub._close_invalid(list(running_hub.rooms[session.pk].viewers))
    assert (listener.closed, monitor.closed) == (4404, 4401)
    assert running_hub.rooms == {}


async def test_only_public_sockets_of_the_same_address_are_counted(
    running_hub: hub.Hub, session: Session
) -> None:
    anonymous = Grant("watch", session.watch_token, session.pk)
    # The owner's monitor of what the audience sees is none of the audience.
    own = Grant("login", "key", session.pk, session.owner_id)
    viewers: list[Viewer] = []
    for grant, address in (
        (anonymous, "203.0.113.1"),
        (anonymous, "203.0.113.1"),
        (anonymous, "203.0.113.2"),
        (own, "203.0.113.1"),
    ):
        viewer = Viewer(Listener(), grant, recorder.PUBLIC, JSON, address)
        await running_hub.join(viewer)
        viewers.append(viewer)
    assert running_hub.open_from("203.0.113.1") == 2
    running_hub.leave(viewers[0])
    running_hub.leave(viewers[3])
    assert running_hub.open_from("203.0.113.1") == 1


async def test_a_socket_is_closed_when_its_time_is_over(
    running_hub: hub.Hub, session: Session
) -> None:
    shown = await sync_to_async(sessions.show)(session, True)
    early, late = Listener(), Listener()
    await running_hub.join(over := viewer_of(shown, early))
    await running_hub.join(rest := viewer_of(shown, late))
    over.until = 0.0
    await running_hub._close_invalid([over, rest])
    assert (early.closed, late.closed) == (4012, None)


async def test_the_audience_is_counted_by_session_without_the_owner(
    running_hub: hub.Hub, session: Session
) -> None:
    viewers = [viewer_of(session, Listener()) for _ in range(3)]
    viewers[0].grant = Grant("login", "key", session.pk, session.owner_id)
    for viewer in viewers:
        viewer.audience = recorder.PUBLIC
    for viewer in viewers:
        await running_hub.join(viewer)
    await running_hub._count_audience()
    assert await sync_to_async(presence.viewers)(session.pk) == 2
    for viewer in viewers:
        running_hub.leave(viewer)
    # The first count without any viewer says so; later ones leave the session alone.
    await running_hub._count_audience()
    assert await sync_to_async(presence.viewers)(session.pk) == 0
    assert not running_hub._counted
