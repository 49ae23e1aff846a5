"""Wiring of sessions_app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Sessions"

    def ready(self) -> None:
        from sessions_app import (
            archiving,
            artifact_care,
            artifacts,
            chain,
            checks,
            expiry,
            integrity,
            retention,
            steps,
            tasks,
            transitions,
        )

        pre_migrate.connect(integrity.drop_before_migrate, dispatch_uid="smnb-integrity")
        post_migrate.connect(integrity.restore_after_migrate, dispatch_uid="smnb-integrity")
        checks.register_all()
        steps.set_poker(tasks.send)
        chain.register()
        transitions.register()
        archiving.register()
        expiry.register()
        retention.start()
        artifacts.register()
        artifact_care.register()
