"""Sources, schedule and interests of a session: the forms on its page and their commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import rundown, session_commands
from broadcast.schedule import slots
from broadcast.schedule.calendar import SlotForm
from broadcast.studio.sessions import views
from broadcast.studio.sessions.forms import FeedsForm, SourceForm
from sessions_app import commands
from sessions_app.commands import Command
from sessions_app.errors import Invalid, SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, post_only, refused
from stories.sources import opml, preview, service
from stories.sources.preview import Probe, count_test, probe, probe_source
from stories.sources.registry import KINDS, Line
from stories.sources.service import AddedSources

SOURCES, SCHEDULE, INTERESTS = "sources-panel", "schedule", "interests-panel"
TESTED_MOST = 5

R = TypeVar("R")


@post_only
@of_session
def add_source(request: SignedIn, session: Session) -> HttpResponse:
    """Adds the sources that were pasted; those that are refused come back in the form."""
    form = SourceForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, SOURCES, status=422, replaced={"source_form": form})
    lines: list[Line] = form.cleaned_data["locator"]
    if len(lines) == 1 and (found := preview.choice(None, lines[0].text, request.user)):
        return views.show(
            request, session, SOURCES, status=422, probes=[found], replaced={"source_form": form}
        )
    result = _add(request, session, lines)
    again = [(text, "This session has it already.") for text in result.known]
    if not (wrong := [*result.refused, *again]):
        return views.back_to(session, SOURCES, added=_tested(result))
    form = SourceForm({"locator": "\n".join(text for text, _ in wrong)})
    form.is_valid()
    for text, reason in wrong:
        form.add_error("locator", reason if len(lines) == 1 else f"{text[:80]}: {reason}")
    return views.show(
        request, session, SOURCES, status=422, replaced={"source_form": form}, added=_tested(result)
    )


def _add(request: SignedIn, session: Session, lines: list[Line]) -> AddedSources:
    """Adds what the lines name; ``refused`` then has the lines as they were typed."""
    named = {line.source.locator: line.text for line in lines if line.source}
    specs = [line.source._asdict() for line in lines if line.source]
    result = AddedSources([], [], [])
    if specs:
        try:
            data = {"sources": specs}
            result = commands.run(session_commands.ADD_SOURCES, request.user, session, data)
        except SmnbError as error:
            result.refused.extend((text, error.sentence) for text in named.values())
    refused = [(line.text, line.reason) for line in lines if not line.source]
    refused += [(named.get(locator, locator), reason) for locator, reason in result.refused]
    return result._replace(refused=refused)


def _tested(result: AddedSources) -> str:
    """Returns the ids of the new sources that the page tests."""
    return ",".join(str(source.pk) for source in result.added[:TESTED_MOST])


@post_only
@of_session
def import_feeds(request: SignedIn, session: Session) -> HttpResponse:
    """Adds the feeds of an OPML file."""
    form = FeedsForm(request.POST, request.FILES)
    if form.is_valid():
        result = _add(request, session, form.cleaned_data["file"])
        if not result.refused:
            counts = {"feeds": len(result.added), "known": len(result.known)}
            return views.back_to(session, SOURCES, **counts, added=_tested(result))
        form.add_error("file", f"{len(result.added)} added, {len(result.refused)} refused:")
        for text, reason in result.refused[:TESTED_MOST]:
            form.add_error("file", f"{text[:80]}: {reason}")
    return views.show(request, session, SOURCES, status=422, replaced={"feeds_form": form})


@require_safe
@of_session
def export_feeds(request: SignedIn, session: Session) -> HttpResponse:
    """The sources of the session as an OPML file for feed readers."""
    feeds = [(each.locator, KINDS[each.kind].feed(each.locator)) for each in service.shown(session)]
    body = opml.document(session.name, [(name, url) for name, url in feeds if url])
    response = HttpResponse(body, content_type="text/x-opml; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="sources.opml"'
    return response


@post_only
@of_session
def add_source_group(request: SignedIn, session: Session) -> HttpResponse:
    data = {"group": request.POST.get("group", "")}
    return views.run(request, session, session_commands.ADD_GROUP, data, SOURCES, saved="group")


@post_only
@of_session
def loop_sources(request: SignedIn, session: Session) -> HttpResponse:
    return views.run(request, session, session_commands.LOOP_SOURCES, {}, SOURCES)


@post_only
@of_session
def remove_source(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    data = {"source": source_id}
    return views.run(request, session, session_commands.REMOVE_SOURCE, data, SOURCES)


@post_only
@of_session
def test_source(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    """Reads a source of the session once and shows the result."""
    try:
        count_test(request.user)
        result = probe_source(session, source_id, request.user)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return _show_probes(request, session, [result], SourceForm())


@post_only
@of_session
def test_new_source(request: SignedIn, session: Session) -> HttpResponse:
    """Reads sources that were only typed into the form."""
    form = SourceForm(request.POST)
    if not form.is_valid():
        error = Invalid(" ".join(str(reason) for reason in form.errors["locator"]))
        return refused(request, error, "session_detail", session.pk)
    results = []
    for line in form.cleaned_data["locator"][:TESTED_MOST]:
        try:
            count_test(request.user)
        except SmnbError as error:
            return refused(request, error, "session_detail", session.pk)
        found = line.source
        results.append(
            probe(found.kind, found.locator, found.sort, request.user)
            if found
            else Probe(f"{line.text[:80]}: {line.reason}", ok=False)
        )
    return _show_probes(request, session, results, form)


def _show_probes(
    request: SignedIn, session: Session, results: list[Probe], form: SourceForm
) -> HttpResponse:
    # A test stores nothing, so the page without scripts is rendered, not redirected to.
    if request.htmx:
        context = {"probes": results, "session_id": session.pk}
        return render(request, "studio/sessions/_source_preview.html", context)
    return views.show(request, session, SOURCES, probes=results, replaced={"source_form": form})


@post_only
@of_session
def add_slot(request: SignedIn, session: Session) -> HttpResponse:
    form = SlotForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, SCHEDULE, status=422, replaced={"slot_form": form})
    return views.run(request, session, slots.ADD, form.cleaned_data, SCHEDULE, saved=SCHEDULE)


@post_only
@of_session
def change_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    form = SlotForm(request.POST)
    if not form.is_valid():
        return views.show(
            request,
            session,
            SCHEDULE,
            status=422,
            slot_id=str(slot_id),
            replaced={"slot_form": form},
        )
    data = {"slot": slot_id, **form.cleaned_data}
    return views.run(request, session, slots.CHANGE, data, SCHEDULE, saved=SCHEDULE)


@post_only
@of_session
def switch_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    """Enables or disables a slot."""
    # The days and times stay as they are: a missing field of the command keeps its value.
    data = {"slot": slot_id, "enabled": request.POST.get("enabled") == "true"}
    return views.run(request, session, slots.CHANGE, data, SCHEDULE, saved=SCHEDULE)


@post_only
@of_session
def remove_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    return views.run(request, session, slots.REMOVE, {"slot": slot_id}, SCHEDULE)


@post_only
@of_session
def add_interest(request: SignedIn, session: Session) -> HttpResponse:
    data = {name: request.POST.get(name, "") for name in ("text", "weight")}
    return _run_on_interests(request, session, rundown.SET_INTEREST, data)


@post_only
@of_session
def remove_interest(request: SignedIn, session: Session, interest_id: int) -> HttpResponse:
    data = {"interest": interest_id}
    return _run_on_interests(request, session, rundown.DROP_INTEREST, data)


def _run_on_interests(
    request: SignedIn, session: Session, command: Command[R], data: Mapping[str, object]
) -> HttpResponse:
    """Runs a command; for htmx the frame of its event updates the page."""
    if not request.htmx:
        return views.run(request, session, command, data, INTERESTS)
    try:
        commands.run(command, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return HttpResponse(status=204)
