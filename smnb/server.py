"""Bounds of the web server: the bytes it accepts before a route allows them, and those it stores.

``Bounded`` holds them for any ASGI server, and adds what uvicorn offers; Daphne needs classes of its
own (smnb/daphne_server.py).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.urls import Resolver404, ResolverMatch, resolve

from broadcast.public.views import LONGEST_REPORT
from broadcast.transfer import archive
from sessions_app.files.artifacts import MAX_PICTURE_BYTES, MEGABYTE
from sessions_app.realtime import grants
from sessions_app.realtime.consumers import WRITE
from sessions_app.realtime.grants import Grant

if TYPE_CHECKING:
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# The largest body that anyone may send, on routes without a limit of their own.
FROM_ANYBODY = 8_192
PUBLIC_ROUTES = {"watch_errors": LONGEST_REPORT}

# After a refusal, what still arrives is read and dropped for a moment: closing at once would make
# the client's system discard the response.
LINGER_SECONDS, LINGER_BYTES = 2.0, 1_000_000
TOO_LARGE = json.dumps(
    {
        "code": "too_large",
        "detail": "The body is larger than this address accepts from you. Send less, or sign in.",
    }
).encode()

# Of one socket: bytes that the client has not read beyond the buffers of the system and of the server,
# and bytes of a message from it.
MOST_UNREAD, LONGEST_MESSAGE = 262_144, 8_192
# Frames of any kind that a client may send in so many seconds; a page sends a few.
MOST_FRAMES, FRAMES_SECONDS = 100, 10.0
# Of a frame in both directions, more than any that is sent (realtime/frames.py).
LONGEST_FRAME = 131_072
# How long a response or a catching up waits for a client that reads nothing.
LONGEST_WAIT = 60.0

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class TooLarge(Exception):
    """The body of a request is larger than its route and sender allow."""


class Bounded:
    """ASGI middleware that holds the bounds for servers other than Daphne."""

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            try:
                async with asyncio.timeout(LONGEST_WAIT):
                    await send(message)
            except TimeoutError:
                # Closing would wait for the client too.
                transport = getattr(getattr(send, "__self__", None), "transport", None)
                if transport is not None:
                    transport.abort()
                raise

        if scope["type"] == "http":
            await self.answer(scope, receive, sent)
            return
        protocol = uvicorn_socket(send)
        if protocol is not None:
            protocol.conn.max_message_size = LONGEST_FRAME
            count_frames(protocol)
            extensions = {**scope.get("extensions", {}), WRITE: writer(protocol)}
            scope = {**scope, "extensions": extensions}
        await self.application(scope, receive, sent)

    async def answer(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on, and answers 413 as soon as its body is too large."""
        length, most, started = 0, FROM_ANYBODY, False

        async def received() -> Message:
            nonlocal length, most
            message = await receive()
            length += len(message.get("body", b""))
            if length > most:
                most = await most_of_request(scope, length)
                if length > most:
                    raise TooLarge
            return message

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        declared = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if declared.isdigit() and int(declared) > most:
                most = await most_of_request(scope, int(declared))
                if int(declared) > most:
                    raise TooLarge
            await self.application(scope, received, sent)
        except TooLarge:
            if started:
                raise
            await refuse(receive, send)


async def most_of_request(scope: Message, length: int) -> int:
    """Returns how large the body may be that is ``length`` already, by its route and sender."""
    match, most = route_of(scope["path"])
    if match is None or length <= most or length > most_of_person(match):
        return most
    cookies, authorization = (
        b"; ".join(value for key, value in scope["headers"] if key == name).decode("latin-1")
        for name in (b"cookie", b"authorization")
    )
    return most_of_person(match) if await may_send(cookies, authorization, match) else most


def route_of(path: str) -> tuple[ResolverMatch | None, int]:
    """Returns the route of a path, and the largest body that anyone may send to it."""
    try:
        match = resolve(path)
    except Resolver404:
        return None, FROM_ANYBODY
    return match, PUBLIC_ROUTES.get(match.view_name, FROM_ANYBODY)


async def refuse(receive: Receive, send: Send) -> None:
    """Answers 413, drops what still arrives, and closes the connection."""
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
        (b"content-length", b"%d" % len(TOO_LARGE)),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": TOO_LARGE, "more_body": True})
    dropped, more = 0, True
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while more and dropped <= LINGER_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


def most_of_person(match: ResolverMatch) -> int:
    """Returns the largest body that a signed-in user may send to a route."""
    form: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    limit = settings.SMNB.limit_upload_mb
    files = {
        "upload": limit * MEGABYTE if limit else 2**63,
        "screenshot": MAX_PICTURE_BYTES,
        "session_import": archive.UPLOADED.packed,
        "api:import_session": archive.UPLOADED.packed,
    }
    return files.get(match.view_name, 0) + form


@database_sync_to_async
def may_send(cookies: str, authorization: str, match: ResolverMatch) -> bool:
    """Whether these headers are those of a user, who has access to the route's session if it has one."""
    session_id = str(match.kwargs.get("session_id", ""))
    try:
        credential = grants.credential_of(
            cookies, authorization, UUID(session_id) if session_id else None
        )
        if credential.session_id is None:
            return grants.is_signed_in(credential)
        return isinstance(grants.check([credential])[credential], Grant)
    except (ValueError, DatabaseError):
        return False


def uvicorn_socket(send: Send) -> WebSocketsSansIOProtocol | None:
    """Returns the protocol of a socket that uvicorn serves with its default implementation."""
    implementation = sys.modules.get("uvicorn.protocols.websockets.websockets_sansio_impl")
    protocol = getattr(send, "__self__", None)
    if implementation is None:
        return None
    known = isinstance(protocol, implementation.WebSocketsSansIOProtocol)
    return protocol if known else None


def count_frames(protocol: WebSocketsSansIOProtocol) -> None:
    """Ends a socket of uvicorn whose client sends too many frames, however small they are."""
    from websockets.exceptions import ProtocolError

    receive, times = protocol.conn.recv_frame, deque[float](maxlen=MOST_FRAMES)

    def received(frame: Any) -> None:
        now = time.monotonic()
        if len(times) == MOST_FRAMES and now - times[0] < FRAMES_SECONDS:
            protocol.conn.fail(grants.TRY_LATER, "too many frames")
            # The rest of what has arrived is not read.
            raise ProtocolError("too many frames")
        times.append(now)
        receive(frame)

    protocol.conn.recv_frame = received  # type: ignore[method-assign]


def writer(protocol: WebSocketsSansIOProtocol) -> Callable[[bytes], None]:
    """Returns the function that writes an encoded frame to a socket of uvicorn at once."""

    def write(frame: bytes) -> None:
        if protocol.close_sent or protocol.transport.is_closing():
            return
        protocol.transport.write(frame)
        if protocol.transport.get_write_buffer_size() > MOST_UNREAD:
            protocol.transport.abort()

    return write
