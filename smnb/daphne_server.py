"""Daphne with the bounds of ``smnb.server``, and with frames that are written at once.

Daphne receives every body completely, parses forms in the event loop, and stores without limit what a
client does not read. ``install`` replaces the classes that do so.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from autobahn.websocket.types import ConnectionDeny
from daphne import cli, server
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.urls import ResolverMatch
from twisted.internet.tcp import Connection

from sessions_app.realtime import grants
from sessions_app.realtime.consumers import WRITE
from smnb.runner.process import sign
from smnb.server import (
    FRAMES_SECONDS,
    FROM_ANYBODY,
    LINGER_BYTES,
    LINGER_SECONDS,
    LONGEST_FRAME,
    LONGEST_MESSAGE,
    LONGEST_WAIT,
    MOST_FRAMES,
    MOST_UNREAD,
    TOO_LARGE,
    may_send,
    most_of_person,
    route_of,
)

# Of one socket: messages that wait to be handled.
MOST_WAITING = 32


class Flow:
    """A Twisted producer that records whether the client of a transport reads what it is sent."""

    def __init__(self, transport: Any, *, pauses: bool = False) -> None:
        self.transport, self.pauses, self.unread = transport, pauses, 0
        self.clear = asyncio.Event()
        self.clear.set()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.unread = 0
        self.clear.clear()
        if self.pauses:
            # A client that reads nothing is not listened to either.
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802
        self.clear.set()
        if self.pauses:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802
        self.clear.set()

    async def drained(self) -> None:
        """Waits until the client has read; ends the connection when it takes too long."""
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self.clear.wait()
        except TimeoutError:
            self.transport.abortConnection()


class BoundedRequest(WebRequest):
    """A request whose body is refused as soon as it is larger than its route and sender allow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Django parses forms itself, in a thread and within its own limits.
        super().__init__(*args, parsePOSTFormSubmission=False, **kwargs)
        self.flow: Flow | None = None
        self.length, self.most = 0, FROM_ANYBODY
        self.refused = False
        self.check: asyncio.Task[None] | None = None
        self.withheld: tuple[bytes, bytes, bytes] | None = None

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Refuses a body by its declared length, or starts to check who sends it."""
        super().gotLength(length)
        self.grow(length or 0)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        if not self.refused:
            super().handleContentChunk(data)
            self.grow(self.content.tell())

    def grow(self, length: int) -> None:
        """Notes a new length of the body; refuses it or checks the sender when it is too large."""
        checking = self.check is not None and not self.check.done()
        if length <= self.most or self.refused or checking:
            return
        if self.check is not None:
            self.refuse()
            return
        path = unquote(self.channel._path.split(b"?", 1)[0].decode("latin-1"))
        match, self.most = route_of(path)
        if length <= self.most:
            return
        if match is None or length > (most := most_of_person(match)):
            self.refuse()
            return
        self.most = most
        # Nothing more is received before it is known who sends it.
        self.channel.transport.pauseProducing()
        self.check = asyncio.ensure_future(self.admit(match))

    async def admit(self, match: ResolverMatch) -> None:
        """Refuses the body unless a signed-in user with access to the route's session sends it."""
        headers = self.requestHeaders
        cookie, given = (
            b"; ".join(headers.getRawHeaders(name) or []).decode("latin-1")
            for name in (b"cookie", b"authorization")
        )
        admitted = await may_send(cookie, given, match)
        # The client has gone meanwhile.
        if getattr(self, "channel", None) is None:
            return
        self.channel.transport.resumeProducing()
        if not admitted:
            self.refuse()
        elif self.withheld is not None:
            super().requestReceived(*self.withheld)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        if self.check is not None and not self.check.done():
            # It arrived together with the headers.
            self.withheld = (command, path, version)
        elif not self.refused:
            super().requestReceived(command, path, version)

    def process(self) -> Any:
        # For servers that run below a path: any client could set the address of all links with it.
        self.requestHeaders.removeHeader(b"Daphne-Root-Path")
        return super().process()

    def refuse(self) -> None:
        """Answers 413, drops what still arrives, and closes the connection."""
        self.refused = True
        self.channel.transport.write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\n"
            b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(TOO_LARGE), TOO_LARGE)
        )
        self.requestHeaders.removeHeader(b"Expect")
        channel, transport, dropped = self.channel, self.channel.transport, 0

        def drop(data: bytes) -> None:
            nonlocal dropped
            dropped += len(data)
            if dropped > LINGER_BYTES:
                transport.pauseProducing()

        channel.dataReceived = drop
        channel.setTimeout(None)
        transport.loseWriteConnection()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abortConnection)

    def handle_reply(self, message: dict[str, Any]) -> None:
        starts = message.get("type") == "http.response.start" and not self._response_started
        if starts and self.channel is not None and not self.finished:
            self.flow = Flow(self.channel.transport)
            self.registerProducer(self.flow, True)
        super().handle_reply(message)

    def finish(self) -> None:
        if self.flow is not None:
            self.unregisterProducer()
        super().finish()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        if self.flow is not None:
            self.flow.clear.set()
        super().connectionLost(reason)


class BoundedSocket(WebSocketProtocol):
    """A WebSocket that is cut when its client does not read, or sends faster than it is answered."""

    flow: Flow

    def makeConnection(self, transport: Any) -> None:  # noqa: N802
        self.frames, self.flooded = deque[float](maxlen=MOST_FRAMES), False
        super().makeConnection(transport)
        # The HTTP channel, which was the producer so far, never learns that nothing is read.
        transport.unregisterProducer()
        self.flow = Flow(transport, pauses=True)
        transport.registerProducer(self.flow, True)

    def onConnect(self, request: Any) -> Any:  # noqa: N802
        # Daphne would answer this, which any client can send, with 500 and a traceback. No socket
        # offers a subprotocol.
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            del request.headers["sec-websocket-protocol"]
        return super().onConnect(request)

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message["type"] != "websocket.http.response.start":
            super().handle_reply(message)
            return
        status = HTTPStatus(message["status"])
        denied = ConnectionDeny(status.value, status.phrase)  # type: ignore[no-untyped-call]
        self.handshake_deferred.errback(denied)
        del self.handshake_deferred
        self.server.protocol_disconnected(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        # Autobahn would store what arrives after the end.
        if not self.flooded:
            super().dataReceived(data)

    def onFrameBegin(self) -> None:  # noqa: N802
        """Counts a frame of any kind; ends a socket that sends too many, however small they are."""
        now = time.monotonic()
        full = len(self.frames) == MOST_FRAMES and now - self.frames[0] < FRAMES_SECONDS
        self.frames.append(now)
        if full and not self.flooded:
            self.flooded = True
            if not self.muted:
                self.mute(grants.TRY_LATER)
            # No further frame of what has arrived is read. The client may read the code for a moment.
            self.state, self.data = self.STATE_CLOSED, b""
            abort = self.transport.abortConnection
            asyncio.get_running_loop().call_later(LINGER_SECONDS, abort)
        super().onFrameBegin()

    def mute(self, code: int) -> None:
        """Closes the socket with a code, and tells the consumer that it is gone."""
        self.muted = True
        self.application_queue.put_nowait({"type": "websocket.disconnect", "code": code})
        self.sendClose(code=code)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        code = grants.NOT_UNDERSTOOD if len(payload) > LONGEST_MESSAGE else None
        if self.application_queue.qsize() >= MOST_WAITING:
            code = grants.TRY_LATER
        if code is not None and not self.muted:
            self.mute(code)
        last_ping: float = self.last_ping  # type: ignore[has-type]
        super().onMessage(payload, isBinary)
        # A client that sends messages is asked for a pong as often as any other.
        self.last_ping = last_ping

    def write(self, frame: bytes) -> None:
        """Writes an encoded frame to the connection at once, as far as the system takes it."""
        if self.muted or self.state != self.STATE_OPEN:
            return
        transport = self.transport
        # Through the buffer of Twisted a frame costs three rounds of the event loop, and ten times as
        # much. What is in the buffer goes first. A transport with TLS wraps this one, or has TLS set.
        direct = isinstance(transport, Connection) and not transport.TLS
        waits = direct and (transport.dataBuffer or transport._tempDataBuffer)
        if direct and not waits and not transport.disconnecting:
            written = transport.writeSomeData(frame)
            # Otherwise the connection is lost, which Twisted finds out itself.
            if isinstance(written, int):
                frame = frame[written:]
        if frame:
            transport.write(frame)
            self.note_unread(frame)

    def note_unread(self, content: bytes) -> None:
        """Cuts a client that has not read for too long."""
        if not self.flow.clear.is_set():
            self.flow.unread += len(content)
            if self.flow.unread > MOST_UNREAD:
                self.transport.abortConnection()

    def serverSend(self, content: Any, binary: bool = False) -> None:  # noqa: N802
        super().serverSend(content, binary)
        self.note_unread(content)


class BoundedHTTPFactory(HTTPFactory):
    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = BoundedRequest
        return protocol


class BoundedSocketFactory(WebSocketFactory):
    protocol = BoundedSocket

    def setProtocolOptions(self, **options: Any) -> None:  # noqa: N802
        bounds = {
            "maxMessagePayloadSize": LONGEST_FRAME,
            "maxFramePayloadSize": LONGEST_FRAME,
            # By default any message counts as the pong.
            "autoPingRestartOnAnyTraffic": False,
        }
        super().setProtocolOptions(**{**options, **bounds})


class BoundedServer(server.Server):
    """Daphne's server; a sender that can wait is not resumed before the client has read."""

    def timeout_checker(self) -> None:
        """Is called every two seconds by the event loop."""
        sign()
        super().timeout_checker()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        if scope["type"] == "websocket":
            scope["extensions"] = {"websocket.http.response": {}, WRITE: protocol.write}
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        await super().handle_reply(protocol, message)
        # Parts of a response, and frames that a page asked for. Live frames never wait: they go to
        # many viewers one after another.
        flow = getattr(protocol, "flow", None)
        if flow is not None and (message.get("more_body") or message.get("wait")):
            await flow.drained()


def install() -> None:
    """Makes Daphne, which reads these names when it starts, use the classes of this module."""
    server.HTTPFactory = BoundedHTTPFactory
    server.WebSocketFactory = BoundedSocketFactory
    cli.CommandLineInterface.server_class = BoundedServer
