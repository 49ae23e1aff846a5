"""The desk of orphans in the admin: groups with likely sessions, decisions in bulk, and back again."""

from __future__ import annotations

from typing import Any
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
from stories.models import QuarantineDecision, QuarantinedRecord
from stories.quarantine import decisions, groups
from stories.quarantine.decisions import Act

GROUPS = "admin:stories_quarantine_groups"
TEMPLATES = "admin/stories/quarantinedrecord"
MOST_REFUSED = 5


class AdoptForm(forms.Form):
    session = forms.ModelChoiceField(Session.objects.order_by("-created_at"))


@admin.register(QuarantinedRecord)
class QuarantinedRecordAdmin(ReadOnlyAdmin):
    """Orphans: seen in groups by old string and reason, adopted or discarded in bulk."""

    list_display = (
        "kind", "old_session", "old_id", "reason", "at", "state", "place", "adopted_by",
    )  # fmt: skip
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
        """What waits, by old session string and reason, and what was decided lately."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        number = min(int(asked), 10_000) if (asked := request.GET.get("page", "")).isdigit() else 0
        rows, more = groups.page(number)
        page = {
            "rows": rows, "page": number, "more": more, "acts": groups.acts(),
            "may_decide": self.has_decide_permission(request), "title": "Orphans by group",
        }  # fmt: skip
        return self._page(request, "groups", page)

    def group(self, request: SignedIn) -> HttpResponse:
        """One group: what it holds, where it may belong, and the decision about all of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = {name: request.GET.get(name, "") for name in groups.KEYS}
        try:
            group = groups.one(key)
        except NotFound as error:
            self.message_user(request, error.sentence, messages.WARNING)
            return redirect(GROUPS)
        if request.method == "POST":
            return self._decide(request, key)
        page = {
            "group": group, "samples": groups.samples(key),
            "may_decide": self.has_decide_permission(request), "most": decisions.MOST,
            "title": "A group of orphans",
        }  # fmt: skip
        return self._page(request, "group", page)

    def _decide(self, request: SignedIn, key: dict[str, str]) -> HttpResponse:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        records = groups.records(key)
        if request.POST.get("action") == "discard":
            self._tell(request, decisions.discard_all(records, request.user), "discarded")
        else:
            named = request.POST.get("other", "").strip() or request.POST.get("session", "")
            try:
                session = groups.session_named(named)
            except NotFound as error:
                self.message_user(request, error.sentence, messages.ERROR)
                return redirect(request.get_full_path())
            act = decisions.adopt_all(records, session, request.user)
            self._tell(request, act, f"adopted into “{session.name}”")
        return redirect(GROUPS)

    def undo_act(self, request: SignedIn, act: UUID) -> HttpResponse:
        """Take an act back."""
        if request.method != "POST" or not self.has_decide_permission(request):
            raise PermissionDenied
        self._tell(request, decisions.undo(act, request.user), "back in quarantine")
        return redirect(GROUPS)

    def _tell(self, request: HttpRequest, act: Act, what: str) -> None:
        for sentence in act.refused[:MOST_REFUSED]:
            self.message_user(request, sentence, messages.WARNING)
        if (more := len(act.refused) - MOST_REFUSED) > 0:
            self.message_user(request, f"{more} more were refused.", messages.WARNING)
        self.message_user(request, f"{act.done} records {what}.")

    def _page(self, request: HttpRequest, name: str, page: dict[str, Any]) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, **page}
        return TemplateResponse(request, f"{TEMPLATES}/{name}.html", context)

    @admin.action(description="Adopt into a session…", permissions=["decide"])
    def adopt(self, request: SignedIn, chosen: QuerySet[QuarantinedRecord]) -> HttpResponse | None:
        form = AdoptForm(request.POST if "session" in request.POST else None)
        if not form.is_valid():
            page = {
                "form": form, "chosen": chosen, "checkbox": ACTION_CHECKBOX_NAME,
                "title": "Adopt records into a session",
            }  # fmt: skip
            return self._page(request, "adopt", page)
        session = form.cleaned_data["session"]
        self._each(
            request, chosen, "adopted", lambda one: decisions.adopt(one, session, request.user)
        )
        return redirect(reverse("admin:stories_quarantinedrecord_changelist"))

    @admin.action(description="Discard the chosen records", permissions=["decide"])
    def discard(self, request: SignedIn, chosen: QuerySet[QuarantinedRecord]) -> None:
        self._each(request, chosen, "discarded", lambda one: decisions.discard(one, request.user))

    @admin.action(description="Put the chosen back into quarantine", permissions=["decide"])
    def undo(self, request: SignedIn, chosen: QuerySet[QuarantinedRecord]) -> None:
        self._tell(request, decisions.undo_all(chosen, request.user), "back in quarantine")

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
class QuarantineDecisionAdmin(ReadOnlyAdmin):
    list_display = ("record", "action", "actor", "to", "at", "act")
    list_filter = ("action",)
    list_select_related = ("record", "actor", "to")
