"""Settings of the workspace: every user can read them, only staff can change them."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.forms import BaseForm
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from typing_extensions import TypedDict

from broadcast import figures
from broadcast.studio.sessions.forms import DefaultsForm
from sessions_app import preferences
from sessions_app.errors import Forbidden, SmnbError
from sessions_app.models import Workspace
from sessions_app.web.http import SignedIn, post_only, refused, show_refusal, signed_in
from stories.models import SourceGroup
from stories.sources import groups, pasted


class GroupForm(forms.Form):
    """A source group; the domain checks the lines."""

    name = forms.CharField(max_length=groups.LONGEST_NAME)
    description = forms.CharField(max_length=groups.LONGEST_DESCRIPTION, required=False)
    sources = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=pasted.ACCEPTED,
    )

    def payload(self) -> dict[str, str]:
        data = self.cleaned_data
        return {
            "name": data["name"],
            "description": data["description"],
            "lines": data["sources"],
        }


class WorkspaceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Some numbers of the workspace."""

    def payload(self) -> dict[str, int]:
        return dict(self.cleaned_data)


class RetentionForm(WorkspaceForm):
    """How long data is retained, and the quota of artifacts."""

    class Meta:
        model = Workspace
        # The domain names the fields, because it checks them again when it stores them.
        fields = preferences.RETENTION_FIELDS
        labels = {
            "keep_fine_days": "Fine figures, days",
            "keep_answers_days": "API answers, days",
            "keep_sounds_days": "Sounds of stories, days",
            "keep_transitions_days": "Transitions of AI chains, days",
            "keep_events_days": "Events of sessions, days",
            "artifact_quota_mb": "Artifacts of a session, MB",
        }
        help_texts = {
            "keep_fine_days": "Figures by 1 and 5 minutes. Those by 15 and 60 minutes stay.",
            "keep_answers_days": "During this time a repeated request gets its first answer.",
            "keep_sounds_days": "Sounds of single stories. Episodes stay.",
            "keep_transitions_days": "Older ones move to an archive; the API lists both.",
            "keep_events_days": "Older ones move to an archive; every page reads both.",
            "artifact_quota_mb": "10 to 1,000,000 MB. Files that exceed it are refused; "
            "existing files stay.",
        }


class ContextForm(WorkspaceForm):
    """When the context of models is summed up or reset, and when idle drafts expire."""

    class Meta:
        model = Workspace
        fields = preferences.CONTEXT_FIELDS
        labels = {
            "compact_tokens": "Compact after, tokens",
            "reset_operations": "Reset after, operations",
            "draft_idle_minutes": "Drafts expire after, minutes",
        }
        help_texts = {
            "compact_tokens": "500 to 100,000 tokens of context. A summary then replaces them.",
            "reset_operations": "10 to 100,000 operations of a session. Its context is then empty.",
            "draft_idle_minutes": "5 to 43,200 minutes without activity. Finished texts stay.",
        }


class GroupCard(TypedDict):
    """A source group with its form; ``open`` when the form came back with errors."""

    group: SourceGroup
    open: bool
    form: GroupForm


@require_safe
@signed_in
def settings(request: SignedIn) -> HttpResponse:
    return _page(request)


def _page(request: SignedIn, status: int = 200, **forms: object) -> HttpResponse:
    """Renders the page; ``forms`` replace those that show stored values."""
    shared = preferences.workspace()
    page = {
        "saved": request.GET.get("saved", ""),
        "locked": not request.user.has_perm("sessions_app.change_workspace"),
        "defaults_form": DefaultsForm({}, initial=shared.defaults, auto_id="defaults_%s"),
        "retention_form": RetentionForm(instance=shared, auto_id="retention_%s"),
        "context_form": ContextForm(instance=shared, auto_id="context_%s"),
        "groups": _group_cards(),
        "group_form": GroupForm(auto_id="group_%s"),
    }
    return render(request, "studio/settings/page.html", page | forms, status=status)


def _group_cards(group_id: int | None = None, form: GroupForm | None = None) -> list[GroupCard]:
    """All source groups with their forms; the form of ``group_id`` is ``form``."""
    cards: list[GroupCard] = []
    for group in groups.every():
        if form is not None and group.pk == group_id:
            cards.append({"group": group, "open": True, "form": form})
            continue
        stored = {
            "name": group.name,
            "description": group.description,
            "sources": groups.lines_of(group),
        }
        # Each form of the page needs ids of its own for its labels.
        stored_form = GroupForm(initial=stored, auto_id=f"group{group.pk}_%s")
        cards.append({"group": group, "open": False, "form": stored_form})
    return cards


def _refused(request: SignedIn, error: SmnbError) -> HttpResponse:
    if isinstance(error, Forbidden) and not request.htmx:
        page = {"sentence": error.sentence}
        return render(request, "studio/settings/refused.html", page, status=403)
    return refused(request, error, "settings")


def _submit(
    request: SignedIn, form: BaseForm, store: Callable[[], object], section: str
) -> HttpResponse | None:
    """Stores a valid form for staff; returns None if the page must show the form's errors."""
    try:
        # Before the form is checked: other users get the refusal, not the errors of the form.
        preferences.require_staff(request.user)
    except Forbidden as error:
        return _refused(request, error)
    if not form.is_valid():
        return None
    try:
        store()
    except SmnbError as error:
        show_refusal(form, error)
        return None
    return redirect(f"/settings/?saved={section}#{section}")


@post_only
@signed_in
def defaults(request: SignedIn) -> HttpResponse:
    form = DefaultsForm({}, request.POST, auto_id="defaults_%s")

    def store() -> object:
        return preferences.choose_workspace_defaults(request.user, form.payload())

    return _submit(request, form, store, "defaults") or _page(request, 422, defaults_form=form)


@post_only
@signed_in
def retention(request: SignedIn) -> HttpResponse:
    form = RetentionForm(request.POST, auto_id="retention_%s")

    def store() -> object:
        return preferences.choose_retention(request.user, form.payload())

    return _submit(request, form, store, "retention") or _page(request, 422, retention_form=form)


@post_only
@signed_in
def context(request: SignedIn) -> HttpResponse:
    form = ContextForm(request.POST, auto_id="context_%s")

    def store() -> object:
        return preferences.choose_context(request.user, form.payload())

    return _submit(request, form, store, "context") or _page(request, 422, context_form=form)


@post_only
@signed_in
def add_group(request: SignedIn) -> HttpResponse:
    form = GroupForm(request.POST, auto_id="group_%s")

    def store() -> object:
        return groups.make(request.user, **form.payload())

    return _submit(request, form, store, "groups") or _page(request, 422, group_form=form)


@post_only
@signed_in
def change_group(request: SignedIn, group_id: int) -> HttpResponse:
    form = GroupForm(request.POST, auto_id=f"group{group_id}_%s")

    def store() -> object:
        return groups.change(request.user, group_id, **form.payload())

    # The form that failed is shown open in the card of its group.
    response = _submit(request, form, store, "groups")
    return response or _page(request, 422, groups=_group_cards(group_id, form))


@post_only
@signed_in
def move_group(request: SignedIn, group_id: int) -> HttpResponse:
    up = request.POST.get("direction") == "up"
    return _change_groups(request, lambda: groups.move(request.user, group_id, up))


@post_only
@signed_in
def remove_group(request: SignedIn, group_id: int) -> HttpResponse:
    return _change_groups(request, lambda: groups.remove(request.user, group_id))


def _change_groups(request: SignedIn, change: Callable[[], object]) -> HttpResponse:
    """Changes the source groups and shows them."""
    try:
        change()
    except SmnbError as error:
        return _refused(request, error)
    if request.htmx:
        return render(request, "studio/settings/_groups.html", {"groups": _group_cards()})
    return redirect("/settings/#groups")


@require_safe
@signed_in
def spread(request: SignedIn) -> HttpResponse:
    """How stories are distributed over all sessions of the workspace; for staff."""
    try:
        page = {"distribution": figures.distribution_for_staff(request.user)}
    except Forbidden as error:
        return _refused(request, error)
    return render(request, "studio/settings/stories.html", page)
