"""Admin of stories: read-only pages, and decisions about quarantined records in bulk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from sessions_app.admin import ReadOnlyAdmin
from sessions_app.errors import NotFound, SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn
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
    StoryReport,
    StoryThread,
    StoryVersion,
    TokenUsage,
    Trend,
    TrendBucket,
    TrendPost,
)
from stories.quarantine import decisions, groups
from stories.quarantine.decisions import Outcome

GROUPS = "admin:stories_quarantine_groups"
TEMPLATES = "admin/stories/quarantinedrecord"
MOST_REFUSED = 5


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


class AdoptForm(forms.Form):
    session = forms.ModelChoiceField(Session.objects.order_by("-created_at"))


@admin.register(QuarantinedRecord)
class QuarantinedRecordAdmin(ReadOnlyAdmin):
    """Lists quarantined records, singly and in groups, and adopts or discards them in bulk."""

    list_display = (
        "kind",
        "old_session",
        "old_id",
        "reason",
        "at",
        "state",
        "place",
        "adopted_by",
    )
    list_filter = ("state", "kind", "reason")
    list_select_related = ("adopted_by",)
    search_fields = ("old_session", "old_id", "reason")
    actions = ("adopt", "discard", "undo")
    change_list_template = "admin/stories/quarantinedrecord/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("groups/", view(self.groups), name="stories_quarantine_groups"),
            path("group/", view(self.group), name="stories_quarantine_group"),
            path("undo/<uuid:act>/", view(self.undo_act), name="stories_quarantine_undo"),
            *super().get_urls(),
        ]

    def groups(self, request: HttpRequest) -> HttpResponse:
        """Shows the groups of waiting records and the recent decisions."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        text = request.GET.get("page", "")
        # A larger number would be an offset that the database cannot take.
        number = (
            min(int(text), 10_000) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        )
        rows, more = groups.page(number)
        page = {
            "rows": rows,
            "page": number,
            "more": more,
            "acts": groups.acts(),
            "may_decide": self.has_decide_permission(request),
            "title": "Orphans by group",
        }
        return self._page(request, "groups", page)

    def group(self, request: SignedIn) -> HttpResponse:
        """Shows one group with its likely sessions; POST decides about all of its records."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = {name: request.GET.get(name, "") for name in groups.KEYS}
        try:
            group = groups.one(key)
        except NotFound as error:
            self.message_user(request, error.sentence, messages.WARNING)
            return redirect(GROUPS)
        if request.method == "POST":
            return self.decide_group(request, key)
        page = {
            "group": group,
            "samples": groups.samples(key),
            "may_decide": self.has_decide_permission(request),
            "most": decisions.MOST,
            "title": "A group of orphans",
        }
        return self._page(request, "group", page)

    def decide_group(self, request: SignedIn, key: Mapping[str, str]) -> HttpResponse:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        records = groups.records(key)
        if request.POST.get("action") == "discard":
            self._report(request, decisions.discard_all(records, request.user), "discarded")
            return redirect(GROUPS)
        # A session that is typed takes precedence over the selected one.
        name = request.POST.get("other", "").strip() or request.POST.get("session", "")
        try:
            session = groups.session_named(name)
        except NotFound as error:
            self.message_user(request, error.sentence, messages.ERROR)
            return redirect(request.get_full_path())
        outcome = decisions.adopt_all(records, session, request.user)
        self._report(request, outcome, f"adopted into “{session.name}”")
        return redirect(GROUPS)

    def undo_act(self, request: SignedIn, act: UUID) -> HttpResponse:
        """Undoes an act."""
        if request.method != "POST" or not self.has_decide_permission(request):
            raise PermissionDenied
        self._report(request, decisions.undo(act, request.user), "back in quarantine")
        return redirect(GROUPS)

    def _report(self, request: HttpRequest, outcome: Outcome, result: str) -> None:
        for sentence in outcome.refused[:MOST_REFUSED]:
            self.message_user(request, sentence, messages.WARNING)
        if (more := len(outcome.refused) - MOST_REFUSED) > 0:
            self.message_user(request, f"{more} more were refused.", messages.WARNING)
        self.message_user(request, f"{outcome.done} records {result}.")

    def _page(self, request: HttpRequest, name: str, page: Mapping[str, object]) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, **page}
        return TemplateResponse(request, f"{TEMPLATES}/{name}.html", context)

    @admin.action(description="Adopt into a session…", permissions=["decide"])
    def adopt(self, request: SignedIn, chosen: QuerySet[QuarantinedRecord]) -> HttpResponse | None:
        form = AdoptForm(request.POST if "session" in request.POST else None)
        # The first request has no session yet: it shows the form, which sends the same action
        # again.
        if not form.is_valid():
            page = {
                "form": form,
                "chosen": chosen,
                "checkbox": ACTION_CHECKBOX_NAME,
                "title": "Adopt records into a session",
            }
            return self._page(request, "adopt", page)
        session = form.cleaned_data["session"]
        self._decide_each(
            request,
            chosen,
            "adopted",
            lambda record: decisions.adopt(record, session, request.user),
        )
        return redirect(reverse("admin:stories_quarantinedrecord_changelist"))

    @admin.action(description="Discard selected records", permissions=["decide"])
    def discard(self, request: SignedIn, chosen: QuerySet[QuarantinedRecord]) -> None:
        self._decide_each(
            request, chosen, "discarded", lambda record: decisions.discard(record, request.user)
        )

    @admin.action(description="Return selected records to quarantine", permissions=["decide"])
    def undo(self, request: SignedIn, chosen: QuerySet[QuarantinedRecord]) -> None:
        self._report(request, decisions.undo_all(chosen, request.user), "back in quarantine")

    def _decide_each(
        self,
        request: SignedIn,
        chosen: QuerySet[QuarantinedRecord],
        result: str,
        decide: Callable[[QuarantinedRecord], object],
    ) -> None:
        """Decides about each record in a transaction of its own, and logs it in the admin."""
        done = 0
        # One transaction for each, so that a record which is refused does not undo the others.
        for record in chosen:
            try:
                decide(record)
            except SmnbError as error:
                self.message_user(request, error.sentence, messages.WARNING)
            else:
                done += 1
                self.log_change(request, record, f"{result} in bulk")
        self.message_user(request, f"{done} records {result}.")


@admin.register(QuarantineDecision)
class QuarantineDecisionAdmin(ReadOnlyAdmin):
    list_display = ("record", "action", "actor", "to", "at", "act")
    list_filter = ("action",)
    list_select_related = ("record", "actor", "to")
