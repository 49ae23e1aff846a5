"""Wiring of sessions_app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Sessions"

    def ready(self) -> None:
        from sessions_app import checks, integrity, logbook, retention, steps, tasks, wiring

        pre_migrate.connect(integrity.drop_before_migrate, dispatch_uid="smnb-integrity")
        post_migrate.connect(integrity.restore_after_migrate, dispatch_uid="smnb-integrity")
        checks.register_all()
        steps.set_poker(tasks.send)
        wiring.register(self.name)
        retention.start()
        logbook.start()
