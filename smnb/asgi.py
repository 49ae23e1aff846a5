"""The ASGI application: Django for HTTP, and the WebSocket consumers."""

from __future__ import annotations

import os
import sys
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smnb.settings")
http = get_asgi_application()

# These import models, which needs the apps that get_asgi_application() loads.
from broadcast.public import stream_views  # noqa: E402
from broadcast.replay.consumers import OwnerReplay, WatchReplay  # noqa: E402
from sessions_app.realtime.consumers import OwnerConsumer, WatchConsumer  # noqa: E402
from sessions_app.web.middleware import ForwardedAddress  # noqa: E402


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
            "http": stream_views.once_for_all(http),
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
