"""Addresses of the sockets."""

from __future__ import annotations

from django.urls import path

from sessions_app.consumers import OwnerConsumer, WatchConsumer

websocket_urlpatterns = [
    path("ws/sessions/<uuid:session_id>/", OwnerConsumer.as_asgi()),
    path("ws/watch/<str:token>/", WatchConsumer.as_asgi()),
]
