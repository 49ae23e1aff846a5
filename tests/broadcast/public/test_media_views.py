"""Sound files over HTTP: whole, in ranges, in pieces, and to nobody without the link."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast.models import Sound
from sessions_app import sessions
from sessions_app.files import storage
from sessions_app.models import Session
from stories.models import Story
from tests.broadcast.speech.recorded_session import show, spoken_session, visit, with_engine
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard(owner: User, make_session: MakeSession, settings: Any) -> Session:
    with_engine(settings)
    return spoken_session(owner, make_session)


def spoken(session: Session) -> Sound:
    return Sound.objects.filter(session=session, state="ready").earliest("pk")


SIZE = 1000


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", (0, 999, True)),
        ("bytes=0-", (0, 999, False)),
        ("bytes=10-19", (10, 19, False)),
        ("bytes=990-2000", (990, 999, False)),
        ("bytes=-10", (990, 999, False)),
        ("bytes=-5000", (0, 999, False)),
        ("bytes=20-10", (0, 999, True)),
        ("bytes=-", (0, 999, True)),
        ("bytes=0-1,5-6", (0, 999, True)),
        ("lines=1-2", (0, 999, True)),
        ("bytes=1000-", None),
        ("bytes=-0", None),
    ],
)
def test_a_range_is_read_as_the_standard_has_it(
    header: str, part: tuple[int, int, bool] | None
) -> None:
    assert storage.parse_range(header, SIZE) == (storage.ByteRange(*part) if part else None)


def test_a_whole_file_is_answered_with_its_type(heard: Session) -> None:
    sound = spoken(heard)
    answer = visit(heard, f"sounds/{sound.pk}")
    assert answer.content == storage.full_path(sound.path).read_bytes()
    assert answer["Content-Type"] == "audio/mpeg"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Accept-Ranges"] == "bytes"


def test_the_words_of_a_sound_have_their_times(heard: Session) -> None:
    sound = spoken(heard)
    Sound.objects.filter(pk=sound.pk).update(times=[(0, 1.5), (1.75, 4.25)])
    text = "The ferry is late. It comes at noon."
    Story.objects.filter(pk=sound.story_id).update(narrative=text)
    answer = visit(heard, f"sounds/{sound.pk}.vtt")
    assert answer["Content-Type"] == "text/vtt; charset=utf-8"
    assert answer.content.decode() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nThe ferry is late.\n\n"
        "00:00:01.750 --> 00:00:04.250\nIt comes at noon.\n"
    )
    Story.objects.filter(pk=sound.story_id).update(state="killed")
    assert visit(heard, f"sounds/{sound.pk}.vtt").status_code == 404


def test_a_piece_is_answered_with_206_and_none_with_416(heard: Session) -> None:
    sound = spoken(heard)
    piece = visit(heard, f"sounds/{sound.pk}", Range="bytes=4-9")
    assert (piece.status_code, piece["Content-Range"]) == (206, f"bytes 4-9/{sound.bytes}")
    assert piece.content == storage.full_path(sound.path).read_bytes()[4:10]
    past = visit(heard, f"sounds/{sound.pk}", Range=f"bytes={sound.bytes}-")
    assert (past.status_code, past["Content-Range"]) == (416, f"bytes */{sound.bytes}")


def test_a_piece_of_another_file_is_answered_with_the_whole(heard: Session) -> None:
    path = f"sounds/{spoken(heard).pk}"
    tag = visit(heard, path)["ETag"]
    assert visit(heard, path, **{"Range": "bytes=0-1", "If-Range": tag}).status_code == 206
    assert visit(heard, path, **{"Range": "bytes=0-1", "If-Range": '"old"'}).status_code == 200
    assert visit(heard, path, **{"If-None-Match": tag}).status_code == 304


def test_the_head_has_the_length_and_no_body(heard: Session) -> None:
    sound = spoken(heard)
    answer = Client().head(f"/watch/{heard.watch_token}/sounds/{sound.pk}")
    assert (answer["Content-Length"], answer.content) == (str(sound.bytes), b"")


async def test_a_long_file_comes_in_pieces(tmp_path: Any) -> None:
    path = tmp_path / "long"
    path.write_bytes(bytes(range(256)) * 1024)
    pieces = [piece async for piece in storage._chunks(path, storage.ByteRange(100, 199_999))]
    assert b"".join(pieces) == path.read_bytes()[100:200_000]
    assert max(map(len, pieces)) == storage.CHUNK


def test_a_long_file_is_served_whole(heard: Session, monkeypatch: Any) -> None:
    monkeypatch.setattr(storage, "WHOLE", 10)
    sound = spoken(heard)
    answer = visit(heard, f"sounds/{sound.pk}")
    assert answer["Content-Length"] == str(sound.bytes)
    with pytest.warns(Warning, match="asynchronous iterators"):
        data = b"".join(answer)
    assert hashlib.sha256(data).hexdigest() == sound.sha256


def test_another_session_has_no_such_sound(heard: Session, make_session: MakeSession) -> None:
    other = show(make_session("Other"))
    assert visit(other, f"sounds/{spoken(heard).pk}").status_code == 404


def test_revoking_the_link_silences_it(heard: Session) -> None:
    path = f"/watch/{heard.watch_token}/sounds/{spoken(heard).pk}"
    assert Client().get(path).status_code == 200
    sessions.show(heard, False)
    assert Client().get(path).status_code == 404
