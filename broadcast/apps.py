"""Wiring of broadcast."""

from __future__ import annotations

from django.apps import AppConfig


class BroadcastConfig(AppConfig):
    name = "broadcast"
    verbose_name = "Broadcast"

    def ready(self) -> None:
        from broadcast import desk, host, orchestrator, producer

        for module in (orchestrator, producer, host, desk):
            module.register()
