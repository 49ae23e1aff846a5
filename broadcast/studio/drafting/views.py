"""Keyword Drafting: the drafts and keyword boards of a session, and the page of one draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe
from typing_extensions import TypedDict

from broadcast import market, orchestrator
from broadcast.queries import key_of
from broadcast.studio.drafting import publish
from broadcast.studio.drafting.forms import AdviceForm, StartForm, VersionForm
from sessions_app import commands
from sessions_app.commands import Command
from sessions_app.errors import NotFound, SmnbError
from sessions_app.models import Session, SessionStats
from sessions_app.web.http import (
    SignedIn,
    of_chosen,
    of_session,
    post_only,
    refused,
    show_refusal,
    status_of,
)
from stories import corrections
from stories.drafting import boards, drafts, versions, workflow
from stories.drafting import commands as drafting_commands
from stories.drafting import turns as drafting_turns
from stories.drafting.drafts import DraftMessagePayload, DraftPayload
from stories.drafting.turns import Milestone
from stories.drafting.versions import DraftVersionPayload
from stories.llm import EXTRACTIVE
from stories.market import quotes
from stories.models import BoardKeyword, Draft

LISTED = 50


@dataclass(frozen=True, slots=True)
class VersionPart:
    """The version to show (None: the latest, which is live) and the one to compare it with."""

    number: int | None = None
    against: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> VersionPart:
        return cls(key_of(query.get("version", "")), key_of(query.get("against", "")))


LATEST = VersionPart()


class DraftsPage(TypedDict):
    """The drafts of a session, newest first."""

    last_seq: int
    drafts: list[DraftPayload]


class DraftPage(TypedDict):
    """One draft with its conversation and its versions.

    ``assembled`` is set when no model took part. ``live`` is the turn in progress; ``before`` is the
    version that ``version`` is compared with, and ``diff`` the comparison as (text, "same" | "gone" |
    "new").
    """

    session: Session
    last_seq: int
    draft: DraftPayload
    assembled: bool
    live: Mapping[str, object] | None
    turns: list[DraftMessagePayload]
    milestones: list[Milestone]
    versions: list[DraftVersionPayload]
    part: VersionPart
    version: DraftVersionPayload | None
    manuscript: versions.Manuscript | None
    before: DraftVersionPayload | None
    diff: Sequence[tuple[str, str]]


def drafts_page(session: Session) -> DraftsPage:
    """The session's newest drafts."""
    # Read first: an event recorded after this is delivered to the page again.
    stats = SessionStats.objects.get(session=session)
    return {"last_seq": stats.last_seq, "drafts": drafts.listed(session, LISTED)}


def draft_page(session: Session, draft_id: int, part: VersionPart = LATEST) -> DraftPage:
    """One draft of the session; NotFound if there is no such draft or version."""
    stats = SessionStats.objects.get(session=session)
    # After the seq was read: an event recorded from here on is delivered to the page again.
    draft = drafts.find(session, draft_id)
    rows = [versions.payload(version) for version in versions.of_draft(draft)]
    by_number = {row["number"]: row for row in rows}
    number = draft.version if part.number is None else part.number
    if {number, part.against} - by_number.keys() - {None, 0}:
        raise NotFound("This draft has no such version.")
    version, before = by_number.get(number), by_number.get(part.against or 0)
    diff: Sequence[tuple[str, str]] = []
    if version is not None and before is not None:
        diff = list(corrections.compare(before["text"], version["text"]))
    turns = [drafts.message_payload(message) for message in drafts.of_draft(draft)]
    models = {turn["model"] for turn in turns} or {session.model}
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "draft": drafts.payload(draft),
        "assembled": models == {EXTRACTIVE},
        "live": workflow.turn_in_progress(draft) if draft.state == Draft.State.RUNNING else None,
        "turns": turns,
        "milestones": drafting_turns.milestones_passed(turns, rows, draft.words),
        "versions": rows,
        "part": part,
        "version": version,
        "manuscript": versions.manuscript(version, turns, draft.wishes)
        # The latest version changes with the frames of the draft, which have its text only.
        if version and part.number is not None
        else None,
        "before": before,
        "diff": diff,
    }


MOST_RISING = 12  # keywords offered for the boards

R = TypeVar("R")


@require_safe
@of_chosen
def drafting(request: SignedIn, session: Session | None) -> HttpResponse:
    """The drafts and boards; ``?keywords=`` fills the form for a new draft."""
    form = StartForm(initial={"typed": request.GET.get("keywords", "")})
    return _drafting_page(request, session, form)


def _drafting_page(
    request: SignedIn, session: Session | None, form: StartForm, status: int = 200
) -> HttpResponse:
    page: dict[str, object] = {"session": session, "start": form}
    if session is not None:
        # A user without a session sees how to create one, and no boards.
        page |= drafts_page(session) | _boards(session)
    return render(request, "studio/drafting/drafting.html", page, status=status)


def _boards(session: Session) -> dict[str, object]:
    """The boards, and rising keywords that are on none of them."""
    texts = boards.texts(session)
    rising = quotes.rising(session, market.moment(orchestrator.latest(session)))
    # Labels are compared without case, as the boards do.
    new = [quote for quote in rising if quote.trend.label.casefold() not in texts]
    return {
        "boards": boards.of_session(session),
        "choices": boards.Board.choices,
        "rising": [market.row(quote) for quote in new[:MOST_RISING]],
    }


@post_only
@of_session
def start(request: SignedIn, session: Session) -> HttpResponse:
    """Starts a draft and opens its page."""
    form = StartForm(request.POST)
    if not form.is_valid():
        return _drafting_page(request, session, form, 422)
    try:
        draft = commands.run(drafting_commands.START, request.user, session, form.payload())
    except SmnbError as error:
        show_refusal(form, error)
        return _drafting_page(request, session, form, status_of(error))
    return redirect("draft", session.pk, draft.pk)


@post_only
@of_session
def add(request: SignedIn, session: Session) -> HttpResponse:
    return _run_on_boards(request, session, boards.ADD, "text", "board")


@post_only
@of_session
def move(request: SignedIn, session: Session) -> HttpResponse:
    return _run_on_boards(request, session, boards.MOVE, "keyword", "board")


@post_only
@of_session
def remove(request: SignedIn, session: Session) -> HttpResponse:
    return _run_on_boards(request, session, boards.REMOVE, "keyword")


def _run_on_boards(
    request: SignedIn, session: Session, command: Command[BoardKeyword], *fields: str
) -> HttpResponse:
    """Runs a command with these fields of the form and shows the boards after it."""
    page = f"{reverse('drafting')}?{urlencode({'session': session.pk})}"
    data = {field: request.POST.get(field, "") for field in fields}
    try:
        keyword = commands.run(command, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, page)
    if not request.htmx:
        return redirect(page)
    context = {
        **_boards(session),
        "session": session,
        "changed": keyword,
        "command": command.name,
    }
    return render(request, "studio/drafting/_boards.html", context)


@require_safe
@of_session
def draft(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    """One draft; ``?version=`` shows that version, ``&against=`` compares it with another one."""
    page = draft_page(session, draft_id, VersionPart.of(request.GET))
    return render(request, "studio/drafting/draft.html", {**page, "advice": AdviceForm()})


@post_only
@of_session
def command(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    """Runs a command on a draft: ``do`` is stop, resume, air, "restore NUMBER", or a decision.

    A decision is accept, reject or undo with the numbers of the version and of the comment.
    """
    data: dict[str, object] = {"draft": draft_id}
    match request.POST.get("do", "").split():
        case ["stop"]:
            return _run_on_draft(request, session, draft_id, drafting_commands.STOP, data)
        case ["resume"]:
            return _run_on_draft(request, session, draft_id, drafting_commands.RESUME, data)
        case ["air"]:
            return _run_on_draft(request, session, draft_id, publish.AIR, data)
        case ["restore", number] if key := key_of(number):
            data["version"] = key
            return _run_on_draft(request, session, draft_id, versions.RESTORE, data)
        case ["accept" | "reject" | "undo" as decision, number, comment]:
            data |= {"decision": decision, "version": key_of(number), "comment": key_of(comment)}
            response = _run_on_draft(request, session, draft_id, drafting_commands.DECIDE, data)
            latest = drafts.find(session, draft_id).version
            page = reverse("draft", args=[session.pk, draft_id])
            # The comments are on the page of the version, also after a refusal.
            return (
                response
                if request.htmx
                else redirect(f"{page}?version={latest}#comment-{key_of(comment)}")
            )
    return HttpResponseBadRequest("do: must be a command on a draft")


@post_only
@of_session
def advise(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    """Adds the owner's advice for the next agent."""
    form = AdviceForm(request.POST)
    if not form.is_valid():
        page = {**draft_page(session, draft_id), "advice": form}
        return render(request, "studio/drafting/draft.html", page, status=422)
    data = {"draft": draft_id, "text": form.cleaned_data["text"]}
    return _run_on_draft(request, session, draft_id, drafting_commands.ADVISE, data)


def _run_on_draft(
    request: SignedIn,
    session: Session,
    draft_id: int,
    command: Command[R],
    data: Mapping[str, object],
) -> HttpResponse:
    """Runs a command on the draft; for htmx the frames of its events update the page."""
    try:
        commands.run(command, request.user, session, data)
    except NotFound:
        raise
    except SmnbError as error:
        return refused(request, error, "draft", session.pk, draft_id)
    # The frames of the command's events update the page.
    return HttpResponse(status=204) if request.htmx else redirect("draft", session.pk, draft_id)


@require_http_methods(["GET", "HEAD", "POST"])
@of_session
def edit(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    """Edits a draft by hand, starting from its latest version."""
    if request.method == "POST":
        return _save(request, session, draft_id)
    page = draft_page(session, draft_id)
    latest = page["version"]
    initial: dict[str, object] = {"version": 0, "title": "", "text": ""}
    if latest is not None:
        initial = {
            "version": latest["number"],
            "title": latest["title"],
            "text": latest["text"],
        }
    return _editor(request, page, VersionForm(initial=initial))


def _save(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    form = VersionForm(request.POST)
    if not form.is_valid():
        return _editor(request, draft_page(session, draft_id), form, 422)
    data = {"draft": draft_id, **form.cleaned_data}
    try:
        commands.run(versions.SAVE, request.user, session, data)
    except SmnbError as error:
        # The page shows how the typed text differs from the latest version, and the form takes
        # that version: saving once more answers the version that was in the way.
        page = draft_page(session, draft_id)
        latest = page["version"]["text"] if page["version"] else ""
        page["diff"] = list(corrections.compare(latest, form.cleaned_data["text"]))
        retry = VersionForm({**request.POST.dict(), "version": page["draft"]["version"]})
        show_refusal(retry, error)
        return _editor(request, page, retry, status_of(error))
    return redirect("draft", session.pk, draft_id)


def _editor(
    request: SignedIn, page: DraftPage, form: VersionForm, status: int = 200
) -> HttpResponse:
    context = {**page, "form": form}
    return render(request, "studio/drafting/draft_edit.html", context, status=status)
