"""The editor's desk: commands on posts and stories, the whole rundown, and one story's page.

Threads of a session: the list, and one of them as a timeline.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from broadcast import airing, queries
from broadcast.studio.broadcast_center.forms import BreakInForm, CorrectionForm
from sessions_app import commands
from sessions_app.errors import NotFound, SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, refused
from stories import corrections, stories, threads
from stories.models import SourcePost, Story
from stories.posts import queue

POST_VERBS = {
    "pin": "Pinned", "unpin": "Not pinned any more", "hold": "Held", "release": "Released",
    "kill": "Killed",
}  # fmt: skip

STORY_VERBS = ("approve", "veto", "kill", "bookmark", "unbookmark")


@require_safe
@of_session
def rundown(request: SignedIn, session: Session) -> HttpResponse:
    """All that waits, in its order."""
    return render(request, "studio/broadcast_center/rundown.html", queries.rundown_page(session))


@require_POST
@of_session
def rearrange(request: SignedIn, session: Session) -> HttpResponse:
    """``do`` is a verb and a post's id, or "move ID before|after ID"."""
    try:
        sentence = _rearrange(request, session, request.POST.get("do", "").split())
    except ValueError:
        return HttpResponseBadRequest("do: a verb and the id of a post")
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    whole = request.POST.get("whole") == "1"
    if not request.htmx:
        return redirect("rundown" if whole else "broadcast", session.pk)
    most = (queue.QUEUE_LIMIT, queries.HELD_MOST) if whole else ()
    page = {"queue": queue.queue_payload(session, *most), "sentence": sentence}
    return render(request, "studio/broadcast_center/_rearranged.html", page)


def _rearrange(request: SignedIn, session: Session, words: list[str]) -> str:
    match words:
        case [verb, post] if verb in POST_VERBS:
            done = commands.run(f"post.{verb}", request.user, session, {"post": int(post)})
            return f"{POST_VERBS[verb]}: “{done.title[:80]}”."
        case ["move", post, "before" | "after" as side, other]:
            data = {"post": int(post), side: int(other)}
            return _moved(commands.run("post.move", request.user, session, data))
    raise ValueError(words)


def _moved(post: SourcePost) -> str:
    keys = list(queue.waiting(post.session).values_list("pk", flat=True)[: queue.QUEUE_LIMIT])
    place = keys.index(post.pk) + 1 if post.pk in keys else len(keys)
    return f"“{post.title[:80]}” is now in place {place} of {len(keys)}."


@require_POST
@of_session
def break_in(request: SignedIn, session: Session) -> HttpResponse:
    form = BreakInForm(request.POST)
    if not form.is_valid():
        page = {"break_in": form, "session": {"id": session.pk, "name": session.name}}
        return render(request, "studio/broadcast_center/break_in.html", page, status=422)
    try:
        commands.run("story.break_in", request.user, session, form.payload())
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    return redirect("broadcast", session.pk)


@require_POST
@of_session
def command_story(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    verb = request.POST.get("do", "")
    if verb not in STORY_VERBS:
        return HttpResponseBadRequest(f"do: one of {', '.join(STORY_VERBS)}")
    data: dict[str, Any] = {"story": story_id}
    if verb in {"bookmark", "unbookmark"}:
        data["on"] = verb == "bookmark"
        verb = "bookmark"
    try:
        commands.run(f"story.{verb}", request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "story", session.pk, story_id)
    return HttpResponse(status=204) if request.htmx else redirect("story", session.pk, story_id)


@require_safe
@of_session
def story(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    """One story with all its versions, and the form that corrects it."""
    found = _story(session, story_id)
    form = CorrectionForm(
        initial={"title": found.title, "text": found.narrative, "version": found.version}
    )
    return _story_page(request, session, found, form)


def _story(session: Session, story_id: int) -> Story:
    try:
        return stories.find(session, story_id)
    except NotFound as error:
        raise Http404(error.sentence) from None


def _story_page(
    request: SignedIn, session: Session, found: Story, form: CorrectionForm, status: int = 200
) -> HttpResponse:
    page = {
        "session": session,
        "session_id": session.pk,
        "story": airing.shown(found),
        "versions": corrections.versions(found),
        "form": form,
        "can_correct": found.state in corrections.OPEN,
    }
    return render(request, "studio/broadcast_center/story.html", page, status=status)


@require_POST
@of_session
def correct(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    found, form = _story(session, story_id), CorrectionForm(request.POST)
    if not form.is_valid():
        return _story_page(request, session, found, form, status=422)
    try:
        data = {"story": story_id, **form.cleaned_data}
        commands.run("story.correct", request.user, session, data)
    except SmnbError as error:
        # What it says by now stands beside what was typed: saving once more is an answer to it.
        found = _story(session, story_id)
        form = CorrectionForm({**request.POST.dict(), "version": found.version})
        form.add_error(None, error.sentence)
        return _story_page(request, session, found, form, status=409)
    return redirect("story", session.pk, story_id)


@require_safe
@of_session
def listed(request: SignedIn, session: Session) -> HttpResponse:
    page = {"session": session, "threads": threads.of_session(session)}
    return render(request, "studio/broadcast_center/threads.html", page)


@require_safe
@of_session
def timeline(request: SignedIn, session: Session, thread_id: int) -> HttpResponse:
    """What was told about one thing, in the order it was told."""
    try:
        thread = threads.get(session, thread_id)
    except NotFound as error:
        raise Http404(error.sentence) from None
    page = {
        "session": session,
        "thread": threads.payload(thread),
        "stories": queries.told(threads.stories(thread)),
    }
    return render(request, "studio/broadcast_center/thread.html", page)
