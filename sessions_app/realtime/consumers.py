"""WebSocket consumers for owners and the audience.

They send frames; the only message that they accept is ``{"after": seq}``.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from typing import Any, cast
from urllib.parse import parse_qs

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from sessions_app import context, rate_limits
from sessions_app.events import recorder
from sessions_app.realtime import grants
from sessions_app.realtime.frames import HTML, JSON
from sessions_app.realtime.grants import Credential, Grant, credential_of
from sessions_app.realtime.hub import Hub, get_hub
from sessions_app.realtime.presence import Viewer

ASKS_PER_10_S = 20
# The ASGI extension with which a server writes a frame that is encoded already (smnb/server.py).
WRITE = "smnb.write"


class LiveConsumer(AsyncWebsocketConsumer):
    """The socket of a viewer of a session; subclasses define what grants access."""

    audience = recorder.OWNER
    viewer: Viewer | None = None
    hub: Hub
    # The times of the messages in the last 10 s; None until the viewer has joined.
    request_times: list[float] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with context.scope(
            request=context.new_id(),
            environment="server",
            operation="socket",
            socket=self.audience,
        ):
            try:
                await super().__call__(scope, receive, send)
            finally:
                # Channels does not call disconnect() when a handler raised.
                if self.viewer is not None:
                    self.hub.leave(self.viewer)

    # Channels would go to the thread of the database for each message, to close old connections. Here
    # only database_sync_to_async uses the database, and it closes them itself.
    async def dispatch(self, message: Any) -> None:
        await getattr(self, get_handler_name(message))(message)

    async def websocket_disconnect(self, message: Any) -> None:
        await self.disconnect(message["code"])
        raise StopConsumer

    async def connect(self) -> None:
        """Accepts the socket, checks its grant and enters, or closes it with a code."""
        if not self.has_allowed_origin():
            await self.close()
            return
        # Accepted first: a browser shows the close code only of an accepted socket.
        await self.accept()
        self.hub = get_hub()
        grant = await self.hub.grants.ask(self.credential())
        if isinstance(grant, int):
            await self.close(code=grant)
            return
        context.bind(session=grant.session_id, _folder=grant.folder)
        if grant.user_id is not None:
            context.bind(user=grant.user_id)
        await self.enter(grant)

    async def enter(self, grant: Grant) -> None:
        """Joins the hub, unless this address has too many public sockets."""
        address = self.address()
        limit = settings.SMNB.limit_public_sockets
        # Counted in this process only; the limit protects it from a single address.
        anonymous = grant.user_id is None
        if anonymous and limit and self.hub.open_from(address) >= limit:
            await self.close(code=grants.TRY_LATER)
            return
        write = self.scope.get("extensions", {}).get(WRITE)
        self.viewer = Viewer(self, grant, self.audience, self.format(), address, write)
        self.request_times = []
        with context.span("join"):
            await self.hub.join(self.viewer)
            # The audience is anonymous.
            if grant.user_id is not None:
                await self.hub.opened.ask(grant)

    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.scope.get("query_string", b"").decode("latin-1"))

    def format(self) -> str:
        return JSON if self.query().get("format") == [JSON] else HTML

    async def disconnect(self, code: int) -> None:
        """Leaves the hub, and records that an owner has closed the page."""
        if self.viewer is not None:
            self.hub.leave(self.viewer)
            if self.viewer.grant.user_id is not None:
                with context.span("leave"):
                    await self.hub.closed.ask(self.viewer.grant)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Checks a message and its rate, and answers it."""
        after = _parse_after(text_data)
        now = time.monotonic()
        if self.request_times is None or after is None:
            await self.close(code=grants.NOT_UNDERSTOOD)
            return
        self.request_times = [at for at in self.request_times if now - at < 10] + [now]
        if len(self.request_times) > ASKS_PER_10_S:
            await self.close(code=grants.TRY_LATER)
            return
        await self.answer(after)

    async def answer(self, after: int) -> None:
        """Sends everything after the seq ``after``."""
        if self.viewer is None:
            return
        with context.span("catch_up"):
            await self.hub.catch_up(self.viewer, after)

    async def send_text(self, text: str, *, wait: bool = False) -> None:
        """Sends a frame; with ``wait`` returns only once a slow client has read (smnb/server.py)."""
        await self.base_send({"type": "websocket.send", "text": text, "wait": wait})

    async def end(self, code: int) -> None:
        await self.close(code=code)

    def address(self) -> str:
        """Returns the client's address; that of a trusted proxy is replaced already (smnb/asgi.py)."""
        return rate_limits.network_of(str((self.scope.get("client") or ["", 0])[0]))

    def header(self, name: str) -> str:
        headers = dict(self.scope.get("headers") or [])
        return cast("bytes", headers.get(name.encode(), b"")).decode("latin-1")

    def has_allowed_origin(self) -> bool:
        return True

    @abstractmethod
    def credential(self) -> Credential:
        """Returns what the socket presents to be let in."""


class OwnerConsumer(LiveConsumer):
    """/ws/sessions/<uuid>/: for the owner, by a bearer token or by the login cookie and origin.

    With ``?audience=public`` it sends what the audience sees, for the program monitor of the desk.
    """

    async def connect(self) -> None:
        if self.query().get("audience") == [recorder.PUBLIC]:
            self.audience = recorder.PUBLIC
        await super().connect()

    def has_allowed_origin(self) -> bool:
        # A browser sends the cookie with requests of other sites too, but not a bearer token.
        return self.credential().kind == "token" or self.header("origin") in settings.SMNB.origins

    def credential(self) -> Credential:
        session_id = self.scope["url_route"]["kwargs"]["session_id"]
        return credential_of(self.header("cookie"), self.header("authorization"), session_id)


class WatchConsumer(LiveConsumer):
    """/ws/watch/<token>/: for the audience, by the public address from any site, without cookies."""

    audience = recorder.PUBLIC

    def credential(self) -> Credential:
        return Credential("watch", self.scope["url_route"]["kwargs"]["token"])


def _parse_after(text: str | None) -> int | None:
    """Returns the seq of ``{"after": seq}``, or None for any other message."""
    # A valid message is far shorter, and parsing a long one would cost time.
    if text is None or len(text) > 200:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    after = message.get("after") if isinstance(message, dict) else None
    # In Python a bool is an int too; a larger number fits no column.
    if not isinstance(after, int) or isinstance(after, bool):
        return None
    return after if -(2**63) <= after < 2**63 else None
