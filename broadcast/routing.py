"""Addresses of the sockets that play a finished run again."""

from __future__ import annotations

from django.urls import path

from broadcast.consumers import OwnerReplay, WatchReplay

websocket_urlpatterns = [
    path("ws/sessions/<uuid:session_id>/replay/<int:run_number>/", OwnerReplay.as_asgi()),
    path("ws/watch/<str:token>/replay/<int:run_number>/", WatchReplay.as_asgi()),
]
