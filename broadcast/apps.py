"""Wiring of broadcast."""

from __future__ import annotations

from django.apps import AppConfig


class BroadcastConfig(AppConfig):
    name = "broadcast"
    verbose_name = "Broadcast"

    def ready(self) -> None:
        from broadcast import audits, desk, host, orchestrator, producer  # noqa: F401

        for module in (orchestrator, producer, host, desk):
            module.register()
