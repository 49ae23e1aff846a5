"""Which address a socket comes from, and how many one address may open."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator

from sessions_app import sessions
from sessions_app.models import Session
from sessions_app.realtime.consumers import WatchConsumer
from smnb.asgi import application


def scope_of(peer: str | None, forwarded: str = "") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return {"headers": headers, "client": None if peer is None else [peer, 4000]}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.1", "198.51.100.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("::1", "203.0.113.1", "203.0.113.1"),
        (None, "203.0.113.1", "203.0.113.1"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.1", "203.0.113.1"),
    ],
)
def test_only_a_proxy_on_this_machine_says_where_a_socket_comes_from(
    peer: str | None, forwarded: str, address: str
) -> None:
    """Of several addresses in the header, only the last one was written by our proxy."""
    consumer = WatchConsumer()
    consumer.scope = scope_of(peer, forwarded)
    assert consumer.address() == address


@pytest.mark.django_db(transaction=True)
async def test_an_address_opens_no_more_public_sockets_than_the_limit(
    session: Session, settings: Any
) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={"limit_public_sockets": 2})
    shown = await sync_to_async(sessions.show)(session, True)
    sockets, closed = [], []
    for number in (1, 1, 1, 2):
        socket = WebsocketCommunicator(
            application,
            f"/ws/watch/{shown.watch_token}/",
            headers=[(b"x-forwarded-for", f"203.0.113.{number}".encode())],
        )
        socket.scope["client"] = ["127.0.0.1", 4000]
        await socket.connect(timeout=60)
        sockets.append(socket)
        closed.append(not await socket.receive_nothing(0.5))
    assert closed == [False, False, True, False]
    assert await sockets[2].receive_output(60) == {"type": "websocket.close", "code": 4013}
    for socket in sockets:
        await socket.disconnect(timeout=60)
