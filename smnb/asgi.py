"""ASGI: Django over HTTP, our sockets beside it."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smnb.settings")
http = get_asgi_application()

from broadcast import routing as broadcast_routing  # noqa: E402 - needs the apps loaded
from sessions_app import routing as sessions_routing  # noqa: E402 - needs the apps loaded

sockets = [*sessions_routing.websocket_urlpatterns, *broadcast_routing.websocket_urlpatterns]
application = ProtocolTypeRouter(
    {"http": http, "websocket": AuthMiddlewareStack(URLRouter(sockets))}
)
