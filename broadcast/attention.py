"""What needs the owner, over all sessions: one list, read in a bounded number of queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from broadcast.health.workers import HOLD_ADVICE, RESUMES
from broadcast.models import Broadcast, Transfer
from broadcast.states import State
from sessions_app import credentials
from sessions_app.events import recorder
from sessions_app.models import SealedKey, Session
from sessions_app.money import dollars
from sessions_app.sessions import used_percent
from stories import stories
from stories.llm import EXTRACTIVE
from stories.models import Source, SourcePost, Story
from stories.text.cleaning import clean_line
from stories.usage import budget

MOST = 20  # needs of one kind
# A failed export is not shown for longer.
TRANSFER_AGE = timedelta(days=7)
WORKS = "Works"  # how the result of a test begins that went well
PASSING = "Test again"  # what the result says of a test that could not be made


@dataclass(frozen=True, slots=True)
class Action:
    """A way to solve a need: a button that posts ``name=value``, or without a name a link."""

    label: str
    url: str
    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing to do; ``key`` identifies it for as long as it lasts."""

    key: str
    session: Session
    what: str
    detail: str
    at: str  # ISO 8601
    actions: tuple[Action, ...]


def of_user(user: User) -> list[Need]:
    """Returns what needs the user in the sessions that are not archived, the most urgent first."""
    mine = Session.objects.for_user(user).exclude(status=Session.Status.ARCHIVED)
    rows = Broadcast.objects.exclude(state=State.IDLE).filter(session__in=mine)
    runs = list(rows.select_related("session__stats").order_by("id"))
    on_air = [run.session_id for run in runs]
    posts = SourcePost.objects.filter(session__in=on_air, state=SourcePost.State.HELD)
    sources = Source.objects.filter(session__in=on_air, enabled=True)
    failed = sources.filter(health=Source.Health.FAILED).select_related("session")
    unfinished = sources.exclude(health=Source.Health.FINISHED).values_list("session", flat=True)
    return [
        *stories_to_decide(user),
        *runs_that_wait(runs, set(unfinished.order_by().distinct())),
        *faulty_keys(user, runs),
        *used_budgets(user, runs),
        *(failed_source(source) for source in failed[:MOST]),
        *(held_post(post) for post in posts.select_related("session").order_by("id")[:MOST]),
        *failed_transfers(user),
    ]


def stories_to_decide(user: User) -> Iterator[Need]:
    """Yields the stories that air only after an editor has decided."""
    decided = Q(held=True) | Q(session__control_mode=Session.ControlMode.FULL_CONTROL)
    mine = Session.objects.for_user(user).exclude(status=Session.Status.ARCHIVED)
    # WAITING besides the state, as only that condition is the one of the partial index.
    rows = Story.objects.filter(stories.WAITING, decided, session__in=mine, state="written")
    for story in rows.select_related("session").order_by("id")[:MOST]:
        title = clean_line(story.title, 120)
        what = f"“{title}” waits for your approval."
        if story.held:
            number = stories.unsupported(story)
            sentences = "1 sentence is" if number == 1 else f"{number} sentences are"
            what = f"“{title}” is held: {sentences} not in its sources."
        decide = reverse("story_decide", args=[story.session_id, story.pk])
        page = reverse("story", args=[story.session_id, story.pk])
        yield Need(
            f"story-{story.pk}",
            story.session,
            what,
            clean_line(story.narrative, 240),
            recorder.timestamp(story.created_at),
            (
                Action("Approve", decide, "decision", "approve"),
                Action("Veto", decide, "decision", "veto"),
                Action("Edit", page),
            ),
        )


def runs_that_wait(runs: list[Broadcast], reading: set[UUID]) -> Iterator[Need]:
    """Yields runs that ended in an error, wait for the owner, or have nothing more to read.

    ``reading`` has the sessions with a source that is not at its end.
    """
    for run in runs:
        command = reverse("broadcast_command", args=[run.session_id])
        session_page = reverse("session_detail", args=[run.session_id])
        since = recorder.timestamp(run.since)
        if run.state == State.ERROR:
            actions = (
                Action("Recover", command, "command", "recover"),
                Action("Stop", command, "command", "stop"),
            )
            what = "The broadcast ended in an error."
            yield Need(f"run-{run.pk}", run.session, what, run.last_error, since, actions)
        if run.state != State.LIVE:
            continue
        # One that has a time resumes automatically, and that of the budget is shown with the budget.
        if run.hold and not run.hold["until"] and run.hold["code"] != budget.CODE:
            advice, place = HOLD_ADVICE.get(run.hold["code"], (RESUMES, ""))
            page = reverse("account") + "#keys" if place == "account" else session_page
            label = "Open User Settings" if place == "account" else "Open the session"
            key = f"hold-{run.pk}-{run.hold['code']}"
            what = f"Narration waits: {run.hold['sentence']}"
            yield Need(key, run.session, what, advice, since, (Action(label, page),))
        if run.session_id not in reading and run.session.stats.queue == 0:
            loop = reverse("sources_loop", args=[run.session_id])
            ways = (
                Action("Add a source", f"{session_page}#sources-panel"),
                # Only a recording comes to an end.
                Action("Loop the recording", loop, "loop"),
                Action("Stop after this story", command, "command", "stop_after_story"),
            )
            what = "All sources are at their end, and no post waits."
            detail = "Add a source, loop the recording, or stop the broadcast."
            yield Need(f"end-{run.pk}", run.session, what, detail, since, ways)


def faulty_keys(user: User, runs: list[Broadcast]) -> Iterator[Need]:
    """Yields the keys that sessions on air lack, and those that failed their last test."""
    if not runs:
        return
    action = (Action("Open User Settings", reverse("account") + "#keys"),)
    rows = credentials.by_service(user)
    shared = bool(settings.SMNB.anthropic_api_key.get_secret_value())
    asking = [run for run in runs if run.session.model != EXTRACTIVE]
    if asking and not shared and SealedKey.Service.ANTHROPIC not in rows:
        session = asking[0].session
        what = f"There is no Anthropic key, so {session.model} is not asked."
        detail = (
            "Stories are read in the words of the posts. Set a key, or choose the extractive model."
        )
        at = recorder.timestamp(asking[0].since)
        yield Need("key-missing", session, what, detail, at, action)
    for row in rows.values():
        wrong = row.verdict and WORKS not in row.verdict and PASSING not in row.verdict
        if row.tested_at is not None and wrong:
            what = f"The {row.get_service_display()} key failed its last test."
            at = recorder.timestamp(row.tested_at)
            yield Need(f"key-{row.service}", runs[0].session, what, row.verdict, at, action)


def used_budgets(user: User, runs: list[Broadcast]) -> Iterator[Need]:
    """Yields the sessions whose budget is nearly or wholly used."""
    rows = Session.objects.for_user(user).exclude(status=Session.Status.ARCHIVED)
    waits = {run.session_id for run in runs if run.hold and run.hold["code"] == budget.CODE}
    # Divided first, as the product of the largest amounts would not fit into the column's type.
    warn_at = F("budget") / 100 * budget.WARN_AT
    nearly = rows.filter(Q(budget__gt=0, stats__cost_upper__gte=warn_at) | Q(pk__in=waits))
    for session in nearly.select_related("stats").order_by("-created_at")[:MOST]:
        spent, limit = session.stats.cost_upper, session.budget or 0
        percent = used_percent(spent, limit)
        used_up = percent >= 100 or session.pk in waits
        detail = f"At 100 % narration waits. {dollars(limit - spent)} is left."
        if used_up:
            detail = "Narration waits until you raise it."
        page = reverse("session_detail", args=[session.pk]) + "#budget"
        yield Need(
            f"budget-{session.pk}-{100 if used_up else budget.WARN_AT}",
            session,
            f"{percent} % of the budget is used: {dollars(spent)} of {dollars(limit)}.",
            detail,
            recorder.timestamp(session.stats.last_story_at or session.created_at),
            (Action("Raise the budget", page),),
        )


def failed_source(source: Source) -> Need:
    page = reverse("session_detail", args=[source.session_id]) + "#sources-panel"
    remove = reverse("source_remove", args=[source.session_id, source.pk])
    return Need(
        f"source-{source.pk}",
        source.session,
        f"{source.locator[:80]} cannot be read.",
        source.note,
        recorder.timestamp(source.last_polled_at or source.added_at),
        (Action("Open the sources", page), Action("Remove", remove, "source", str(source.pk))),
    )


def held_post(post: SourcePost) -> Need:
    url = reverse("rearrange", args=[post.session_id])
    return Need(
        f"post-{post.pk}",
        post.session,
        f"“{clean_line(post.title, 120)}” is held in the rundown.",
        "The host does not use it until you release it.",
        recorder.timestamp(post.created_at),
        (
            Action("Release", url, "do", f"release {post.pk}"),
            Action("Kill", url, "do", f"kill {post.pk}"),
        ),
    )


def failed_transfers(user: User) -> Iterator[Need]:
    """Yields the exports and imports that failed and have not been repeated since."""
    rows = Transfer.objects.filter(
        session__owner=user,
        state=Transfer.State.FAILED,
        created_at__gte=timezone.now() - TRANSFER_AGE,
    ).exclude(session__status=Session.Status.ARCHIVED)
    later = Transfer.objects.filter(
        session=OuterRef("session"),
        way=OuterRef("way"),
        format=OuterRef("format"),
        pk__gt=OuterRef("pk"),
    )
    for transfer in rows.filter(~Exists(later)).select_related("session").order_by("-id")[:MOST]:
        action = Action("Import it again", reverse("sessions"))
        if transfer.way == Transfer.Way.EXPORT:
            url = reverse("session_export", args=[transfer.session_id])
            action = Action("Export it again", url, "format", transfer.format)
        yield Need(
            f"transfer-{transfer.pk}",
            transfer.session,
            f"The {transfer.way} as {transfer.format} failed.",
            transfer.error,
            recorder.timestamp(transfer.created_at),
            (action,),
        )
