"""What a person does with a draft: starts, stops, resumes and advises it.

Drafts that nobody touched for long expire; by its id each can be resumed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from pydantic import Field, StringConstraints

from sessions_app import commands, rate_limits, sessions, workspace
from sessions_app.background import steps, sweeper
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, Invalid
from sessions_app.models import Session
from stories.drafting import boards, drafts
from stories.drafting.prompts import MOST_WISHES
from stories.drafting.workflow import STOPPED, TURN
from stories.models import BoardKeyword, Draft
from stories.text import clean_line, clean_text

log = structlog.get_logger(__name__)


State = Draft.State


MOST_KEYWORDS = 8

STANDARD_WORDS = 400

LONGEST_WISH = 500

_STOPPED = "Stopped by hand. Press Resume to go on from here."


Keyword = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]

StyleName = Literal["report", "feature", "explainer", "comment"]


class NewDraft(Payload):
    """What is to be written; without a language it is the session's."""

    keywords: list[Keyword] = Field(min_length=1, max_length=MOST_KEYWORDS)
    words: int = Field(STANDARD_WORDS, ge=50, le=3000)
    style: StyleName = "report"
    language: str | None = Field(None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")


class DraftId(Payload):
    draft: int


class Advice(Payload):
    """A wish for what is written from here on."""

    draft: int
    text: str = Field(min_length=1, max_length=LONGEST_WISH)


def start(call: Call) -> Draft:
    """Start a draft about some keywords; those on a board move to the board Research."""
    session, wanted = call.target, call.payload
    keywords = _keywords(wanted.keywords)
    with transaction.atomic():
        _room_for_one(session)
        draft = Draft.objects.create(
            session=session, author=call.actor, keywords=keywords, words=wanted.words,
            style=wanted.style, language=wanted.language or session.language,
            active_at=steps.now(),
        )  # fmt: skip
        steps.enqueue(session, TURN, draft.pk)
        for keyword in _on_boards(session, keywords):
            boards.move(session, keyword, boards.Board.RESEARCH)
        drafts.changed(draft)
    return draft


def _keywords(said: list[str]) -> list[str]:
    """Tidied, once each in any spelling; Invalid where one says nothing."""
    tidy = {each.casefold(): each for each in (clean_line(text, 80) for text in said)}
    if not all(any(char.isalnum() for char in each) for each in tidy):
        raise Invalid("keywords: each needs a letter or a number.")
    return list(tidy.values())


def _on_boards(session: Session, keywords: list[str]) -> list[int]:
    wanted = {each.casefold() for each in keywords}
    kept = BoardKeyword.objects.filter(session=session).values_list("pk", "text")
    return [pk for pk, text in kept[: boards.MOST] if text.casefold() in wanted]


def _room_for_one(session: Session) -> None:
    """Refuse one open draft too many; whoever comes at the same time is counted."""
    if session.status == Session.Status.ARCHIVED:
        raise Conflict("The session is archived. Restore it first.", state="archived")
    sessions.hold(session)
    most = settings.SMNB.limit_drafts
    if rate_limits.reached(
        Draft.objects.filter(session=session, state__in=Draft.OPEN).count(), most
    ):
        raise Conflict(f"This session has {most} open drafts. Finish or stop one first.")


def stop(call: Call) -> Draft:
    """Let the agents rest; what is written stays, and the turn under way is dropped."""
    return _change(
        call, _working(call), {"state": State.WAITING, "note": _STOPPED, "note_code": STOPPED},
        "This draft does not run, so there is nothing to stop.",
    )  # fmt: skip


def _working(call: Call) -> QuerySet[Draft]:
    return _mine(call).filter(state__in=Draft.OPEN).exclude(note_code=STOPPED)


def _mine(call: Call) -> QuerySet[Draft]:
    return Draft.objects.filter(session=call.target, pk=call.payload.draft)


def resume(call: Call) -> Draft:
    """Go on where a draft stopped, waits, failed or expired."""
    session = call.target
    resting = _mine(call).filter(state__in=(State.WAITING, State.FAILED, State.EXPIRED))
    with transaction.atomic():
        if drafts.find(session, call.payload.draft).state not in Draft.OPEN:
            _room_for_one(session)
        return _change(
            call, resting, {"state": State.RUNNING, "note": "", "note_code": ""},
            "Only a draft that waits, failed or expired can be resumed.",
        )  # fmt: skip


def advise(call: Call) -> Draft:
    """Tell the agents a wish; whoever's turn is next hears it."""
    text = clean_text(call.payload.text, LONGEST_WISH).strip()
    if not text:
        raise Invalid("text: say what you wish.")
    with transaction.atomic():
        draft = drafts.find(call.target, call.payload.draft)
        held = _mine(call).select_for_update(no_key=True).get()
        wish = {"text": text, "turn": held.turns}
        return _change(
            call, _mine(call).filter(state__in=Draft.OPEN),
            {"wishes": [*held.wishes, wish][-4 * MOST_WISHES :]},
            f"This draft is {draft.state}, so nobody would hear it.",
        )  # fmt: skip


def _change(call: Call, rows: QuerySet[Draft], changes: dict[str, Any], refusal: str) -> Draft:
    """One conditional UPDATE with its event; Conflict with ``refusal`` when the draft moved on."""
    with transaction.atomic():
        changed = rows.update(**changes, active_at=Now())
        draft = drafts.find(call.target, call.payload.draft)
        if not changed:
            raise Conflict(refusal, state=draft.state)
        if changes.get("state") == State.RUNNING:
            steps.enqueue(draft.session, TURN, draft.pk)
            steps.run_now(draft.session, TURN, draft.pk)
        drafts.changed(draft)
    return draft


IDLE = "idle"

CHUNK = 50


def expire(_up: float) -> None:
    """A round of the sweeper: only open drafts expire, so a finished text is never touched."""
    minutes = workspace.current().draft_idle_minutes
    for draft in _idle(minutes).select_related("session")[:CHUNK]:
        with sweeper.session_scope(draft.session), transaction.atomic():
            note = f"Nothing happened for {minutes} minutes. Press Resume to go on from here."
            mine = _idle(minutes).filter(pk=draft.pk)
            if mine.update(state=Draft.State.EXPIRED, note=note, note_code=IDLE):
                drafts.changed(drafts.find(draft.session, draft.pk))
                log.info("draft_expired", draft=draft.pk)


def _idle(minutes: int) -> QuerySet[Draft]:
    idle = Draft.objects.filter(drafts.OPEN, active_at__lt=Now() - timedelta(minutes=minutes))
    return sessions.others(idle)


def register() -> None:
    for name, payload, function, meaning in (
        ("draft.start", NewDraft, start, "Have the writers' room write about some keywords."),
        ("draft.stop", DraftId, stop, "Let the agents of a draft rest."),
        ("draft.resume", DraftId, resume, "Go on with a draft that waits, failed or expired."),
        ("draft.advise", Advice, advise, "Tell the agents of a draft a wish."),
    ):
        commands.register(name, payload, function, meaning)
    sweeper.register(expire)
