"""Admin pages of this app: read-only, as every change is a command."""

from __future__ import annotations

from typing import cast

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from sessions_app.background import isolation
from sessions_app.models import (
    AILink,
    AITransition,
    ApiToken,
    Archive,
    Artifact,
    AuditReport,
    Bucket,
    Chain,
    FailedWork,
    IdempotencyKey,
    Message,
    Participant,
    Preferences,
    SealedKey,
    Session,
    SessionEvent,
    SessionStats,
    Step,
    Tally,
    Workspace,
)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A read-only admin: rows can be viewed, not added, changed or deleted.

    An action that changes rows requires the permission "decide", that is the model's change
    permission: the form of a row stays read-only for users who have it too.
    """

    # Counting all rows of a large table takes too long.
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # Django calls this method for actions that declare the permission "decide".
    def has_decide_permission(self, request: HttpRequest) -> bool:
        codename = get_permission_codename("change", self.opts)
        return self.has_view_permission(request) and cast("User", request.user).has_perm(
            f"{self.opts.app_label}.{codename}"
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """Refuses an action that is not offered; Django would show the list without an error."""
        if set(request.POST.getlist("action")) - {"", *self.get_actions(request)}:
            raise PermissionDenied
        try:
            return super().changelist_view(request, extra_context)
        except (ValueError, OverflowError, DataError):
            # A parameter that the database cannot compare, such as owner=² or a number of 30 digits.
            self.message_user(request, "The filter is invalid.", messages.WARNING)
            return redirect(request.path)


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ("name", "owner", "status", "type", "visible", "created_at", "id")
    list_filter = ("status", "type", "visible")
    search_fields = ("name", "id")
    list_select_related = ("owner",)
    # The token gives access to the public page.
    exclude = ("watch_token",)


@admin.register(SessionStats)
class SessionStatsAdmin(ReadOnlyAdmin):
    list_display = ("session", "last_seq", "story_count", "input_tokens", "output_tokens", "queue")
    list_select_related = ("session",)


@admin.register(SessionEvent)
class SessionEventAdmin(ReadOnlyAdmin):
    list_display = ("session", "seq", "type", "at")
    list_filter = ("type",)
    list_select_related = ("session",)
    search_fields = ("session__id",)


@admin.register(Step)
class StepAdmin(ReadOnlyAdmin):
    list_display = (
        "kind",
        "subject",
        "session",
        "state",
        "due_at",
        "lease_until",
        "attempts",
        "last_error",
    )
    list_filter = ("state", "kind")
    list_select_related = ("session",)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = ("session", "role", "code", "text", "created_at")
    list_filter = ("role", "code")
    list_select_related = ("session",)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ("owner", "name", "last_four", "created_at", "last_used_at", "revoked_at")
    exclude = ("digest",)
    actions = ("revoke",)

    @admin.action(description="Revoke the chosen tokens", permissions=["decide"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        number = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        self.message_user(request, f"{number} tokens revoked.")


@admin.register(FailedWork)
class FailedWorkAdmin(ReadOnlyAdmin):
    list_display = ("rule", "unit", "tries", "error", "next_try_at", "about_session", "created_at")
    list_filter = ("rule",)
    actions = ("try_again",)

    @admin.action(description="Try the chosen work again", permissions=["decide"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[FailedWork]) -> None:
        number = isolation.try_again(queryset)
        self.message_user(request, f"{number} units of work are tried again now.")


@admin.register(AuditReport)
class AuditReportAdmin(ReadOnlyAdmin):
    list_display = ("day", "findings", "audits", "started_at", "finished_at")
    fields = ("day", "sentence", "found", "started_at", "finished_at")
    ordering = ("-day",)

    def found(self, report: AuditReport) -> str:
        """The findings, one a line."""
        return "\n".join(report.details) or "nothing"


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    list_display = ("owner", "key", "status", "created_at")


@admin.register(SealedKey)
class SealedKeyAdmin(ReadOnlyAdmin):
    list_display = ("owner", "service", "last_four", "set_at", "tested_at", "verdict")
    exclude = ("sealed",)


@admin.register(Preferences)
class PreferencesAdmin(ReadOnlyAdmin):
    list_display = ("user", "theme", "updated_at")
    list_select_related = ("user",)


@admin.register(Workspace)
class WorkspaceAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "keep_fine_days", "keep_answers_days", "keep_sounds_days")


@admin.register(Participant)
class ParticipantAdmin(ReadOnlyAdmin):
    list_display = ("session", "user", "last_active_at")
    list_select_related = ("session", "user")


@admin.register(Bucket)
class BucketAdmin(ReadOnlyAdmin):
    list_display = ("session", "size", "start", "story_count", "calls", "cost_lower", "cost_upper")
    list_filter = ("size",)
    list_select_related = ("session",)


@admin.register(Tally)
class TallyAdmin(ReadOnlyAdmin):
    list_display = ("session", "dimension", "key", "count", "cost_lower", "cost_upper")
    list_filter = ("dimension",)
    list_select_related = ("session",)


@admin.register(AILink)
class AILinkAdmin(ReadOnlyAdmin):
    list_display = (
        "session",
        "number",
        "source",
        "model",
        "tokens",
        "run_number",
        "provider_id",
        "created_at",
    )
    list_filter = ("source",)
    list_select_related = ("session",)
    search_fields = ("provider_id", "session__id")


@admin.register(AITransition)
class AITransitionAdmin(ReadOnlyAdmin):
    list_display = ("session", "old", "new", "source", "run_number", "created_at")
    list_filter = ("source",)
    list_select_related = ("session", "old", "new")


@admin.register(Archive)
class ArchiveAdmin(ReadOnlyAdmin):
    list_display = ("session", "kind", "first", "last", "count", "joined", "created_at")
    list_select_related = ("session",)
    # Binary data of up to some megabytes.
    exclude = ("packed",)


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    list_display = ("session", "category", "name", "bytes", "state", "created_at")
    list_filter = ("category", "state")
    list_select_related = ("session",)
    search_fields = ("name", "session__id")


@admin.register(Chain)
class ChainAdmin(ReadOnlyAdmin):
    list_display = ("session", "head", "base", "tokens", "operations")
    list_select_related = ("session", "head", "base")
