"""Configures sessions_app and registers its audits, commands, sweep rules and subscriptions."""

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
            audits,
            chain,
            checks,
            expiry,
            fullness,
            integrity,
            logbook,
            participants,
            retention,
            steps,
            tasks,
            transitions,
        )

        pre_migrate.connect(integrity.drop_before_migrate, dispatch_uid="smnb-integrity")
        post_migrate.connect(integrity.restore_after_migrate, dispatch_uid="smnb-integrity")
        checks.register_all()
        steps.set_poker(tasks.send)

        # Subscribers of one topic, rules and audits run in the order in which they register.
        audits.register_own()
        archiving.register()
        artifact_care.register()
        artifacts.register()
        chain.register()
        expiry.register()
        fullness.register()
        participants.register()
        transitions.register()
        retention.start()
        logbook.start()
