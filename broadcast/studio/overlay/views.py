"""The overlay studio: themes, colours and logo of the overlay, with a preview and the link for OBS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from csp.decorators import csp_replace, csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe
from typing_extensions import TypedDict

from broadcast import orchestrator, queries, session_commands
from broadcast.public.views import (
    LAYOUTS,
    OPTIONS,
    Option,
    overlay_query,
    parse_options,
    shows_logo,
)
from sessions_app import commands
from sessions_app.errors import Invalid, SmnbError
from sessions_app.events import recorder
from sessions_app.files import artifacts
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, post_only, refused

# Values that do not name themselves.
NAMES = LAYOUTS | {
    "m": "Medium",
    "s": "Small",
    "l": "Large",
    "1": "On",
    "0": "Off",
    "custom": "Own colour",
    "headline": "Grotesque",
    "text": "Plain",
    "mono": "Typewriter",
}
SAMPLE_SECONDS = 40
SAMPLE_TITLE = "Harbour bridge reopens after eleven weeks of repairs"
SAMPLE_TEXT = (
    "The harbour bridge is open again after eleven weeks of repairs. The first trams crossed it at six "
    "this morning, and the port authority expects the full timetable by Monday. Cyclists get a lane of "
    "their own on the northern side. The work cost two million less than planned."
)
SAMPLE_TITLES = (
    "City library extends its evening hours",
    "Storm warning lifted for the northern coast",
    "Researchers map a lake below the ice",
)


class Choice(TypedDict):
    value: str
    name: str
    chosen: bool


class Field(TypedDict):
    """An option of the overlay as the form shows it; ``layouts`` as in ``Option``, with spaces."""

    option: Option
    value: str
    choices: list[Choice]
    layouts: str
    idle: bool


@require_safe
# For the preview. The types of the decorators know no view with arguments.
@csp_update({"frame-src": ["'self'"]})  # type: ignore[arg-type]
@of_session
def studio(request: SignedIn, session: Session) -> HttpResponse:
    """The page of the overlay; its options are those of the overlay's own address."""
    look = parse_options(request.GET)
    query = overlay_query(look)
    watch_url = session_commands.watch_url(session)
    page = {
        "session": session,
        "session_air": orchestrator.latest_payload(session),
        "look": look,
        "fields": list(_fields(look)),
        "query": query,
        "base": f"{watch_url}overlay/" if watch_url else "",
        "preview": reverse("overlay_preview", args=[session.pk]) + query,
        "logo": artifacts.logo(session),
    }
    return render(request, "studio/overlay/page.html", page)


def _fields(look: Mapping[str, str]) -> Iterator[Field]:
    for option in OPTIONS:
        value = look[option.name]
        yield {
            "option": option,
            "value": value,
            "choices": [
                {"value": each, "name": NAMES.get(each, each.capitalize()), "chosen": each == value}
                for each in option.values
            ],
            "layouts": " ".join(option.layouts),
            "idle": bool(option.layouts) and look["layout"] not in option.layouts,
        }


@require_safe
@xframe_options_sameorigin
@csp_replace({"frame-ancestors": ["'self'"]})  # type: ignore[arg-type]
@of_session
def preview(request: SignedIn, session: Session) -> HttpResponse:
    """The overlay in a frame of the studio page, with a sample story while nothing is on air."""
    page: dict[str, object] = {**queries.watch_page(session)}
    if page["onair"] is None:
        now = timezone.now()
        finish = now + timedelta(seconds=SAMPLE_SECONDS)
        page["onair"] = {
            "tone": "developing",
            "title": SAMPLE_TITLE,
            "narrative": SAMPLE_TEXT,
            "post": {"source": "Sample story"},
            "aired_at": recorder.timestamp(now),
            "finish_at": recorder.timestamp(finish),
        }
        page["air"] = {"state": "live"}
        page["stories"] = page["stories"] or [
            {"id": -number, "title": title} for number, title in enumerate(SAMPLE_TITLES, 1)
        ]
    look = parse_options(request.GET)
    page["look"] = {**look, "sound": "0"}
    page["ws_path"] = f"/ws/sessions/{session.pk}/?audience={recorder.PUBLIC}"
    if shows_logo(look) and (logo := artifacts.logo(session)):
        page["logo"] = reverse("artifact", args=[session.pk, logo.pk])
    return render(request, "public/overlay.html", page)


@post_only
@of_session
def logo(request: SignedIn, session: Session) -> HttpResponse:
    """Stores the PNG of the field ``logo``, or removes the logo when ``remove`` is sent."""
    try:
        if "remove" in request.POST:
            if current := artifacts.logo(session):
                artifacts.remove(current)
            return _back(request, session)
        file = request.FILES.get("logo")
        # The size is known before the picture is read into memory.
        if file is None or (file.size or 0) > artifacts.MAX_LOGO_BYTES:
            raise Invalid("Choose a PNG picture of at most 1 MB.")
        artifacts.replace_logo(session, request.user, file.read())
    except SmnbError as error:
        return refused(request, error, "overlay_studio", session.pk)
    return _back(request, session)


@post_only
@of_session
def publish(request: SignedIn, session: Session) -> HttpResponse:
    """Publishes the session, so that its overlay has an address."""
    try:
        commands.run(session_commands.CHANGE, request.user, session, {"visible": True})
    except SmnbError as error:
        return refused(request, error, "overlay_studio", session.pk)
    return _back(request, session)


def _back(request: HttpRequest, session: Session) -> HttpResponse:
    """Redirects to the page with the options that it had."""
    query = overlay_query(parse_options(request.POST))
    return redirect(reverse("overlay_studio", args=[session.pk]) + query)
