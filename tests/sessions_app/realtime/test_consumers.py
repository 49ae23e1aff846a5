"""Which address a socket comes from, and how many one address may open."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator, WebsocketCommunicator
from django.contrib.auth.models import User
from hypothesis import given, strategies

from broadcast import orchestrator
from sessions_app import api_tokens, sessions
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime.consumers import _parse_after
from sessions_app.web.middleware import ForwardedAddress
from smnb.asgi import application


@pytest.fixture(autouse=True)
def trusted(settings: Any) -> None:
    settings.SMNB = settings.SMNB.model_copy(
        update={"trusted_proxies": "127.0.0.1, ::1, 10.1.0.0/16"}
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.1", "198.51.100.7"),
        ("127.0.0.2", "203.0.113.1", "127.0.0.2"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.1", "203.0.113.1"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.1, 10.1.2.3", "203.0.113.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("", "203.0.113.1", ""),
    ],
)
async def test_only_a_trusted_proxy_says_which_client_it_speaks_for(
    peer: str, forwarded: str, address: str
) -> None:
    seen = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"type": "http", "headers": headers, "client": [peer, 4000]}
    await ForwardedAddress(application)(scope, None, None)
    assert seen == [address]


async def test_without_the_setting_no_header_is_believed(settings: Any) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={"trusted_proxies": ""})
    await test_only_a_trusted_proxy_says_which_client_it_speaks_for(
        "127.0.0.1", "203.0.113.1", "127.0.0.1"
    )


@pytest.mark.django_db(transaction=True)
async def test_behind_a_proxy_a_stranger_does_not_lock_the_owner_out(owner: User) -> None:
    """Five wrong passwords lock the stranger's address alone, over the whole application."""

    async def sign_in(address: str, password: str) -> int:
        body = urlencode({"username": owner.username, "password": password}).encode()
        headers = [
            (b"x-forwarded-for", address.encode()),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"cookie", b"csrftoken=" + b"a" * 32),
            (b"x-csrftoken", b"a" * 32),
            (b"host", b"localhost:8000"),
        ]
        http = HttpCommunicator(application, "POST", "/login/", body=body, headers=headers)
        http.scope["client"] = ["127.0.0.1", 4000]
        return int((await http.get_response(timeout=60))["status"])

    statuses = [await sign_in("203.0.113.1", "wrong") for _ in range(6)]
    assert statuses[-2:] == [429, 429]
    assert await sign_in("203.0.113.2", "olga-has-a-password") == 302


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


@pytest.mark.django_db(transaction=True)
async def test_an_owner_may_ask_for_what_the_audience_sees(session: Session) -> None:
    token = await sync_to_async(api_tokens.make)(session.owner)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    await sync_to_async(recorder.add_message)(session, "system", "For the owner alone.")
    await sync_to_async(orchestrator.start)(session, session.owner)
    types: dict[str, list[str]] = {"?audience=public&format=json": [], "?format=json": []}
    for query, found in types.items():
        path = f"/ws/sessions/{session.pk}/{query}"
        socket = WebsocketCommunicator(application, path, headers=headers)
        socket.scope["client"] = ["127.0.0.1", 4000]
        await socket.connect(timeout=60)
        await socket.send_json_to({"after": 0})
        state = ""
        while state != "starting":
            frame = await socket.receive_json_from(60)
            found.append(frame["type"])
            state = frame["data"].get("air", {}).get("state", "")
        await socket.disconnect(timeout=60)
    assert "message.added" in types["?format=json"]
    assert set(types["?audience=public&format=json"]) == {"broadcast.state"}


@given(
    strategies.text(max_size=250)
    | strategies.builds(
        json.dumps,
        strategies.dictionaries(
            strategies.just("after") | strategies.text(max_size=3),
            strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats(),
        ),
    )
)
def test_no_message_is_read_as_anything_but_a_number_or_nothing(text: str) -> None:
    after = _parse_after(text)
    assert after is None or (type(after) is int and json.loads(text)["after"] == after)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('{"after": 1000000000000000000}', 10**18),
        ('{"after": -1}', -1),
        ('{"after": 9223372036854775808}', None),
        ("[" * 200, None),
        ("9" * 200, None),
    ],
)
def test_a_number_that_fits_no_column_is_not_understood(text: str, after: int | None) -> None:
    assert _parse_after(text) == after
