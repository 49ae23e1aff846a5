"""Configures broadcast and registers its audits, commands, steps and subscriptions."""

from __future__ import annotations

from django.apps import AppConfig


class BroadcastConfig(AppConfig):
    name = "broadcast"
    verbose_name = "Broadcast"

    def ready(self) -> None:
        from broadcast import (
            airing,
            audits,
            compaction,
            copydesk,
            desk,
            drafting_desk,
            forking,
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
        from broadcast.transfer import exporting, importing

        # Subscribers of one topic, rules and audits run in the order in which they register.
        audits.register()
        airing.register()
        episodes.register()
        shelf.register()
        speaking.register()
        answers.register()
        decisions.register()
        compaction.register()
        copydesk.register()
        desk.register()
        drafting_desk.register()
        forking.register()
        host.register()
        narration.register()
        orchestrator.register()
        planning.register()
        producer.register()
        recaps.register()
        recordings.register()
        run_heads.register()
        rundown.register()
        slots.register()
        exporting.register()
        importing.register()
        wishes.register()
