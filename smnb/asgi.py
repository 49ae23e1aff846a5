"""The ASGI application: Django for HTTP, and the WebSocket consumers."""

from __future__ import annotations

import os
import sys

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smnb.settings")
http = get_asgi_application()

# These import models, which needs the apps that get_asgi_application() loads.
from broadcast.replay.consumers import OwnerReplay, WatchReplay  # noqa: E402
from sessions_app.realtime.consumers import OwnerConsumer, WatchConsumer  # noqa: E402
from sessions_app.web.middleware import ForwardedAddress  # noqa: E402

websocket_urlpatterns = [
    path("ws/sessions/<uuid:session_id>/", OwnerConsumer.as_asgi()),
    path("ws/watch/<str:token>/", WatchConsumer.as_asgi()),
    path("ws/sessions/<uuid:session_id>/replay/<int:run_number>/", OwnerReplay.as_asgi()),
    path("ws/watch/<str:token>/replay/<int:run_number>/", WatchReplay.as_asgi()),
]
if "daphne.server" in sys.modules:
    from smnb import server

    server.install()
application = ForwardedAddress(
    # Without Channels' middleware for logins: the sockets that connect together are checked together.
    ProtocolTypeRouter({"http": http, "websocket": URLRouter(websocket_urlpatterns)})
)
