"""Wiring of stories."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class StoriesConfig(AppConfig):
    name = "stories"
    verbose_name = "Stories"

    def ready(self) -> None:
        from stories import (  # noqa: F401 - audits register themselves
            audits,
            boards,
            keeping,
            search_index,
            usage,
        )
        from stories.drafting import desk, expiry, room, versions

        pre_migrate.connect(search_index.drop_before_migrate, dispatch_uid="smnb-search")
        post_migrate.connect(search_index.restore_after_migrate, dispatch_uid="smnb-search")
        usage.register()
        boards.register()
        keeping.register()
        for module in (room, desk, versions, expiry):
            module.register()
