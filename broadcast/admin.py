"""Admin of runs: windows."""

from __future__ import annotations

from django.contrib import admin

from broadcast.models import Airing, Broadcast, StateChange
from sessions_app.admin import Window


@admin.register(Broadcast)
class BroadcastAdmin(Window):
    list_display = ("session", "number", "state", "epoch", "live_at", "stopped_at", "last_error")
    list_filter = ("state",)
    list_select_related = ("session",)


@admin.register(StateChange)
class StateChangeAdmin(Window):
    list_display = ("session", "run", "from_state", "to_state", "cause", "actor", "created_at")
    list_filter = ("cause",)
    list_select_related = ("session", "run", "actor")


@admin.register(Airing)
class AiringAdmin(Window):
    list_display = ("story", "session", "run", "aired_at", "finish_at", "finished_at")
    list_select_related = ("session", "run", "story")
