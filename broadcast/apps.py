"""Wiring of broadcast."""

from __future__ import annotations

from django.apps import AppConfig


class BroadcastConfig(AppConfig):
    name = "broadcast"
    verbose_name = "Broadcast"

    def ready(self) -> None:
        from sessions_app import wiring

        wiring.register(self.name)
