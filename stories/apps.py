"""Configures stories and registers its audits, commands, steps and sweep rules."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class StoriesConfig(AppConfig):
    name = "stories"
    verbose_name = "Stories"

    def ready(self) -> None:
        from stories import audits, boards, keeping, search_index, usage
        from stories.drafting import desk, expiry, room, versions

        pre_migrate.connect(search_index.drop_before_migrate, dispatch_uid="smnb-search")
        post_migrate.connect(search_index.restore_after_migrate, dispatch_uid="smnb-search")

        # Subscribers of one topic, rules and audits run in the order in which they register.
        audits.register()
        boards.register()
        desk.register()
        expiry.register()
        room.register()
        versions.register()
        keeping.register()
        usage.register()
