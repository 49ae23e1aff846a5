"""The sockets: they translate and decide nothing. Receive-only but for ``{"after": seq}``."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from typing import Any, cast
from urllib.parse import parse_qs
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import User

from sessions_app import api_tokens, context, sessions
from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime import presence
from sessions_app.realtime.frames import HTML, JSON
from sessions_app.realtime.grants import Grant
from sessions_app.realtime.hub import TRY_LATER, Hub, Viewer, get_hub

SIGN_IN, NO_SESSION, NOT_UNDERSTOOD = 4401, 4404, 4400
ASKS_PER_10_S = 20


class LiveConsumer(AsyncWebsocketConsumer):
    """One viewer of one session; subclasses say by what right."""

    audience = recorder.OWNER
    viewer: Viewer | None = None
    hub: Hub
    # When the page asked lately; None before it may ask.
    asked: list[float] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with context.scope(
            request=context.new_id(), environment="server", operation="socket",
            socket=self.audience,
        ):  # fmt: skip
            try:
                await super().__call__(scope, receive, send)
            finally:
                # Nobody calls disconnect when a handler raised.
                if self.viewer is not None:
                    self.hub.leave(self.viewer)

    async def connect(self) -> None:
        if not self.origin_is_ours():
            await self.close()
            return
        await self.accept()
        try:
            grant = await self.grant()
        except NotFound:
            await self.close(code=NO_SESSION)
            return
        if grant is None:
            await self.close(code=SIGN_IN)
            return
        context.bind(session=grant.session_id, _folder=grant.folder)
        if grant.user_id is not None:
            context.bind(user=grant.user_id)
        await self.enter(grant)

    async def enter(self, grant: Grant) -> None:
        self.hub = get_hub()
        address = self.address()
        limit = settings.SMNB.limit_public_sockets
        if self.audience == recorder.PUBLIC and limit and self.hub.open_from(address) >= limit:
            await self.close(code=TRY_LATER)
            return
        self.viewer = Viewer(self, grant, self.audience, self.format(), address)
        self.asked = []
        with context.span("join"):
            await self.hub.join(self.viewer)
            await database_sync_to_async(presence.opened)(grant)

    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.scope.get("query_string", b"").decode("latin-1"))

    def format(self) -> str:
        return JSON if self.query().get("format") == [JSON] else HTML

    async def disconnect(self, code: int) -> None:
        if self.viewer is not None:
            self.hub.leave(self.viewer)
            with context.span("leave"):
                await database_sync_to_async(presence.closed)(self.viewer.grant)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        after = _after(text_data)
        now = time.monotonic()
        if self.asked is None or after is None:
            await self.close(code=NOT_UNDERSTOOD)
            return
        self.asked = [moment for moment in self.asked if now - moment < 10] + [now]
        if len(self.asked) > ASKS_PER_10_S:
            await self.close(code=TRY_LATER)
            return
        await self.answer(after)

    async def answer(self, after: int) -> None:
        """Bring a page up to date that has come to ``after``."""
        if self.viewer is None:
            return
        with context.span("catch_up"):
            await self.hub.catch_up(self.viewer, after)

    async def send_text(self, text: str) -> None:
        await self.send(text_data=text)

    async def end(self, code: int) -> None:
        await self.close(code=code)

    def address(self) -> str:
        """Whom the socket comes from; only a proxy on this machine is believed about others."""
        peer = str((self.scope.get("client") or ["", 0])[0])
        forwarded = self.header("x-forwarded-for")
        if forwarded and peer in {"", "127.0.0.1", "::1"}:
            return forwarded.rsplit(",", 1)[-1].strip()
        return peer

    def header(self, name: str) -> str:
        headers = dict(self.scope.get("headers") or [])
        return cast("bytes", headers.get(name.encode(), b"")).decode("latin-1")

    def origin_is_ours(self) -> bool:
        return True

    @abstractmethod
    async def grant(self) -> Grant | None:
        """By what right this socket may listen; None when nobody is signed in, or NotFound."""


class OwnerConsumer(LiveConsumer):
    """/ws/sessions/<uuid>/: by the login's cookie and our own origin, or by a bearer token."""

    def bearer(self) -> str:
        scheme, _, token = self.header("authorization").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def origin_is_ours(self) -> bool:
        # A cookie travels with requests of foreign pages; a bearer token does not.
        return bool(self.bearer()) or self.header("origin") in settings.SMNB.origins

    async def grant(self) -> Grant | None:
        session_id = self.scope["url_route"]["kwargs"]["session_id"]
        if token := self.bearer():
            found: Grant | None = await _by_token(token, session_id)
            return found
        user = self.scope["user"]
        if not user.is_authenticated:
            return None
        granted: Grant = await _by_login(user, self.scope["session"].session_key, session_id)
        return granted


class WatchConsumer(LiveConsumer):
    """/ws/watch/<token>/: by the public address, from any page; cookies count for nothing."""

    audience = recorder.PUBLIC

    async def grant(self) -> Grant | None:
        granted: Grant = await _by_watch(self.scope["url_route"]["kwargs"]["token"])
        return granted


def _after(text: str | None) -> int | None:
    """The seq of ``{"after": seq}``, or None for anything else."""
    if text is None or len(text) > 200:
        return None
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    after = found.get("after") if isinstance(found, dict) else None
    return after if isinstance(after, int) and not isinstance(after, bool) else None


@database_sync_to_async
def _by_token(token: str, session_id: UUID) -> Grant | None:
    found = api_tokens.find(token)
    if found is None:
        return None
    session: Session = sessions.get(found.owner, session_id)
    return Grant("token", str(found.pk), session.pk, found.owner_id, session.folder)


@database_sync_to_async
def _by_login(user: User, key: str, session_id: UUID) -> Grant:
    session = sessions.get(user, session_id)
    return Grant("login", key, session.pk, user.pk, session.folder)


@database_sync_to_async
def _by_watch(token: str) -> Grant:
    session = sessions.by_watch_token(token)
    return Grant("watch", token, session.pk, folder=session.folder)
