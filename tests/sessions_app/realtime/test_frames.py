"""A frame is a pure function of the payload, for owner and audience, as HTML and JSON."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from broadcast.host.narration import SHOWN
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent
from sessions_app.realtime import frames
from sessions_app.realtime.frames import HTML, JSON

pytestmark = pytest.mark.django_db

HOSTILE = '<script>alert(1)</script><i id="seq" hx-swap-oob="true">'


@pytest.fixture
def event(session: Session) -> SessionEvent:
    recorder.add_message(session, "host", HOSTILE)
    return SessionEvent.objects.filter(session=session).latest("seq")


def text(event: SessionEvent, format_: str, audience: str = recorder.OWNER) -> str:
    return frames.text_of(frames.frame_of(event, event.seq - 1, audience), audience, format_)


def test_a_frame_begins_with_its_seq_and_the_one_before(event: SessionEvent) -> None:
    expected = f'<i id="seq" hx-swap-oob="true" data-seq="{event.seq}" data-prev="{event.seq - 1}"'
    assert text(event, HTML).startswith(expected)


def test_a_json_frame_has_exactly_the_fields_that_are_promised(event: SessionEvent) -> None:
    found = json.loads(text(event, JSON))
    assert list(found) == ["seq", "prev", "type", "session", "at", "data"]
    assert found["session"] == str(event.session_id)
    assert found["at"].endswith("Z")


def test_the_same_payload_always_gives_the_same_bytes(event: SessionEvent) -> None:
    again = SessionEvent.objects.get(pk=event.pk)
    assert text(event, HTML) == text(again, HTML)


def test_untrusted_text_stays_text(event: SessionEvent) -> None:
    found = text(event, HTML)
    assert "<script" not in found
    assert found.count('id="seq"') == 1


def test_the_audience_sees_public_types_alone(event: SessionEvent) -> None:
    assert not frames.visible(event.type, recorder.PUBLIC)
    assert frames.visible(event.type, recorder.OWNER)
    assert all(frames.visible(type_, recorder.PUBLIC) for type_ in recorder.public_types())


def test_the_audience_gets_the_public_part_and_nothing_else(session: Session) -> None:
    payload = {"secret": "cost", "public": {"air": {"state": "live"}}}
    with transaction.atomic():
        event = recorder.record(session, "broadcast.state", payload)
    assert json.loads(text(event, JSON, recorder.PUBLIC))["data"] == payload["public"]


def test_an_ephemeral_frame_has_no_seq() -> None:
    frame = frames.ephemeral(uuid4(), "narration.delta", {"title": "T", "text": HOSTILE})
    found = frames.text_of(frame, recorder.OWNER, HTML)
    assert "data-ephemeral" in found
    assert 'id="seq"' not in found
    assert json.loads(frames.text_of(frame, recorder.OWNER, JSON))["seq"] is None


def test_a_page_that_missed_too_much_is_made_to_reload() -> None:
    session_id = uuid4()
    assert "data-reload" in frames.reload_text(session_id, 7, HTML)
    assert json.loads(frames.reload_text(session_id, 7, JSON))["type"] == "reload"


@pytest.mark.parametrize("format_", [HTML, JSON])
def test_an_event_too_large_for_a_frame_makes_its_viewers_reload(
    session: Session, format_: str
) -> None:
    message = {"id": 1, "role": "host", "code": "", "text": "灯" * 33_000, "at": None}
    with transaction.atomic():
        event = recorder.record(session, recorder.MESSAGE_ADDED, {"message": message})
    assert text(event, format_) == frames.reload_text(session.pk, event.seq, format_)


@pytest.mark.parametrize("sign", ["灯", "\N{FIRE}", '"', "<", "'"])
@pytest.mark.parametrize("format_", [HTML, JSON])
def test_a_growing_narration_fits_in_any_letters(sign: str, format_: str) -> None:
    data = {"title": sign * 500, "text": sign * SHOWN}
    frame = frames.ephemeral(uuid4(), "narration.delta", data)
    assert len(frames.text_of(frame, recorder.OWNER, format_).encode()) <= frames.MOST_BYTES


def test_a_card_does_not_hold_a_text_without_spaces_twice() -> None:
    story = {"id": 1, "title": "T", "narrative": "灯" * 5000, "word_count": 2500, "duration": 9}
    card = render_to_string(
        "studio/broadcast_center/_story.html", {"story": story, "session_id": uuid4()}
    )
    assert card.count("灯") < 5500


def test_the_largest_frame_is_within_the_limit(session: Session) -> None:
    recorder.add_message(session, "host", "\N{SNOWMAN}" * 2000)
    event = SessionEvent.objects.filter(session=session).latest("seq")
    assert all(len(text(event, f).encode()) <= frames.MOST_BYTES for f in (HTML, JSON))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 131_072])
def test_a_text_of_any_size_is_encoded_as_one_frame(size: int) -> None:
    client = ClientProtocol(parse_uri("ws://studio/"), state=State.OPEN)
    client.receive_data(b"".join(frames.encoded(["é" + "x" * size, "y" * size])))
    found = [event for event in client.events_received() if isinstance(event, Frame)]
    assert [frame.opcode for frame in found] == [1, 1]
    assert [bytes(frame.data).decode() for frame in found] == ["é" + "x" * size, "y" * size]


async def test_an_event_that_fails_in_any_way_costs_the_others_of_its_group_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(frame: frames.Frame, audience: str, format_: str, most: int) -> str:
        if frame.seq == 2:
            raise RecursionError
        return f"{frame.prev} {frame.seq}"

    monkeypatch.setattr(frames, "text_of", failing)
    group = [SessionEvent(seq=seq, type="a", payload={}, at=timezone.now()) for seq in (1, 2, 3)]
    shape = (recorder.OWNER, HTML)
    texts, last = await frames.rendered(group, {recorder.OWNER: 0}, [shape])
    assert texts == {shape: [(1, "0 1"), (3, "1 3")]}
    assert last == {recorder.OWNER: 3}
