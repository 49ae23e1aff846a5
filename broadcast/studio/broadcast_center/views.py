"""The Broadcast Center: the desk of a session, the commands of its run, and the producer chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from csp.decorators import csp_replace, csp_update
from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from broadcast import attention, orchestrator, queries, session_commands
from broadcast.chat import conversation, plans
from broadcast.editorial import MOST_TEXT, MOST_TITLE
from broadcast.health import workers
from broadcast.public.views import parse_options
from broadcast.studio.sessions.queries import switcher
from sessions_app import commands, preferences, rate_limits
from sessions_app.commands import Command
from sessions_app.errors import SmnbError
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, post_only, refused, signed_in
from stories.llm import EXTRACTIVE
from stories.llm.credentials import has_model_key
from stories.models import Story


class BreakInForm(forms.Form):
    """A story in the editor's own words."""

    title = forms.CharField(max_length=MOST_TITLE, label="Headline")
    text = forms.CharField(
        max_length=MOST_TEXT, widget=forms.Textarea(attrs={"rows": 5}), label="Narration"
    )
    tone = forms.ChoiceField(choices=Story.Tone.choices, initial=Story.Tone.BREAKING)
    when = forms.ChoiceField(
        choices=[
            ("next", "next, after the story on air"),
            ("now", "now, ending the story on air"),
        ],
        initial="next",
        widget=forms.RadioSelect,
        label="When",
    )

    def payload(self) -> dict[str, object]:
        data = self.cleaned_data
        return {
            "title": data["title"],
            "text": data["text"],
            "tone": data["tone"],
            "now": data["when"] == "now",
        }


class CorrectionForm(forms.Form):
    """A new version of a story; ``version`` is the one that the editor has read."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    title = forms.CharField(max_length=MOST_TITLE, label="Headline")
    text = forms.CharField(
        max_length=MOST_TEXT, label="Text", widget=forms.Textarea(attrs={"rows": 9})
    )
    reason = forms.CharField(
        max_length=300,
        label="Correction",
        help_text="What was wrong. The audience reads it below a published story.",
    )


PLAN_COMMANDS = {"apply": plans.APPLY, "dismiss": plans.DISMISS}
DECISIONS = {"approve": session_commands.APPROVE, "veto": session_commands.VETO}


@require_safe
@signed_in
def home(request: SignedIn) -> HttpResponse:
    """The desk before a session is chosen."""
    page = {"session": None, "sessions": switcher(request.user, "broadcast")}
    return render(request, "studio/broadcast_center/center.html", page)


@post_only
@signed_in
def without_session(request: SignedIn) -> HttpResponse:
    """Refuses Go Live without a session; nothing is created."""
    sentence = "Choose a session first: a broadcast always belongs to one."
    if not Session.objects.for_user(request.user).exists():
        sentence = "Create a session first: a broadcast always belongs to one."
    page = {"session": None, "sessions": switcher(request.user, "broadcast"), "refusal": sentence}
    return render(request, "studio/broadcast_center/center.html", page, status=409)


@require_safe
# For the program monitor. The types of the decorators know no view with arguments.
@csp_update({"frame-src": ["'self'"]})  # type: ignore[arg-type]
@of_session
def center(request: SignedIn, session: Session) -> HttpResponse:
    """The desk; ``?before=`` (a story's id) or ``?bookmarked=1`` shows another part of the feed."""
    part = queries.FeedPart.of(request.GET)
    # The same address gives the whole page, so that it can be opened and shared.
    if request.htmx and part.asked:
        page = queries.feed_page(session, part) | {"session_id": session.pk}
        return render(request, "studio/broadcast_center/_older.html", page)
    page = queries.studio_page(session, part) | {
        "break_in": BreakInForm(),
        "has_key": session.model == EXTRACTIVE or has_model_key(session.owner),
    }
    return render(request, "studio/broadcast_center/center.html", page)


@require_safe
@xframe_options_sameorigin
@csp_replace({"frame-ancestors": ["'self'"]})  # type: ignore[arg-type]
@of_session
def monitor(request: SignedIn, session: Session) -> HttpResponse:
    """The program monitor, a frame of the desk: the overlay, also of a session without a public link."""
    page = {
        **queries.watch_page(session),
        "ws_path": f"/ws/sessions/{session.pk}/?audience={recorder.PUBLIC}",
        "look": {**parse_options(request.GET), "sound": "0"},
    }
    return render(request, "public/overlay.html", page)


@require_safe
@of_session
def health(request: SignedIn, session: Session) -> HttpResponse:
    """The health of host and producer; the page fetches this part again after each event."""
    page = {"session": {"id": session.pk}, "health": workers.read(session)}
    return render(request, "studio/broadcast_center/_health.html", page)


@require_safe
def needs(request: HttpRequest) -> HttpResponse:
    """What needs the user; to htmx the list alone, with the needs of ``?session=`` first."""
    # Pages ask again and again: after signing out that must not take away what is typed into them.
    if cast("SignedIn", request).htmx and not request.user.is_authenticated:
        return HttpResponse(status=204)
    return needs_list(request)


@signed_in
def needs_list(request: SignedIn) -> HttpResponse:
    first = request.GET.get("session", "")
    # The sort is stable, so the others remain in their order.
    rows = sorted(attention.of_user(request.user), key=lambda need: str(need.session.pk) != first)
    page = {"needs": rows, "needs_sound": preferences.of(request.user).needs_sound}
    name = "_needs_list.html" if request.htmx else "studio/broadcast_center/needs.html"
    return render(request, name, page)


@post_only
@of_session
def command_run(request: SignedIn, session: Session) -> HttpResponse:
    """Goes live, stops, or recovers a failed run."""
    name = request.POST.get("command", "")
    if name not in session_commands.RUN_COMMANDS:
        names = ", ".join(session_commands.RUN_COMMANDS)
        return HttpResponseBadRequest(f"command: must be one of {names}")
    command, data = session_commands.RUN_COMMANDS[name]
    try:
        if name in session_commands.LIMITED:
            rate_limits.count("go-live requests", request.user.pk, settings.SMNB.limit_go_live)
        commands.run(command, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    if request.htmx:
        page = {"air": orchestrator.latest_payload(session), "session_id": session.pk}
        return render(request, "studio/broadcast_center/_air.html", page)
    return redirect("broadcast", session.pk)


@post_only
@of_session
def pace(request: SignedIn, session: Session) -> HttpResponse:
    """Sets the words a minute; the frame of the change updates the other pages."""
    given = {"settings": {"pace": request.POST.get("pace", "")}}
    return _run(request, session, session_commands.CHANGE, given)


@post_only
@of_session
def decide(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    """Approves or vetoes a waiting story."""
    name = request.POST.get("decision", "")
    if name not in DECISIONS:
        return HttpResponseBadRequest("decision: must be one of approve, veto")
    return _run(request, session, DECISIONS[name], {"story": story_id})


@post_only
@of_session
def say(request: SignedIn, session: Session) -> HttpResponse:
    """Sends a message to the producer; a button with an example sends it as ``example``."""
    text = request.POST.get("example") or request.POST.get("text", "")
    # Forms send line ends as CR LF; the page counts one character for them.
    return _run(request, session, conversation.SAY, {"text": text.replace("\r\n", "\n")}, "#chat")


@post_only
@of_session
def decide_plan(request: SignedIn, session: Session, message_id: int) -> HttpResponse:
    """Applies or dismisses the plan of a message."""
    verb = request.POST.get("do", "")
    if verb not in PLAN_COMMANDS:
        return HttpResponseBadRequest("do: must be one of apply, dismiss")
    return _run(request, session, PLAN_COMMANDS[verb], {"message": message_id}, "#chat")


def _run(
    request: SignedIn,
    session: Session,
    command: Command[Any],
    data: Mapping[str, object],
    part: str = "",
) -> HttpResponse:
    """Runs a command of the desk; without htmx the page is shown again, at ``part``.

    For htmx the response needs no content, as the socket delivers the change.
    """
    try:
        commands.run(command, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    if request.htmx:
        return HttpResponse(status=204)
    return redirect(f"{reverse('broadcast', args=[session.pk])}{part}")
