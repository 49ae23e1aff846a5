"""Wiring of the composition root."""

from __future__ import annotations

from django.apps import AppConfig


class SmnbConfig(AppConfig):
    name = "smnb"
    verbose_name = "SMNB"

    def ready(self) -> None:
        from broadcast import bundles
        from smnb import health

        bundles.provide("health", health.components)
