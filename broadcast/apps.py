"""Configures broadcast and registers its audits, commands, steps and subscriptions."""

from __future__ import annotations

from django.apps import AppConfig


class BroadcastConfig(AppConfig):
    name = "broadcast"
    verbose_name = "Broadcast"

    def ready(self) -> None:
        from broadcast import (
            ai_chain_runs,
            airing,
            audits,
            editorial,
            orchestrator,
            producer,
            reaper,
            recaps,
            recordings,
            rundown,
            session_commands,
            statistics,
            webhook,
        )
        from broadcast.chat import answerer, plans
        from broadcast.host import memory, narration, worker
        from broadcast.schedule import slots
        from broadcast.speech import episodes, piper, recorder
        from broadcast.stream import stream
        from broadcast.studio.drafting import publish
        from broadcast.transfer import exporter, fork, importer

        # Subscribers of one topic, rules and audits run in the order in which they register.
        audits.register()
        airing.register()
        piper.register()
        episodes.register()
        recorder.register()
        stream.register()
        statistics.register()
        answerer.register()
        plans.register()
        memory.register()
        editorial.register()
        session_commands.register()
        publish.register()
        fork.register()
        worker.register()
        narration.register()
        orchestrator.register()
        reaper.register()
        ai_chain_runs.register()
        slots.register()
        producer.register()
        recaps.register()
        recordings.register()
        rundown.register()
        webhook.register()
        exporter.register()
        importer.register()
