"""Configures sessions_app and registers its audits, commands, sweep rules and subscriptions."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Sessions"

    def ready(self) -> None:
        from sessions_app import audit_reports, audits, constraints
        from sessions_app.ai_chain import chain, status
        from sessions_app.background import retention, sweeper
        from sessions_app.events import archive
        from sessions_app.files import artifacts, verification
        from sessions_app.realtime import presence
        from sessions_app.session_logs import catalog

        # dispatch_uid prevents a second connection when ready() runs again, e.g. in tests.
        pre_migrate.connect(constraints.drop_before_migrate, dispatch_uid="smnb-integrity")
        post_migrate.connect(constraints.restore_after_migrate, dispatch_uid="smnb-integrity")
        constraints.register_all()

        # Subscribers of one topic, rules and audits run in the order in which they are registered.
        audits.register_own()
        audits.register("steps", sweeper.overdue)
        archive.register()
        verification.register()
        artifacts.register()
        chain.register()
        presence.register()
        status.register()
        retention.register_own()
        audit_reports.register()
        catalog.register()
