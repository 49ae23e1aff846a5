"""The ASGI application: Django for HTTP, and the WebSocket consumers."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Semaphore
from typing import IO, Any

import django
from asgiref.sync import SyncToAsync
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.db import close_old_connections, connections
from django.http.response import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import path, re_path, set_script_prefix

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smnb.settings")
django.setup(set_prefix=False)

# These import models, which needs the apps that setup() loads.
from broadcast.public import media_views, stream_views  # noqa: E402
from broadcast.replay.consumers import OwnerReplay, WatchReplay  # noqa: E402
from sessions_app.realtime.consumers import OwnerConsumer, WatchConsumer  # noqa: E402
from sessions_app.web.middleware import ForwardedAddress  # noqa: E402

# Threads that keep their database connection, and how many more there may be.
FEW, MORE = 4, 60


class Handler(ASGIHandler):
    """Django's handler for HTTP, with the whole of a request in one thread.

    Django's own changes threads up to twenty times a request, as each middleware does, and gives each
    request a new thread, which opens a database connection.
    """

    def __init__(self) -> None:
        super().__init__()
        self._few = ThreadPoolExecutor(FEW, "request")
        self._more = ThreadPoolExecutor(MORE, "request-of-many")
        self._free = Semaphore(FEW)

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        few = self._free.acquire(blocking=False)
        threads = self._few if few else self._more
        answering = threads.submit(copy_context().run, self.respond, scope, body, few)
        # A thread cannot be cancelled, and one that has not begun yet has to free its place.
        response = await asyncio.shield(asyncio.wrap_future(answering))
        if not response.streaming:
            await self.send_response(response, send)
            return
        # An endless one ends with its client.
        tasks = [
            asyncio.create_task(self.send_response(response, send)),
            asyncio.create_task(self.listen_for_disconnect(receive)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            sent, _ = await asyncio.gather(*tasks, return_exceptions=True)
            response.close()
        if isinstance(sent, Exception):
            raise sent

    def respond(self, scope: Any, body: IO[bytes], few: bool) -> HttpResponseBase:
        """Returns the whole response, or one whose parts are still to be read in the event loop."""
        response: HttpResponseBase
        try:
            set_script_prefix(get_script_prefix(scope))
            request_started.send(sender=self.__class__, scope=scope)
            request, refusal = self.create_request(scope, body)
            found = refusal if request is None else self.get_response(request)
            assert found is not None
            response = found
            response._handler_class = self.__class__  # type: ignore[attr-defined]
            if isinstance(response, StreamingHttpResponse) and response.is_async:
                close_old_connections()
                return response
            if isinstance(response, StreamingHttpResponse):
                # A file of WhiteNoise, which Django would read completely in one more thread.
                content = b"".join(response)
                whole = HttpResponse(content, status=response.status_code, headers=response.headers)
                response.close()
                return whole
            # Its content stays; this closes the request, and the connection unless it may stay open.
            response.close()
            return response
        finally:
            if few:
                self._free.release()
            else:
                connections.close_all()


def use_own_connection() -> None:
    """Gives this thread a connection to the database that is in no pool and stays open."""
    connection = connections["default"]
    options = {**connection.settings_dict["OPTIONS"], "pool": False}
    # A copy, as all threads share the settings.
    connection.settings_dict = {
        **connection.settings_dict,
        "OPTIONS": options,
        "CONN_MAX_AGE": None,
    }


if settings.SMNB.database_pool:
    # The hub's thread: live frames must not wait until one of many requests returns a connection.
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(1, "hub", use_own_connection)


async def no_such_socket(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuses a socket whose path names nothing: with 404 if the server can say so, else with 403."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close"})


websocket_urlpatterns = [
    path("ws/sessions/<uuid:session_id>/", OwnerConsumer.as_asgi()),
    path("ws/watch/<str:token>/", WatchConsumer.as_asgi()),
    path("ws/sessions/<uuid:session_id>/replay/<int:run_number>/", OwnerReplay.as_asgi()),
    path("ws/watch/<str:token>/replay/<int:run_number>/", WatchReplay.as_asgi()),
    # Channels would raise an error, which the server answers with 500 and a traceback.
    re_path("", no_such_socket),  # type: ignore[arg-type]
]
application: Any = ForwardedAddress(
    # Without Channels' middleware for logins: the sockets that connect together are checked together.
    ProtocolTypeRouter(
        {
            "http": stream_views.once_for_all(media_views.captions_once(Handler())),
            "websocket": URLRouter(websocket_urlpatterns),
        }
    )
)
if "daphne.server" in sys.modules:
    from smnb import daphne_server

    daphne_server.install()
else:
    from smnb import server

    application = server.Bounded(application)
