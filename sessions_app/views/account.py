"""User Settings: the theme, keys that are forgotten, tokens that end."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from sessions_app import keyring, preferences, tokens
from sessions_app.errors import SmnbError
from sessions_app.http import SignedIn, refused, signed_in


@require_POST
@signed_in
def theme(request: SignedIn) -> HttpResponse:
    """The theme of the form, or of the button in the bar (which only wants it kept: 204)."""
    try:
        preferences.choose_theme(request.user, request.POST.get("theme", ""))
    except SmnbError as error:
        return refused(request, error, "account")
    return HttpResponse(status=204) if request.htmx else redirect("/account/?saved=theme#theme")


@require_POST
@signed_in
def drop_key(request: SignedIn, service: str) -> HttpResponse:
    try:
        keyring.drop(request.user, service)
    except SmnbError as error:
        return refused(request, error, "account")
    return redirect("/account/?saved=keys#keys")


@require_POST
@signed_in
def revoke_token(request: SignedIn, bearer_id: int) -> HttpResponse:
    try:
        tokens.revoke(request.user, bearer_id)
    except SmnbError as error:
        return refused(request, error, "account")
    if request.htmx:
        page = {"tokens": tokens.valid(request.user), "swapped": True}
        return render(request, "account/_token_list.html", page)
    return redirect("/account/?saved=tokens#tokens")
