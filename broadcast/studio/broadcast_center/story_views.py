"""The editor's pages: the rundown, break-ins, one story with its corrections, and threads."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from broadcast import airing, editorial, orchestrator, public_links, queries, session_commands
from broadcast import rundown as rundown_commands
from broadcast.studio.broadcast_center.views import BreakInForm, CorrectionForm
from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, post_only, refused, show_refusal
from stories import corrections, stories, threads
from stories.models import Story
from stories.posts import queue, selection

# By the verb of a form: the command on a post, and how the page confirms it.
POST_COMMANDS = {
    "pin": (rundown_commands.PIN, "Pinned"),
    "unpin": (rundown_commands.UNPIN, "Unpinned"),
    "hold": (rundown_commands.HOLD, "Held"),
    "release": (rundown_commands.RELEASE, "Released"),
    "kill": (rundown_commands.KILL, "Killed"),
    "restore": (rundown_commands.RESTORE, "Returned to the queue"),
}
STORY_COMMANDS = {
    "approve": session_commands.APPROVE,
    "veto": session_commands.VETO,
    "kill": editorial.PULL,
    "bookmark": editorial.BOOKMARK,
    "unbookmark": editorial.BOOKMARK,
}


@require_safe
@of_session
def rundown(request: SignedIn, session: Session) -> HttpResponse:
    """The whole rundown in its order; with ``part``, only the skipped posts, for htmx."""
    if request.htmx and request.GET.get("part") == "skipped":
        part = {"skipped": selection.newest(session), "session_id": session.pk}
        return render(request, "studio/broadcast_center/_skipped.html", part)
    page = queries.rundown_page(session)
    context = {**page, "session_air": page["air"]}
    return render(request, "studio/broadcast_center/rundown.html", context)


@post_only
@of_session
def rearrange(request: SignedIn, session: Session) -> HttpResponse:
    """Runs a command on a post: ``do`` is a verb and an id, or "move ID before|after ID"."""
    try:
        sentence = _rearrange(request, session, request.POST.get("do", "").split())
    except ValueError:
        return HttpResponseBadRequest("do: must be a verb and the id of a post")
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    whole = request.POST.get("whole") == "1"
    if not request.htmx:
        return redirect("rundown" if whole else "broadcast", session.pk)
    # From the list of what needs the user, which is on pages without a rundown.
    if request.htmx.target == "need":
        return HttpResponse(status=204)
    # The desk shows the head of the queue, the page of the rundown all of it.
    limits = (queue.QUEUE_LIMIT, queries.HELD_MOST) if whole else ()
    verb, post_id = request.POST["do"].split()[:2]
    page = {
        "queue": queue.queue_payload(session, *limits),
        "sentence": sentence,
        "restored": post_id if verb == "restore" else "",
    }
    return render(request, "studio/broadcast_center/_rearranged.html", page)


def _rearrange(request: SignedIn, session: Session, words: list[str]) -> str:
    """Runs the command and returns the sentence that confirms it; ValueError for other words."""
    match words:
        case [verb, post_id] if verb in POST_COMMANDS:
            command, confirmation = POST_COMMANDS[verb]
            post = commands.run(command, request.user, session, {"post": int(post_id)})
            return f"{confirmation}: “{post.title[:80]}”."
        case ["move", post_id, "before" | "after" as side, other]:
            data = {"post": int(post_id), side: int(other)}
            post = commands.run(rundown_commands.MOVE, request.user, session, data)
            # Read after the move, for the sentence that a screen reader speaks.
            ids = list(queue.waiting(session).values_list("pk", flat=True)[: queue.QUEUE_LIMIT])
            place = ids.index(post.pk) + 1 if post.pk in ids else len(ids)
            return f"“{post.title[:80]}” is now in place {place} of {len(ids)}."
    raise ValueError(words)


@post_only
@of_session
def break_in(request: SignedIn, session: Session) -> HttpResponse:
    """Creates a story in the editor's own words."""
    form = BreakInForm(request.POST)
    if not form.is_valid():
        page = {"break_in": form, "session": {"id": session.pk, "name": session.name}}
        return render(request, "studio/broadcast_center/break_in.html", page, status=422)
    try:
        commands.run(editorial.BREAK_IN, request.user, session, form.payload())
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    return redirect("broadcast", session.pk)


@post_only
@of_session
def command_story(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    """Approves, vetoes, pulls, bookmarks or unbookmarks a story."""
    verb = request.POST.get("do", "")
    if verb not in STORY_COMMANDS:
        return HttpResponseBadRequest(f"do: must be one of {', '.join(STORY_COMMANDS)}")
    data: dict[str, object] = {"story": story_id}
    if verb in {"bookmark", "unbookmark"}:
        data["on"] = verb == "bookmark"
    try:
        commands.run(STORY_COMMANDS[verb], request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "story", session.pk, story_id)
    # htmx changes nothing for 204; the frame of the event updates the page.
    return HttpResponse(status=204) if request.htmx else redirect("story", session.pk, story_id)


@require_safe
@of_session
def story(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    """One story with all its versions, and the form that corrects it; for htmx its passages."""
    row = stories.find(session, story_id)
    if request.htmx:
        shown = {"story": airing.story_payload(row), "opened": True}
        response = render(request, "_passages.html", shown)
        patch_vary_headers(response, ["HX-Request"])
        return response
    form = CorrectionForm(
        initial={"title": row.title, "text": row.narrative, "version": row.version}
    )
    return _story_page(request, session, row, form)


def _story_page(
    request: SignedIn, session: Session, row: Story, form: CorrectionForm, status: int = 200
) -> HttpResponse:
    page = {
        "session": session,
        "session_air": orchestrator.latest_payload(session),
        "session_id": session.pk,
        "language": public_links.tag(session.language),
        "story": airing.story_payload(row),
        "approval": row,
        "versions": corrections.versions(row),
        "form": form,
        "can_correct": row.state in Story.OPEN,
    }
    return render(request, "studio/broadcast_center/story.html", page, status=status)


@post_only
@of_session
def correct(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    """Stores a corrected version of a story."""
    row, form = stories.find(session, story_id), CorrectionForm(request.POST)
    if not form.is_valid():
        return _story_page(request, session, row, form, status=422)
    data = {"story": story_id, **form.cleaned_data}
    try:
        commands.run(editorial.CORRECT, request.user, session, data)
    except SmnbError as error:
        # The current text is shown beside what was typed, and the form takes its version: saving
        # once more answers the version that was in the way.
        row = stories.find(session, story_id)
        form = CorrectionForm({**request.POST.dict(), "version": row.version})
        show_refusal(form, error)
        return _story_page(request, session, row, form, status=409)
    return redirect("story", session.pk, story_id)


@require_safe
@of_session
def listed(request: SignedIn, session: Session) -> HttpResponse:
    """The threads of a session."""
    page = {
        "session": session,
        "session_air": orchestrator.latest_payload(session),
        "threads": threads.of_session(session),
    }
    return render(request, "studio/broadcast_center/threads.html", page)


@require_safe
@of_session
def timeline(request: SignedIn, session: Session, thread_id: int) -> HttpResponse:
    """The published stories of one thread, oldest first."""
    thread = threads.get(session, thread_id)
    page = {
        "session": session,
        "session_air": orchestrator.latest_payload(session),
        "thread": threads.payload(thread),
        "stories": queries.with_airings(threads.stories(thread)),
    }
    return render(request, "studio/broadcast_center/thread.html", page)
