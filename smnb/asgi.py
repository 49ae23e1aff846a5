"""ASGI: Django over HTTP, our sockets beside it."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smnb.settings")
http = get_asgi_application()

from sessions_app.routing import websocket_urlpatterns  # noqa: E402 - needs the apps loaded

application = ProtocolTypeRouter(
    {"http": http, "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns))}
)
