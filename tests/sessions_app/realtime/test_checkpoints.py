"""Checkpoints hold the text so far of a stream for an hour, and nothing depends on them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client
from redis import Redis

from broadcast.host import narration
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime import checkpoints
from smnb.asgi import application
from tests.concurrency import together
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

PAYLOAD = {"title": "A mill turns", "text": "The mill at Harrow Ford"}
PATIENCE = 60  # seconds; the default of one is too short for a first socket on a busy machine
ClientOf = Callable[[User], Client]


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    # By its address, as the product's own: a client made otherwise tries again for seconds.
    closed_port = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=1)
    monkeypatch.setattr(recorder, "redis_client", lambda: closed_port)


def test_a_checkpoint_can_be_read_until_it_is_dropped(session: Session) -> None:
    checkpoints.save(session.pk, "chat", {"text": "One"})
    checkpoints.save(session.pk, "chat", {"text": "One two"})
    assert checkpoints.read(session.pk, "chat") == {"text": "One two"}
    checkpoints.drop(session.pk, "chat")
    assert checkpoints.read(session.pk, "chat") is None


def test_each_session_and_each_stream_has_its_own(
    session: Session, make_session: MakeSession
) -> None:
    checkpoints.save(session.pk, "chat", PAYLOAD)
    assert checkpoints.read(session.pk, "draft") is None
    assert checkpoints.read(make_session("Evening").pk, "chat") is None


def test_a_checkpoint_is_stored_for_an_hour(session: Session) -> None:
    checkpoints.save(session.pk, "chat", PAYLOAD)
    left = recorder.redis_client().ttl(checkpoints._key(session.pk, "chat"))
    assert 3500 < left <= 3600


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_threads_and_a_fork_use_the_one_client_of_the_process(session: Session) -> None:
    def use(name: str) -> bool:
        """Stores and reads; a connection that two of them shared would mix up the answers."""
        for number in range(100):
            checkpoints.save(session.pk, name, {"text": f"{name} {number}"})
            if checkpoints.read(session.pk, name) != {"text": f"{name} {number}"}:
                return False
        return True

    # The pool has a connection before the fork.
    assert use("before")
    child = os.fork()
    if child == 0:
        os._exit(0 if use("child") else 1)
    assert together(4, lambda number: use(f"thread {number}")) == [True] * 4
    assert os.waitpid(child, 0)[1] == 0
    assert len({id(client) for client in together(4, lambda _: recorder.redis_client())}) == 1


@pytest.mark.usefixtures("no_redis")
def test_without_redis_nothing_is_stored_and_nothing_fails(session: Session) -> None:
    checkpoints.save(session.pk, "chat", PAYLOAD)
    assert checkpoints.read(session.pk, "chat") is None
    checkpoints.drop(session.pk, "chat")


def test_a_page_loaded_in_the_middle_of_a_narration_shows_the_text_so_far(
    session: Session, client_of: ClientOf
) -> None:
    checkpoints.save(session.pk, narration.NARRATION, PAYLOAD)
    page = client_of(session.owner).get(f"/broadcast/{session.pk}/").content.decode()
    assert f'<p class="narration-text" dir="auto">{PAYLOAD["text"]}</p>' in page
    checkpoints.drop(session.pk, narration.NARRATION)
    page = client_of(session.owner).get(f"/broadcast/{session.pk}/").content.decode()
    assert '<div id="narration"></div>' in page


async def test_a_page_that_reconnects_gets_the_text_so_far(
    session: Session, client_of: ClientOf
) -> None:
    await sync_to_async(checkpoints.save)(session.pk, narration.NARRATION, PAYLOAD)
    client = await sync_to_async(client_of)(session.owner)
    headers = [
        (b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode()),
        (b"origin", b"http://127.0.0.1:8000"),
    ]
    socket = WebsocketCommunicator(
        application, f"/ws/sessions/{session.pk}/?format=json", headers=headers
    )
    connected, _ = await socket.connect(timeout=PATIENCE)
    assert connected
    await socket.send_json_to({"after": 10**9})
    frame = await socket.receive_json_from(timeout=PATIENCE)
    await socket.disconnect(timeout=PATIENCE)
    assert (frame["type"], frame["seq"], frame["data"]) == (narration.NARRATION, None, PAYLOAD)
