"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from broadcast.views import center, manager, stats, threads, watch

urlpatterns = [
    path("sessions/", manager.sessions, name="sessions"),
    path("sessions/new/", manager.create, name="session_create"),
    path("sessions/<uuid:session_id>/", manager.detail, name="session_detail"),
    path("sessions/<uuid:session_id>/name/", manager.rename, name="session_rename"),
    path("sessions/<uuid:session_id>/settings/", manager.settings, name="session_settings"),
    path("sessions/<uuid:session_id>/visibility/", manager.visibility, name="session_visibility"),
    path("sessions/<uuid:session_id>/filing/", manager.archive, name="session_archive"),
    path("sessions/<uuid:session_id>/sources/", manager.add_source, name="source_add"),
    path(
        "sessions/<uuid:session_id>/sources/<int:source_id>/remove/",
        manager.remove_source,
        name="source_remove",
    ),
    path("broadcast/", center.home, name="broadcast_home"),
    path("broadcast/start/", center.without_session, name="broadcast_without_session"),
    path("broadcast/<uuid:session_id>/", center.center, name="broadcast"),
    path("broadcast/<uuid:session_id>/command/", center.command, name="broadcast_command"),
    path(
        "broadcast/<uuid:session_id>/stories/<int:story_id>/decision/",
        center.decide,
        name="story_decide",
    ),
    path("broadcast/<uuid:session_id>/threads/", threads.listed, name="threads"),
    path("broadcast/<uuid:session_id>/threads/<int:thread_id>/", threads.timeline, name="thread"),
    path("stats/", stats.stats, name="stats"),
    path("watch/<str:token>/", watch.watch, name="watch"),
]
