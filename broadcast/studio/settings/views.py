"""Settings of the workspace: everybody signed in sees them, the staff changes them.

How stories are spread over all sessions of the workspace, for the staff.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from broadcast import distribution
from broadcast.studio.account.forms import ContextForm, RetentionForm
from broadcast.studio.sessions.forms import DefaultsForm
from broadcast.studio.settings.forms import GroupForm
from sessions_app import workspace
from sessions_app.errors import Forbidden, SmnbError
from sessions_app.web.http import SignedIn, refused, signed_in
from stories.models import SourceGroup
from stories.sources import groups


@require_safe
@signed_in
def settings(request: SignedIn) -> HttpResponse:
    return _page(request)


def _page(request: SignedIn, status: int = 200, **more: Any) -> HttpResponse:
    """The whole page; ``more`` holds the form that came back with errors."""
    shared = workspace.current()
    page = {
        "saved": request.GET.get("saved", ""),
        "defaults_form": DefaultsForm({}, initial=shared.defaults, auto_id="defaults_%s"),
        "retention_form": RetentionForm(instance=shared, auto_id="retention_%s"),
        "context_form": ContextForm(instance=shared, auto_id="context_%s"),
        "groups": _group_cards(),
        "group_form": GroupForm(auto_id="group_%s"),
    }
    return render(request, "studio/settings/page.html", page | more, status=status)


def _group_cards(wrong: tuple[int, GroupForm] | None = None) -> list[dict[str, Any]]:
    number, form = wrong or (0, None)
    return [
        {
            "group": group,
            "open": group.pk == number,
            "form": form if group.pk == number else _group_form(group),
        }
        for group in groups.every()
    ]


def _group_form(group: SourceGroup) -> GroupForm:
    said = {
        "name": group.name,
        "description": group.description,
        "sources": groups.lines_of(group),
    }
    return GroupForm(initial=said, auto_id=f"group{group.pk}_%s")


def _saved(section: str) -> HttpResponse:
    return redirect(f"/settings/?saved={section}#{section}")


def _refused(request: SignedIn, error: SmnbError) -> HttpResponse:
    if isinstance(error, Forbidden) and not request.htmx:
        return render(
            request, "studio/settings/refused.html", {"sentence": error.sentence}, status=403
        )
    return refused(request, error, "settings")


def _form_view(
    request: SignedIn, form: Any, store: Callable[[dict[str, Any]], object], section: str,
    place: Callable[[Any], dict[str, Any]],
) -> HttpResponse:  # fmt: skip
    """Store what a form says, or show the page with the form at its ``place`` and the reason."""
    try:
        workspace.require_staff(request.user)
    except Forbidden as error:
        return _refused(request, error)
    if form.is_valid():
        try:
            store(form.payload())
        except SmnbError as error:
            form.add_error(None, error.sentence)
        else:
            return _saved(section)
    return _page(request, 422, **place(form))


@require_POST
@signed_in
def defaults(request: SignedIn) -> HttpResponse:
    form = DefaultsForm({}, request.POST, auto_id="defaults_%s")
    return _form_view(
        request, form, lambda said: workspace.choose_defaults(request.user, said), "defaults",
        lambda wrong: {"defaults_form": wrong},
    )  # fmt: skip


@require_POST
@signed_in
def retention(request: SignedIn) -> HttpResponse:
    form = RetentionForm(request.POST, auto_id="retention_%s")
    return _form_view(
        request, form, lambda said: workspace.choose_retention(request.user, said), "retention",
        lambda wrong: {"retention_form": wrong},
    )  # fmt: skip


@require_POST
@signed_in
def context(request: SignedIn) -> HttpResponse:
    form = ContextForm(request.POST, auto_id="context_%s")
    return _form_view(
        request, form, lambda said: workspace.choose_context(request.user, said), "context",
        lambda wrong: {"context_form": wrong},
    )  # fmt: skip


@require_POST
@signed_in
def add_group(request: SignedIn) -> HttpResponse:
    form = GroupForm(request.POST, auto_id="group_%s")
    return _form_view(
        request, form, lambda said: groups.make(request.user, **said), "groups",
        lambda wrong: {"group_form": wrong},
    )  # fmt: skip


@require_POST
@signed_in
def change_group(request: SignedIn, group_id: int) -> HttpResponse:
    form = GroupForm(request.POST, auto_id=f"group{group_id}_%s")
    return _form_view(
        request, form, lambda said: groups.change(request.user, group_id, **said), "groups",
        lambda wrong: {"groups": _group_cards((group_id, wrong))},
    )  # fmt: skip


@require_POST
@signed_in
def move_group(request: SignedIn, group_id: int) -> HttpResponse:
    up = request.POST.get("direction") == "up"
    return _done(request, lambda: groups.move(request.user, group_id, up))


@require_POST
@signed_in
def remove_group(request: SignedIn, group_id: int) -> HttpResponse:
    return _done(request, lambda: groups.remove(request.user, group_id))


def _done(request: SignedIn, act: Callable[[], object]) -> HttpResponse:
    """Act, then show the groups as they are now."""
    try:
        act()
    except SmnbError as error:
        return _refused(request, error)
    if request.htmx:
        return render(request, "studio/settings/_groups.html", {"groups": _group_cards()})
    return redirect("/settings/#groups")


@require_safe
@signed_in
def spread(request: SignedIn) -> HttpResponse:
    try:
        found = distribution.for_staff(request.user)
    except Forbidden as error:
        return render(
            request, "studio/settings/refused.html", {"sentence": error.sentence}, status=403
        )
    return render(request, "studio/settings/stories.html", {"found": found})
