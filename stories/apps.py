"""Wiring of stories."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class StoriesConfig(AppConfig):
    name = "stories"
    verbose_name = "Stories"

    def ready(self) -> None:
        from sessions_app import wiring
        from stories import search_index

        pre_migrate.connect(search_index.drop_before_migrate, dispatch_uid="smnb-search")
        post_migrate.connect(search_index.restore_after_migrate, dispatch_uid="smnb-search")
        wiring.register(self.name)
