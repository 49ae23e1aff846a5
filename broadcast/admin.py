"""Read-only admin of runs, airings, slots, sounds, episodes, streams, recaps and transfers."""

from __future__ import annotations

from django.contrib import admin

from broadcast.models import (
    Airing,
    AudioStream,
    Broadcast,
    Episode,
    Recap,
    Slot,
    Sound,
    StateChange,
    Transfer,
)
from sessions_app.admin import ReadOnlyAdmin


@admin.register(Broadcast)
class BroadcastAdmin(ReadOnlyAdmin):
    list_display = ("session", "number", "state", "epoch", "live_at", "stopped_at", "last_error")
    list_filter = ("state",)
    list_select_related = ("session",)


@admin.register(StateChange)
class StateChangeAdmin(ReadOnlyAdmin):
    list_display = ("session", "run", "from_state", "to_state", "cause", "actor", "created_at")
    list_filter = ("cause",)
    list_select_related = ("session", "run", "actor")


@admin.register(Airing)
class AiringAdmin(ReadOnlyAdmin):
    list_display = ("story", "session", "run", "aired_at", "finish_at", "finished_at")
    list_select_related = ("session", "run", "story")


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = ("session", "days", "on_at", "off_at", "zone", "enabled", "note")
    list_filter = ("enabled",)
    list_select_related = ("session",)


@admin.register(Sound)
class SoundAdmin(ReadOnlyAdmin):
    list_display = ("story", "version", "session", "state", "engine", "voice", "seconds", "error")
    list_filter = ("state", "engine")
    list_select_related = ("story", "session")


@admin.register(Episode)
class EpisodeAdmin(ReadOnlyAdmin):
    list_display = ("title", "run", "session", "state", "seconds", "error")
    list_filter = ("state",)
    list_select_related = ("run", "session")


@admin.register(AudioStream)
class AudioStreamAdmin(ReadOnlyAdmin):
    list_display = ("session", "asked_at", "planned", "identified_at", "revision")
    list_select_related = ("session", "planned")


@admin.register(Recap)
class RecapAdmin(ReadOnlyAdmin):
    list_display = ("title", "run", "session", "created_at")
    list_select_related = ("run", "session")


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    list_display = ("session", "way", "format", "state", "done", "total", "error", "created_at")
    list_filter = ("way", "state")
    list_select_related = ("session",)
