"""The guided start: topics, voice and keys in one form, and then a session of one's own on air."""

from __future__ import annotations

from typing import cast

from django import forms
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe

from broadcast import session_commands
from broadcast.models import Broadcast
from broadcast.narrators.extractive import ExtractiveNarrator
from broadcast.speech import engines, recorder
from broadcast.speech.engines import Unspoken
from broadcast.states import State
from broadcast.studio.sessions.forms import SourcesField
from sessions_app import commands, credentials, preferences, rate_limits
from sessions_app.credentials import Service
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, once, post_only, show_refusal, signed_in, status_of
from stories.llm import EXTRACTIVE
from stories.llm.credentials import has_model_key
from stories.models import SourceGroup
from stories.posts.queue import digest
from stories.sources import groups, preview
from stories.sources.recording import RecordingSource
from stories.sources.registry import Line, Named, named
from stories.types import Brief, FetchedPost

CHECKED_MOST = 8  # of the sources that the preview lists
REMEMBERED = 600  # seconds


class StartForm(forms.Form):
    """What a first session needs; everything but a source has a value already."""

    groups = forms.MultipleChoiceField(
        required=False, label="Topics", widget=forms.CheckboxSelectMultiple
    )
    sources = SourcesField(required=False, label="Or paste your own")
    personality = forms.ChoiceField(
        choices=Session.Personality.choices,
        initial=Session.Personality.CONVERSATIONAL,
        widget=forms.RadioSelect,
    )
    verbosity = forms.ChoiceField(
        choices=Session.Verbosity.choices, initial=Session.Verbosity.DETAILED, label="Length"
    )
    language = forms.CharField(
        initial="en",
        min_length=preferences.SHORTEST_LANGUAGE,
        max_length=35,
        help_text="The language of your sources: en, de, pt-BR …",
    )
    api_key = forms.CharField(
        required=False,
        max_length=500,
        label="Anthropic API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "placeholder": " "}),
        help_text="Stored encrypted, used for your sessions only, and never shown again.",
    )
    name = forms.CharField(max_length=120, initial="My newsroom", label="Name of the session")
    visible = forms.BooleanField(
        required=False, label="Publish a watch page that anyone with the link can open"
    )

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        # Groups change while the process runs, so the choices are read for each form.
        field = cast("forms.MultipleChoiceField", self.fields["groups"])
        field.choices = [(group.name, group.name) for group in groups.every()]

    def clean_sources(self) -> list[Line]:
        lines: list[Line] = self.cleaned_data["sources"]
        if wrong := [line for line in lines if not line.source]:
            raise ValidationError([f"{line.text[:80]}: {line.reason}" for line in wrong])
        return lines

    def clean(self) -> dict[str, object]:
        data: dict[str, object] = self.cleaned_data
        if not data.get("groups") and not data.get("sources") and "sources" not in self.errors:
            self.add_error("sources", "Choose a topic, or paste a source.")
        return data

    def payload(self, *, with_model: bool) -> dict[str, object]:
        data = self.cleaned_data
        narration = {name: data[name] for name in ("personality", "verbosity", "language")}
        return {
            "name": data["name"],
            "groups": data["groups"],
            "sources": [line.source._asdict() for line in data["sources"]],
            # Without a key a model would be named that never writes.
            "settings": narration if with_model else {**narration, "model": EXTRACTIVE},
        }


@require_safe
@signed_in
# The form holds a key until it is sent.
@never_cache
def start(request: SignedIn) -> HttpResponse:
    return _page(request, StartForm())


def _page(request: SignedIn, form: StartForm, status: int = 200) -> HttpResponse:
    on_air = Broadcast.objects.filter(session__owner=request.user, state=State.LIVE)
    page = {
        "form": form,
        "has_key": has_model_key(request.user),
        "speaks": engines.available(),
        # At the first sign-in, the demo.
        "on_air": on_air.select_related("session").order_by("pk").first(),
    }
    return render(request, "studio/sessions/start.html", page, status=status)


@sensitive_post_parameters("api_key")
@post_only
@signed_in
def go(request: SignedIn) -> HttpResponse:
    """Stores the key if there is one, creates the session, and goes live."""
    form = StartForm(request.POST)
    if not form.is_valid():
        return _page(request, form, 422)
    user = request.user

    def effect() -> str:
        rate_limits.count("go-live requests", user.pk, settings.SMNB.limit_go_live)
        if key := form.cleaned_data["api_key"]:
            credentials.save(user, Service.ANTHROPIC, {"api_key": key})
        data = form.payload(with_model=has_model_key(user))
        session = commands.run(session_commands.CREATE, user, None, data)
        if form.cleaned_data["visible"]:
            commands.run(session_commands.CHANGE, user, session, {"visible": True})
        commands.run(session_commands.START, user, session, {})
        return str(session.pk)

    try:
        # Pressing the button twice creates one session.
        session_id = once(request, effect)
    except SmnbError as error:
        show_refusal(form, error)
        return _page(request, form, 422)
    return redirect("broadcast", session_id)


def _lines(request: SignedIn) -> list[Line]:
    """Returns the sources that the form names so far: those of its topics, then what was pasted."""
    names = request.POST.getlist("groups")
    chosen = SourceGroup.objects.filter(name__in=names).values_list("sources", flat=True)
    specs = [spec for group in chosen for spec in group]
    named_in_groups = [Named(spec["kind"], spec["locator"], spec.get("sort", "")) for spec in specs]
    lines = [Line(source.locator, source) for source in named_in_groups]
    try:
        return lines + SourcesField(required=False).clean(request.POST.get("sources", ""))
    except ValidationError as error:
        return lines + [Line("", None, reason) for reason in error.messages]


@post_only
@signed_in
def sources(request: SignedIn) -> HttpResponse:
    """The sources that the form names so far; each row then asks for its check."""
    rows = [
        {"line": line, "probe": line.source and cache.get(_key(request, line.source))}
        for line in _lines(request)
    ]
    page = {"rows": rows[:CHECKED_MOST], "more": max(0, len(rows) - CHECKED_MOST)}
    return render(request, "studio/sessions/_start_sources.html", page)


@post_only
@signed_in
def check(request: SignedIn) -> HttpResponse:
    """Reads one source once, and remembers the result for the preview."""
    kind, locator, sort = (request.POST.get(name, "") for name in Named._fields)
    line, probe = Line(locator[:2000], None), None
    try:
        source = named(line.text, kind or None, sort)
        line = line._replace(source=source)
        preview.count_test(request.user)
        probe = preview.probe(*source, request.user)
        cache.set(_key(request, source), probe, REMEMBERED)
    except SmnbError as error:
        reason = " ".join(reason for _, reason in commands.reasons(error))
        line = line._replace(source=None, reason=reason)
    row = {"line": line, "probe": probe}
    response = render(request, "studio/sessions/_start_source.html", {"row": row})
    response["HX-Trigger-After-Settle"] = "smnb:checked"
    return response


def _key(request: SignedIn, source: Named) -> str:
    return f"start:{request.user.pk}:{digest(' '.join(source))}"


@post_only
@signed_in
def sample(request: SignedIn) -> HttpResponse:
    """A story as the host reads it with these settings: of the first source, or an invented one."""
    form = StartForm(request.POST)
    form.is_valid()
    keys = [_key(request, line.source) for line in _lines(request) if line.source]
    probes = [cache.get(key) for key in keys]
    post = next((probe.sample for probe in probes if probe and probe.sample), None)
    own = post is not None
    if post is None:
        post = RecordingSource().fetch("demo", "", {}).posts[0]
    story = ExtractiveNarrator().narrate(_brief(post, form), lambda _: None)
    page = {"story": story, "own": own, "language": form.cleaned_data.get("language", "en")}
    return render(request, "studio/sessions/_start_sample.html", page)


@require_safe
@signed_in
def speak(request: SignedIn) -> HttpResponse:
    """The sample as sound, in the voice that a new session would have."""
    if not engines.available():
        raise Http404("No speech engine is installed.")
    language = request.GET.get("language", "en")[:35]
    return spoken(request, Session(owner=request.user, language=language))


def spoken(request: SignedIn, session: Session) -> HttpResponse:
    """Returns ``?text=`` as sound, in the voices of a session that need not be saved."""
    try:
        rate_limits.count("samples of voices", request.user.pk, 60)
        data = recorder.sample(session, request.GET.get("text", ""))
    except SmnbError as error:
        status = 409 if isinstance(error, Unspoken) else status_of(error)
        return HttpResponse(error.sentence, status=status, content_type="text/plain")
    return HttpResponse(data, content_type="audio/mpeg")


def _brief(post: FetchedPost, form: StartForm) -> Brief:
    data = form.cleaned_data
    return Brief(
        title=post.title,
        body=post.body,
        author=post.author,
        source=post.outlet,
        url=post.url,
        published_at=post.published_at,
        score=post.score,
        comments=post.comments,
        priority=0.5,
        personality=data.get("personality", "conversational"),
        verbosity=data.get("verbosity", "detailed"),
        language=data.get("language", "en"),
    )
