"""Admin of stories: windows, and the desk where quarantined records are decided on."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from sessions_app.admin import Window
from sessions_app.errors import SmnbError
from sessions_app.http import SignedIn
from sessions_app.models import Session
from stories import decisions
from stories.models import (
    BoardKeyword,
    Draft,
    DraftMessage,
    DraftVersion,
    Interest,
    QuarantineDecision,
    QuarantinedRecord,
    Source,
    SourceGroup,
    SourcePost,
    Story,
    StoryThread,
    StoryVersion,
    TokenUsage,
    Trend,
    TrendBucket,
    TrendPost,
)


@admin.register(Source)
class SourceAdmin(Window):
    list_display = ("locator", "kind", "session", "enabled", "health", "note", "paused_until")
    list_filter = ("kind", "health", "enabled")
    list_select_related = ("session",)


@admin.register(SourcePost)
class SourcePostAdmin(Window):
    list_display = ("title", "session", "source", "state", "label", "priority", "reason")
    list_filter = ("state", "label")
    list_select_related = ("session", "source")
    search_fields = ("title",)


@admin.register(Story)
class StoryAdmin(Window):
    list_display = ("title", "session", "origin", "state", "tone", "priority", "created_at")
    list_filter = ("origin", "state", "tone")
    list_select_related = ("session",)
    search_fields = ("title",)


@admin.register(TokenUsage)
class TokenUsageAdmin(Window):
    list_display = (
        "session", "operation", "model", "state", "input_tokens", "output_tokens", "cost_lower",
        "cost_upper", "error",
    )  # fmt: skip
    list_filter = ("state", "model", "operation")
    list_select_related = ("session",)


@admin.register(SourceGroup)
class SourceGroupAdmin(Window):
    list_display = ("name", "description", "position")


@admin.register(StoryThread)
class StoryThreadAdmin(Window):
    list_display = ("title", "session", "story_count", "updated_at")
    list_select_related = ("session",)
    search_fields = ("title",)


@admin.register(StoryVersion)
class StoryVersionAdmin(Window):
    list_display = ("story", "number", "reason", "author", "created_at")
    list_select_related = ("story", "author")


@admin.register(Trend)
class TrendAdmin(Window):
    list_display = ("label", "kind", "session", "posts", "told", "last_at")
    list_filter = ("kind",)
    list_select_related = ("session",)
    search_fields = ("label",)


@admin.register(TrendBucket)
class TrendBucketAdmin(Window):
    list_display = ("trend", "size", "start", "posts", "engagement")
    list_filter = ("size",)
    list_select_related = ("trend",)


@admin.register(TrendPost)
class TrendPostAdmin(Window):
    list_display = ("trend", "post", "session")
    list_select_related = ("trend", "post", "session")


@admin.register(BoardKeyword)
class BoardKeywordAdmin(Window):
    list_display = ("text", "board", "session", "moved_at")
    list_filter = ("board",)
    list_select_related = ("session",)


@admin.register(Draft)
class DraftAdmin(Window):
    list_display = ("__str__", "session", "state", "phase", "turns", "version", "active_at", "note")
    list_filter = ("state", "phase", "style")
    list_select_related = ("session",)
    search_fields = ("title",)


@admin.register(DraftVersion)
class DraftVersionAdmin(Window):
    list_display = ("draft", "number", "author", "user", "word_count", "reason", "created_at")
    list_filter = ("author",)
    list_select_related = ("draft", "user")


@admin.register(DraftMessage)
class DraftMessageAdmin(Window):
    list_display = ("draft", "turn", "role", "kind", "created_at")
    list_filter = ("role", "kind")
    list_select_related = ("draft",)


@admin.register(Interest)
class InterestAdmin(Window):
    list_display = ("text", "weight", "session", "created_at")
    list_filter = ("weight",)
    list_select_related = ("session",)


class AdoptForm(forms.Form):
    session = forms.ModelChoiceField(Session.objects.order_by("-created_at"))


@admin.register(QuarantinedRecord)
class QuarantinedRecordAdmin(Window):
    """Orphans: seen in groups by old string and reason, adopted or discarded in bulk."""

    list_display = ("kind", "old_session", "old_id", "reason", "state", "created_at", "adopted_by")
    list_filter = ("state", "kind", "reason")
    list_select_related = ("adopted_by",)
    search_fields = ("old_session", "old_id", "reason")
    actions = ("adopt", "discard")
    change_list_template = "admin/stories/quarantinedrecord/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        groups = path(
            "groups/", self.admin_site.admin_view(self.groups), name="stories_quarantine_groups"
        )
        return [groups, *super().get_urls()]

    def groups(self, request: HttpRequest) -> HttpResponse:
        """What waits, by old session string and reason."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        waiting = QuarantinedRecord.objects.filter(state=QuarantinedRecord.State.WAITING)
        rows = (
            waiting.values("old_session", "reason", "kind")
            .annotate(number=Count("pk"), first=Min("created_at"), last=Max("created_at"))
            .order_by("-number")
        )
        page = {**self.admin_site.each_context(request), "rows": rows, "title": "Orphans by group"}
        return TemplateResponse(request, "admin/stories/quarantinedrecord/groups.html", page)

    @admin.action(description="Adopt into a session…", permissions=["decide"])
    def adopt(self, request: SignedIn, chosen: QuerySet[QuarantinedRecord]) -> HttpResponse | None:
        form = AdoptForm(request.POST if "session" in request.POST else None)
        if not form.is_valid():
            page = {
                **self.admin_site.each_context(request),
                "form": form,
                "chosen": chosen,
                "checkbox": ACTION_CHECKBOX_NAME,
                "title": "Adopt records into a session",
            }
            return TemplateResponse(request, "admin/stories/quarantinedrecord/adopt.html", page)
        session = form.cleaned_data["session"]
        self._each(
            request, chosen, "adopted", lambda one: decisions.adopt(one, session, request.user)
        )
        return redirect(reverse("admin:stories_quarantinedrecord_changelist"))

    @admin.action(description="Discard the chosen records", permissions=["decide"])
    def discard(self, request: SignedIn, chosen: QuerySet[QuarantinedRecord]) -> None:
        self._each(request, chosen, "discarded", lambda one: decisions.discard(one, request.user))

    def _each(
        self, request: SignedIn, chosen: QuerySet[QuarantinedRecord], what: str, decide: Any
    ) -> None:
        done = 0
        for record in chosen:
            try:
                decide(record)
            except SmnbError as error:
                self.message_user(request, error.sentence, messages.WARNING)
            else:
                done += 1
                self.log_change(request, record, f"{what} in bulk")
        self.message_user(request, f"{done} records {what}.")


@admin.register(QuarantineDecision)
class QuarantineDecisionAdmin(Window):
    list_display = ("record", "action", "actor", "to", "at")
    list_filter = ("action",)
    list_select_related = ("record", "actor", "to")
