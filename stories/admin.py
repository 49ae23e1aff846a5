"""Admin of stories: read-only pages of sources, posts, stories, usage, the market and drafts."""

from __future__ import annotations

from django.contrib import admin

from sessions_app.admin import ReadOnlyAdmin
from stories.models import (
    BoardKeyword,
    Draft,
    DraftMessage,
    DraftVersion,
    Interest,
    Source,
    SourceGroup,
    SourcePost,
    Story,
    StoryReport,
    StoryThread,
    StoryVersion,
    TokenUsage,
    Trend,
    TrendBucket,
    TrendPost,
)
from stories.quarantine import admin as quarantine_admin  # noqa: F401 - registers its pages


@admin.register(Source)
class SourceAdmin(ReadOnlyAdmin):
    list_display = ("locator", "kind", "session", "enabled", "health", "note", "paused_until")
    list_filter = ("kind", "health", "enabled")
    list_select_related = ("session",)


@admin.register(SourcePost)
class SourcePostAdmin(ReadOnlyAdmin):
    list_display = ("title", "session", "source", "state", "label", "priority", "reason")
    list_filter = ("state", "label")
    list_select_related = ("session", "source")
    search_fields = ("title",)


@admin.register(Story)
class StoryAdmin(ReadOnlyAdmin):
    list_display = (
        "title",
        "session",
        "origin",
        "state",
        "tone",
        "priority",
        "approved_by",
        "approved_at",
        "created_at",
    )
    list_filter = ("origin", "state", "held", "tone")
    list_select_related = ("session", "approved_by")
    search_fields = ("title",)


@admin.register(TokenUsage)
class TokenUsageAdmin(ReadOnlyAdmin):
    list_display = (
        "session",
        "operation",
        "model",
        "state",
        "input_tokens",
        "output_tokens",
        "cost_lower",
        "cost_upper",
        "error",
    )
    list_filter = ("state", "model", "operation")
    list_select_related = ("session",)


@admin.register(SourceGroup)
class SourceGroupAdmin(ReadOnlyAdmin):
    list_display = ("name", "description", "position")


@admin.register(StoryThread)
class StoryThreadAdmin(ReadOnlyAdmin):
    list_display = ("title", "session", "story_count", "updated_at")
    list_select_related = ("session",)
    search_fields = ("title",)


@admin.register(StoryReport)
class StoryReportAdmin(ReadOnlyAdmin):
    list_display = ("story", "post", "role", "session", "created_at")
    list_filter = ("role",)
    list_select_related = ("story", "post", "session")


@admin.register(StoryVersion)
class StoryVersionAdmin(ReadOnlyAdmin):
    list_display = ("story", "number", "reason", "author", "created_at")
    list_select_related = ("story", "author")


@admin.register(Trend)
class TrendAdmin(ReadOnlyAdmin):
    list_display = ("label", "kind", "session", "posts", "told", "last_at")
    list_filter = ("kind",)
    list_select_related = ("session",)
    search_fields = ("label",)


@admin.register(TrendBucket)
class TrendBucketAdmin(ReadOnlyAdmin):
    list_display = ("trend", "size", "start", "posts", "engagement")
    list_filter = ("size",)
    list_select_related = ("trend",)


@admin.register(TrendPost)
class TrendPostAdmin(ReadOnlyAdmin):
    list_display = ("trend", "post", "session")
    list_select_related = ("trend", "post", "session")


@admin.register(BoardKeyword)
class BoardKeywordAdmin(ReadOnlyAdmin):
    list_display = ("text", "board", "session", "moved_at")
    list_filter = ("board",)
    list_select_related = ("session",)


@admin.register(Draft)
class DraftAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "session", "state", "phase", "turns", "version", "active_at", "note")
    list_filter = ("state", "phase", "style")
    list_select_related = ("session",)
    search_fields = ("title",)


@admin.register(DraftVersion)
class DraftVersionAdmin(ReadOnlyAdmin):
    list_display = ("draft", "number", "author", "user", "word_count", "reason", "created_at")
    list_filter = ("author",)
    list_select_related = ("draft", "user")


@admin.register(DraftMessage)
class DraftMessageAdmin(ReadOnlyAdmin):
    list_display = ("draft", "turn", "role", "kind", "created_at")
    list_filter = ("role", "kind")
    list_select_related = ("draft",)


@admin.register(Interest)
class InterestAdmin(ReadOnlyAdmin):
    list_display = ("text", "weight", "session", "created_at")
    list_filter = ("weight",)
    list_select_related = ("session",)
