"""Sign-in, and User Settings: profile, password, provider keys, API tokens, defaults and theme."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe
from typing_extensions import TypedDict

from broadcast import webhook
from broadcast.studio.account.forms import KeyForm, PasswordForm, ProfileForm, ThemeForm, TokenForm
from broadcast.studio.sessions.forms import DefaultsForm
from sessions_app import api_tokens, credentials, preferences, rate_limits
from sessions_app.credentials import Service
from sessions_app.errors import SmnbError
from sessions_app.models import SealedKey
from sessions_app.web.http import SignedIn, post_only, refused, show_refusal, signed_in
from stories.llm import credentials as llm_credentials

# Per user and minute: a stolen session must not help to guess the password.
PASSWORD_TRIES = 10


class KeyCard(TypedDict):
    """The key of one service as the page shows it, without the key.

    ``shared`` tells whether the operator has a key of the service; ``open`` is true when the form
    came back with errors.
    """

    service: str
    label: str
    noun: str
    section: str  # of the page
    row: SealedKey | None
    shared: bool
    form: KeyForm
    open: bool


FRONT_DOORS = {"", "/", "/sessions/"}


class SignIn(LoginView):
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        # Read before the sign-in sets it.
        first = form.get_user().last_login is None
        response = super().form_valid(form)
        # From the front door a new user comes to the guided start; a link to a page leads there.
        if first and self.get_redirect_url() in FRONT_DOORS:
            response = redirect("start")
        rate_limits.remember_browser(response, form.get_user().get_username())
        return response


def locked(request: HttpRequest, *_: object) -> HttpResponse:
    """Returns the page of a locked sign-in, with the time that is left."""
    lock = AxesProxyHandler.get_implementation()
    credentials = getattr(request, "axes_credentials", None)
    of_address = getattr(request, "smnb_address_locked_for", 0)
    seconds = max(1, of_address, lock.locked_for(request, credentials))
    page = {
        "until": timezone.now() + timedelta(seconds=seconds),
        "left": f"{seconds // 60}:{seconds % 60:02}",
    }
    response = render(request, "studio/account/locked.html", page, status=429)
    response["Retry-After"] = str(seconds)
    return response


@require_safe
@signed_in
# The browser's "back" must not show keys and tokens after signing out.
@never_cache
def account(request: SignedIn) -> HttpResponse:
    return _page(request)


def _page(request: SignedIn, status: int = 200, **replaced: object) -> HttpResponse:
    """Renders the page; ``replaced`` holds a form with errors, or a new token."""
    user = request.user
    own = preferences.of(user)
    page = {
        "saved": request.GET.get("saved", ""),
        "profile_form": ProfileForm(
            instance=user, auto_id="profile_%s", initial={"byline": own.byline}
        ),
        "password_form": PasswordForm(user, auto_id="password_%s"),
        "theme_form": ThemeForm(own),
        "defaults_form": _defaults_form(own.defaults),
        "keys": _key_cards(user),
        "needs_sound": own.needs_sound,
        "tokens": api_tokens.valid(user),
        "token_form": TokenForm(auto_id="token_%s"),
    }
    return render(request, "studio/account/page.html", page | replaced, status=status)


def _saved(section: str) -> HttpResponse:
    return redirect(f"/account/?saved={section}#{section}")


def _defaults_form(initial: Mapping[str, object], data: QueryDict | None = None) -> DefaultsForm:
    inherited = preferences.workspace().defaults
    return DefaultsForm(inherited, data, initial=initial, auto_id="defaults_%s")


def _key_cards(user: User, failed: KeyForm | None = None) -> list[KeyCard]:
    """A card for each service; ``failed`` is a form that came back with errors."""
    keys, env = credentials.by_service(user), settings.SMNB
    shared = {
        Service.ANTHROPIC: bool(env.anthropic_api_key.get_secret_value()),
        Service.REDDIT: bool(env.reddit_client_id and env.reddit_client_secret.get_secret_value()),
        Service.WEBHOOK: False,
    }
    return [
        {
            "service": service.value,
            "label": service.label,
            "noun": "address" if service == Service.WEBHOOK else "key",
            "section": section_of(service),
            "row": keys.get(service),
            "shared": shared[service],
            "form": failed if failed and failed.service == service else KeyForm(service),
            "open": failed is not None and failed.service == service,
        }
        for service in Service
    ]


def section_of(service: str) -> str:
    return "attention" if service == Service.WEBHOOK else "keys"


@post_only
@signed_in
def profile(request: SignedIn) -> HttpResponse:
    # A form changes its instance, so it gets a copy; the page shows the stored profile.
    copy = preferences.copy_of(request.user)
    form = ProfileForm(request.POST, instance=copy, auto_id="profile_%s")
    if not form.is_valid():
        return _page(request, 422, profile_form=form)
    preferences.rename(request.user, **form.payload())
    return _saved("profile")


@sensitive_post_parameters()
@post_only
@signed_in
def password(request: SignedIn) -> HttpResponse:
    """Changes the password. Other browsers of the user are signed out."""
    try:
        rate_limits.count("password changes", request.user.pk, PASSWORD_TRIES)
    except SmnbError as error:
        return refused(request, error, "account")
    form = PasswordForm(request.user, request.POST, auto_id="password_%s")
    if not form.is_valid():
        return _page(request, 422, password_form=form)
    # Changing the password ends all logins; this keeps that of the present browser.
    update_session_auth_hash(request, form.save())
    return _saved("password")


@post_only
@signed_in
def defaults(request: SignedIn) -> HttpResponse:
    form = _defaults_form({}, request.POST)
    if not form.is_valid():
        return _page(request, 422, defaults_form=form)
    try:
        preferences.choose_defaults(request.user, form.payload())
    except SmnbError as error:
        show_refusal(form, error)
        return _page(request, 422, defaults_form=form)
    return _saved("defaults")


@sensitive_post_parameters()
@post_only
@signed_in
def save_key(request: SignedIn, service: str) -> HttpResponse:
    if service not in Service:
        return HttpResponse(status=404)
    form = KeyForm(service, request.POST)
    if form.is_valid():
        try:
            credentials.save(request.user, service, form.cleaned_data)
        except SmnbError as error:
            show_refusal(form, error)
        else:
            return _saved(section_of(service))
    return _page(request, 422, keys=_key_cards(request.user, form))


@post_only
@signed_in
def test_key(request: SignedIn, service: str) -> HttpResponse:
    """Tests a key with its service; the page shows the result beside the key."""
    try:
        if service == Service.WEBHOOK:
            rate_limits.count("key tests", request.user.pk, llm_credentials.MOST_TESTS)
            webhook.send_test(request.user)
        else:
            llm_credentials.check_key(request.user, service)
    except SmnbError as error:
        return refused(request, error, "account")
    if request.htmx:
        [card] = [card for card in _key_cards(request.user) if card["service"] == service]
        return render(request, "studio/account/_key.html", {"key": card})
    return redirect(f"/account/#{section_of(service)}")


@post_only
@signed_in
# The response contains the token, which no cache may store.
@never_cache
def create_token(request: SignedIn) -> HttpResponse:
    """Creates a token and shows it in this response only; the database stores its hash."""
    form = TokenForm(request.POST, auto_id="token_%s")
    if form.is_valid():
        try:
            token = api_tokens.named(request.user, form.cleaned_data["name"])
        except SmnbError as error:
            show_refusal(form, error)
        else:
            return _page(request, 201, new_token=token)
    return _page(request, 422, token_form=form)


@post_only
@signed_in
def theme(request: SignedIn) -> HttpResponse:
    """Stores the theme of the form, or of the button in the bar, which needs no page (204)."""
    try:
        preferences.choose_theme(request.user, request.POST.get("theme", ""))
    except SmnbError as error:
        return refused(request, error, "account")
    return HttpResponse(status=204) if request.htmx else redirect("/account/?saved=theme#theme")


@post_only
@signed_in
def needs(request: SignedIn) -> HttpResponse:
    """Stores whether a sound is played when something new needs the user."""
    preferences.choose_needs_sound(request.user, on="sound" in request.POST)
    return _saved("attention")


@post_only
@signed_in
def delete_key(request: SignedIn, service: str) -> HttpResponse:
    try:
        credentials.delete(request.user, service)
    except SmnbError as error:
        return refused(request, error, "account")
    return _saved(section_of(service))


@post_only
@signed_in
def revoke_token(request: SignedIn, bearer_id: int) -> HttpResponse:
    try:
        api_tokens.revoke(request.user, bearer_id)
    except SmnbError as error:
        return refused(request, error, "account")
    if request.htmx:
        page = {"tokens": api_tokens.valid(request.user), "swapped": True}
        return render(request, "studio/account/_token_list.html", page)
    return redirect("/account/?saved=tokens#tokens")
