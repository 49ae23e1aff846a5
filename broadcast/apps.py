"""Wiring of broadcast."""

from __future__ import annotations

from django.apps import AppConfig


class BroadcastConfig(AppConfig):
    name = "broadcast"
    verbose_name = "Broadcast"

    def ready(self) -> None:
        from broadcast import (  # noqa: F401
            audits,
            compaction,
            copydesk,
            desk,
            drafting_desk,
            host,
            narration,
            orchestrator,
            planning,
            producer,
            recaps,
            recordings,
            run_heads,
            rundown,
            slots,
            wishes,
        )
        from broadcast.audience import episodes, shelf, speaking
        from broadcast.chat import answers, decisions

        for module in (
            orchestrator, run_heads, compaction, recaps, producer, host, narration, desk,
            rundown, copydesk, slots, planning, speaking, episodes, wishes, answers, decisions,
            drafting_desk, shelf, recordings,
        ):  # fmt: skip
            module.register()
