"""URLs of the studio pages; all of them need a signed-in user."""

from __future__ import annotations

from django.urls import path

from broadcast.studio.account import views as account_views
from broadcast.studio.ai_chain import views as ai_chain_views
from broadcast.studio.artifacts import views as artifacts_views
from broadcast.studio.broadcast_center import story_views
from broadcast.studio.broadcast_center import views as broadcast_center_views
from broadcast.studio.drafting import views as drafting_views
from broadcast.studio.logs import views as logs_views
from broadcast.studio.market import views as market_views
from broadcast.studio.overlay import views as overlay_views
from broadcast.studio.replay import views as replay_views
from broadcast.studio.search import views as search_views
from broadcast.studio.sessions import source_views, start_views
from broadcast.studio.sessions import views as sessions_views
from broadcast.studio.settings import views as settings_views
from broadcast.studio.stats import views as stats_views
from broadcast.studio.traces import views as traces_views
from broadcast.studio.transfers import views as transfers_views

urlpatterns = [
    path("start/", start_views.start, name="start"),
    path("start/go/", start_views.go, name="start_go"),
    path("start/sources/", start_views.sources, name="start_sources"),
    path("start/check/", start_views.check, name="start_check"),
    path("start/sample.mp3", start_views.speak, name="start_speak"),
    path("start/sample/", start_views.sample, name="start_sample"),
    # Session Manager: sessions with their settings, sources, schedule and interests.
    path("sessions/", sessions_views.sessions, name="sessions"),
    path("sessions/new/", sessions_views.create, name="session_create"),
    path("sessions/switcher/", sessions_views.switcher, name="session_switcher"),
    path("sessions/<uuid:session_id>/", sessions_views.detail, name="session_detail"),
    path("sessions/<uuid:session_id>/name/", sessions_views.rename, name="session_rename"),
    path("sessions/<uuid:session_id>/settings/", sessions_views.settings, name="session_settings"),
    path(
        "sessions/<uuid:session_id>/embedding/", sessions_views.embedding, name="session_embedding"
    ),
    path(
        "sessions/<uuid:session_id>/voice/sample.mp3",
        sessions_views.voice_sample,
        name="voice_sample",
    ),
    path(
        "sessions/<uuid:session_id>/visibility/",
        sessions_views.visibility,
        name="session_visibility",
    ),
    path("sessions/<uuid:session_id>/filing/", sessions_views.archive, name="session_archive"),
    path("sessions/<uuid:session_id>/expiry/", sessions_views.expiry, name="session_expiry"),
    path("sessions/<uuid:session_id>/budget/", sessions_views.budget, name="session_budget"),
    path("sessions/<uuid:session_id>/clone/", sessions_views.clone, name="session_clone"),
    path("sessions/<uuid:session_id>/fork/", transfers_views.fork, name="session_fork"),
    path("sessions/<uuid:session_id>/exports/", transfers_views.export, name="session_export"),
    path("sessions/import/", transfers_views.import_archive, name="session_import"),
    path("sessions/<uuid:session_id>/sources/", source_views.add_source, name="source_add"),
    path(
        "sessions/<uuid:session_id>/sources/loop/", source_views.loop_sources, name="sources_loop"
    ),
    path(
        "sessions/<uuid:session_id>/sources/import/",
        source_views.import_feeds,
        name="feeds_import",
    ),
    path("sessions/<uuid:session_id>/sources.opml", source_views.export_feeds, name="feeds_export"),
    path(
        "sessions/<uuid:session_id>/sources/group/",
        source_views.add_source_group,
        name="source_group",
    ),
    path(
        "sessions/<uuid:session_id>/sources/test/", source_views.test_new_source, name="source_try"
    ),
    path(
        "sessions/<uuid:session_id>/sources/<int:source_id>/test/",
        source_views.test_source,
        name="source_test",
    ),
    path(
        "sessions/<uuid:session_id>/sources/<int:source_id>/remove/",
        source_views.remove_source,
        name="source_remove",
    ),
    path("sessions/<uuid:session_id>/slots/", source_views.add_slot, name="slot_add"),
    path(
        "sessions/<uuid:session_id>/slots/<int:slot_id>/",
        source_views.change_slot,
        name="slot_change",
    ),
    path(
        "sessions/<uuid:session_id>/slots/<int:slot_id>/switch/",
        source_views.switch_slot,
        name="slot_switch",
    ),
    path(
        "sessions/<uuid:session_id>/slots/<int:slot_id>/remove/",
        source_views.remove_slot,
        name="slot_remove",
    ),
    path("sessions/<uuid:session_id>/interests/", source_views.add_interest, name="interest_add"),
    path(
        "sessions/<uuid:session_id>/interests/<int:interest_id>/remove/",
        source_views.remove_interest,
        name="interest_drop",
    ),
    # Broadcast Center: the desk of a session, and what belongs to its broadcasts.
    path("broadcast/", broadcast_center_views.home, name="broadcast_home"),
    path(
        "broadcast/start/", broadcast_center_views.without_session, name="broadcast_without_session"
    ),
    path("broadcast/<uuid:session_id>/", broadcast_center_views.center, name="broadcast"),
    path(
        "broadcast/<uuid:session_id>/command/",
        broadcast_center_views.command_run,
        name="broadcast_command",
    ),
    path(
        "broadcast/<uuid:session_id>/stories/<int:story_id>/decision/",
        broadcast_center_views.decide,
        name="story_decide",
    ),
    path("broadcast/<uuid:session_id>/chat/", broadcast_center_views.say, name="chat"),
    path(
        "broadcast/<uuid:session_id>/chat/<int:message_id>/plan/",
        broadcast_center_views.decide_plan,
        name="chat_decide",
    ),
    path("broadcast/<uuid:session_id>/pace/", broadcast_center_views.pace, name="broadcast_pace"),
    path("broadcast/<uuid:session_id>/monitor/", broadcast_center_views.monitor, name="monitor"),
    path("broadcast/<uuid:session_id>/overlay/", overlay_views.studio, name="overlay_studio"),
    path(
        "broadcast/<uuid:session_id>/overlay/preview/",
        overlay_views.preview,
        name="overlay_preview",
    ),
    path("broadcast/<uuid:session_id>/overlay/logo/", overlay_views.logo, name="overlay_set_logo"),
    path(
        "broadcast/<uuid:session_id>/overlay/publish/",
        overlay_views.publish,
        name="overlay_publish",
    ),
    path("broadcast/<uuid:session_id>/health/", broadcast_center_views.health, name="crew_health"),
    path("needs-you/", broadcast_center_views.needs, name="needs"),
    path("broadcast/<uuid:session_id>/chain/", ai_chain_views.chain, name="chain"),
    path(
        "broadcast/<uuid:session_id>/chain/recover/", ai_chain_views.recover, name="chain_recover"
    ),
    path("broadcast/<uuid:session_id>/artifacts/", artifacts_views.listed, name="artifacts"),
    path(
        "broadcast/<uuid:session_id>/artifacts/<int:artifact_id>/",
        artifacts_views.download,
        name="artifact",
    ),
    path(
        "broadcast/<uuid:session_id>/artifacts/<int:artifact_id>/remove/",
        artifacts_views.drop,
        name="artifact_drop",
    ),
    path("broadcast/<uuid:session_id>/artifacts/upload/", artifacts_views.upload, name="upload"),
    path("broadcast/<uuid:session_id>/artifacts/bundle/", artifacts_views.bundle, name="bundle"),
    path("broadcast/<uuid:session_id>/artifacts/record/", artifacts_views.record, name="record"),
    path(
        "broadcast/<uuid:session_id>/artifacts/screenshot/",
        artifacts_views.screenshot,
        name="screenshot",
    ),
    path("broadcast/<uuid:session_id>/rundown/", story_views.rundown, name="rundown"),
    path("broadcast/<uuid:session_id>/rundown/change/", story_views.rearrange, name="rearrange"),
    path("broadcast/<uuid:session_id>/break-in/", story_views.break_in, name="break_in"),
    path("broadcast/<uuid:session_id>/stories/<int:story_id>/", story_views.story, name="story"),
    path(
        "broadcast/<uuid:session_id>/stories/<int:story_id>/command/",
        story_views.command_story,
        name="story_command",
    ),
    path(
        "broadcast/<uuid:session_id>/stories/<int:story_id>/correction/",
        story_views.correct,
        name="story_correct",
    ),
    path("broadcast/<uuid:session_id>/threads/", story_views.listed, name="threads"),
    path(
        "broadcast/<uuid:session_id>/threads/<int:thread_id>/", story_views.timeline, name="thread"
    ),
    path("broadcast/<uuid:session_id>/replay/", replay_views.newest, name="replays"),
    path(
        "broadcast/<uuid:session_id>/replay/<int:run_number>/", replay_views.replay, name="replay"
    ),
    path("broadcast/<uuid:session_id>/trace/", traces_views.listed, name="traces"),
    path("broadcast/<uuid:session_id>/trace/<int:story_id>/", traces_views.story, name="trace"),
    # The next areas take their session from ?session=; without it they show the newest one.
    path("stats/", stats_views.stats, name="stats"),
    path("market/", market_views.overview, name="market"),
    path("market/<uuid:session_id>/<int:trend_id>/", market_views.trend, name="market_trend"),
    path("drafting/", drafting_views.drafting, name="drafting"),
    path("drafting/<uuid:session_id>/add/", drafting_views.add, name="board_add"),
    path("drafting/<uuid:session_id>/move/", drafting_views.move, name="board_move"),
    path("drafting/<uuid:session_id>/remove/", drafting_views.remove, name="board_remove"),
    path("drafting/<uuid:session_id>/start/", drafting_views.start, name="draft_start"),
    path("drafting/<uuid:session_id>/<int:draft_id>/", drafting_views.draft, name="draft"),
    path(
        "drafting/<uuid:session_id>/<int:draft_id>/command/",
        drafting_views.command,
        name="draft_command",
    ),
    path(
        "drafting/<uuid:session_id>/<int:draft_id>/advice/",
        drafting_views.advise,
        name="draft_advise",
    ),
    path("drafting/<uuid:session_id>/<int:draft_id>/edit/", drafting_views.edit, name="draft_edit"),
    # User Settings belong to the signed-in user, so their addresses name no one.
    path("account/", account_views.account, name="account"),
    path("account/profile/", account_views.profile, name="account_profile"),
    path("account/password/", account_views.password, name="account_password"),
    path("account/defaults/", account_views.defaults, name="account_defaults"),
    path("account/keys/<str:service>/", account_views.save_key, name="key_set"),
    path("account/keys/<str:service>/test/", account_views.test_key, name="key_test"),
    path("account/tokens/", account_views.create_token, name="token_make"),
    path("account/needs/", account_views.needs, name="account_needs"),
    # Settings of the workspace; the views refuse changes by users who are not staff.
    path("settings/", settings_views.settings, name="settings"),
    path("settings/defaults/", settings_views.defaults, name="settings_defaults"),
    path("settings/retention/", settings_views.retention, name="settings_retention"),
    path("settings/context/", settings_views.context, name="settings_context"),
    path("settings/stories/", settings_views.spread, name="settings_stories"),
    path("settings/groups/", settings_views.add_group, name="group_add"),
    path("settings/groups/<int:group_id>/", settings_views.change_group, name="group_change"),
    path("settings/groups/<int:group_id>/move/", settings_views.move_group, name="group_move"),
    path(
        "settings/groups/<int:group_id>/remove/", settings_views.remove_group, name="group_remove"
    ),
    path("broadcast/<uuid:session_id>/log/", logs_views.log, name="log"),
    path("broadcast/<uuid:session_id>/log/browser/", logs_views.browser, name="browser_errors"),
    path("account/theme/", account_views.theme, name="account_theme"),
    path("account/keys/<str:service>/remove/", account_views.delete_key, name="key_remove"),
    path("account/tokens/<int:bearer_id>/revoke/", account_views.revoke_token, name="token_revoke"),
    # Search and logs are pages of one session.
    path("sessions/<uuid:session_id>/search/", search_views.results, name="search"),
]
