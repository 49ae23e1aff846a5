"""Wiring of stories."""

from __future__ import annotations

from django.apps import AppConfig


class StoriesConfig(AppConfig):
    name = "stories"
    verbose_name = "Stories"

    def ready(self) -> None:
        from stories import audits, usage  # noqa: F401 - audits register themselves

        usage.register()
