"""Admin: a window on the records. Read-mostly; whatever changes something is a command."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from sessions_app.models import (
    ApiToken,
    IdempotencyKey,
    Message,
    Session,
    SessionEvent,
    SessionStats,
    Step,
)


class Window(admin.ModelAdmin):  # type: ignore[type-arg]
    """Everything can be looked at, nothing added, changed or deleted."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Session)
class SessionAdmin(Window):
    list_display = ("name", "owner", "status", "type", "visible", "created_at", "id")
    list_filter = ("status", "type", "visible")
    search_fields = ("name", "id")
    list_select_related = ("owner",)
    exclude = ("watch_token",)


@admin.register(SessionStats)
class SessionStatsAdmin(Window):
    list_display = ("session", "last_seq", "story_count", "input_tokens", "output_tokens", "queue")
    list_select_related = ("session",)


@admin.register(SessionEvent)
class SessionEventAdmin(Window):
    list_display = ("session", "seq", "type", "at")
    list_filter = ("type",)
    list_select_related = ("session",)
    search_fields = ("session__id",)


@admin.register(Step)
class StepAdmin(Window):
    list_display = (
        "kind", "subject", "session", "state", "due_at", "lease_until", "attempts", "last_error",
    )  # fmt: skip
    list_filter = ("state", "kind")
    list_select_related = ("session",)


@admin.register(Message)
class MessageAdmin(Window):
    list_display = ("session", "role", "code", "text", "created_at")
    list_filter = ("role", "code")
    list_select_related = ("session",)


@admin.register(ApiToken)
class ApiTokenAdmin(Window):
    list_display = ("owner", "name", "last_four", "created_at", "last_used_at", "revoked_at")
    exclude = ("digest",)
    actions = ("revoke",)

    @admin.action(description="Revoke the chosen tokens", permissions=["view"])
    def revoke(self, request: HttpRequest, chosen: Any) -> None:
        number = chosen.filter(revoked_at=None).update(revoked_at=timezone.now())
        self.message_user(request, f"{number} tokens revoked.")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(Window):
    list_display = ("owner", "key", "status", "created_at")
