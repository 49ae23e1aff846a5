"""App configuration: registers what the apps below cannot import."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class SmnbConfig(AppConfig):
    name = "smnb"
    verbose_name = "SMNB"

    def ready(self) -> None:
        from broadcast.studio.artifacts import bundle
        from smnb import health, tracing

        bundle.provide("health", health.components)
        tracing.start(settings.SMNB.otel_endpoint)
