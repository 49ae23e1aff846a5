"""Configures the app and registers its audits, commands, steps and sweep rules."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class StoriesConfig(AppConfig):
    name = "stories"
    verbose_name = "Stories"

    def ready(self) -> None:
        from stories import audits, figure_audits
        from stories.drafting import boards, commands, versions, workflow
        from stories.market import trends
        from stories.search import index
        from stories.usage import ledger

        # SQLite drops the triggers of a table that a migration rebuilds.
        pre_migrate.connect(index.drop_before_migrate, dispatch_uid="smnb-search")
        post_migrate.connect(index.restore_after_migrate, dispatch_uid="smnb-search")

        # Subscribers of a topic, sweep rules and audits run in the order of registration.
        audits.register()
        figure_audits.register()
        index.register()
        boards.register()
        commands.register()
        workflow.register()
        versions.register()
        trends.register()
        ledger.register()
