"""App configuration: registers what the apps below cannot import."""

from __future__ import annotations

import gc

from django.apps import AppConfig
from django.conf import settings


class SmnbConfig(AppConfig):
    name = "smnb"
    verbose_name = "SMNB"

    def ready(self) -> None:
        from broadcast.studio.artifacts import bundle
        from sessions_app.background import sending, sweeper
        from smnb import health, tracing
        from smnb.runner import process

        bundle.provide("health", health.components)
        sending.set_poker(_send_step, _message_count)
        sweeper.on_work.subscribe(process.sign)
        tracing.start(settings.SMNB.otel_endpoint)
        # What is loaded stays, so that later collections need not look at it.
        gc.freeze()
        # A story makes many short-lived objects: fewer collections save 4 % of the processor time.
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


def _send_step(step_id: int, queue: str) -> None:
    # Imported here, as Celery takes as long to import as Django and most commands send nothing.
    from smnb import celery

    celery.send(step_id, queue)


def _message_count(queue: str) -> int:
    from smnb import celery

    return celery.message_count(queue)
