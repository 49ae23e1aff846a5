"""Commands on drafts: start, stop, resume, advise, decide on comments. Also expires idle drafts."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from pydantic import Field, StringConstraints

from sessions_app import commands, preferences, rate_limits, sessions
from sessions_app.background import steps, sweeper
from sessions_app.commands import Call, Command, Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session
from stories.drafting import boards, drafts, versions
from stories.drafting.prompts import MOST_WISHES
from stories.drafting.versions import Outdated
from stories.drafting.workflow import STOPPED, TURN
from stories.models import BoardKeyword, Draft
from stories.models.drafts import FEWEST_WORDS, MOST_WORDS
from stories.text.cleaning import clean_line, clean_text

log = structlog.get_logger(__name__)

State = Draft.State

MOST_KEYWORDS = 8
STANDARD_WORDS = 400
LONGEST_WISH = 500
IDLE = "idle"
EXPIRE_AT_ONCE = 50  # drafts that one round of the sweeper expires

_STOPPED = "Stopped by hand. Press Resume to continue from here."

Keyword = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
StyleName = Literal["report", "feature", "explainer", "comment"]


class NewDraft(Payload):
    """The order of a new draft; ``language`` defaults to the session's."""

    keywords: list[Keyword] = Field(
        min_length=1, max_length=MOST_KEYWORDS, description="What the draft is about."
    )
    words: int = Field(
        STANDARD_WORDS, ge=FEWEST_WORDS, le=MOST_WORDS, description="Length in words."
    )
    style: StyleName = Field("report", description="The style of the text.")
    language: str | None = Field(
        None,
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$",
        description="The language as a tag such as en; null for that of the session.",
    )


class DraftId(Payload):
    """The draft that a command is about."""

    draft: int


class Advice(Payload):
    """A wish for the turns to come."""

    draft: int
    text: str = Field(min_length=1, max_length=LONGEST_WISH)


def start(call: Call) -> Draft:
    """Starts a draft about some keywords; keywords on a board move to the board Research."""
    session, order = call.target, call.payload
    # Each keyword once, in whatever case it was typed.
    by_folded = {
        text.casefold(): text for text in (clean_line(word, 80) for word in order.keywords)
    }
    if not all(any(char.isalnum() for char in text) for text in by_folded):
        raise Invalid("keywords: each needs a letter or a number.")
    with transaction.atomic():
        # First, because it locks the session before the draft is counted and created.
        _require_room(session)
        draft = Draft.objects.create(
            session=session,
            author=call.actor,
            keywords=list(by_folded.values()),
            words=order.words,
            style=order.style,
            language=order.language or session.language,
            active_at=steps.now(),
        )
        steps.enqueue(session, TURN, draft.pk)
        on_boards = BoardKeyword.objects.filter(session=session).values_list("pk", "text")
        for keyword_id, text in on_boards[: boards.MOST]:
            if text.casefold() in by_folded:
                boards.move(session, keyword_id, boards.Board.RESEARCH)
        drafts.changed(draft)
    return draft


def stop(call: Call) -> Draft:
    """Stops the agents of a draft; turns and versions stay, a turn in progress is dropped."""
    rows = _rows(call).filter(state__in=Draft.OPEN).exclude(note_code=STOPPED)
    return _change(
        call,
        rows,
        {"state": State.WAITING, "note": _STOPPED, "note_code": STOPPED},
        "This draft is not running, so there is nothing to stop.",
    )


def resume(call: Call) -> Draft:
    """Continues a draft that was stopped, waits, failed or expired."""
    rows = _rows(call).filter(state__in=(State.WAITING, State.FAILED, State.EXPIRED))
    with transaction.atomic():
        # A draft that is still open is counted already.
        if drafts.find(call.target, call.payload.draft).state not in Draft.OPEN:
            _require_room(call.target)
        return _change(
            call,
            rows,
            {"state": State.RUNNING, "note": "", "note_code": ""},
            "Only a draft that waits, failed or expired can be resumed.",
        )


def advise(call: Call) -> Draft:
    """Adds a wish, which all agents from the next turn on are given."""
    # Cleaning may leave nothing of a text that was not empty.
    text = clean_text(call.payload.text, LONGEST_WISH).strip()
    if not text:
        raise Invalid("text must not be empty.")
    with transaction.atomic():
        draft = drafts.find(call.target, call.payload.draft)
        # Locked, so that of two wishes added at once neither is lost.
        locked = _rows(call).select_for_update(no_key=True).get()
        wish = {"text": text, "turn": locked.turns}
        return _change(
            call,
            _rows(call).filter(state__in=Draft.OPEN),
            # More wishes are stored than agents are given, for the page.
            {"wishes": [*locked.wishes, wish][-4 * MOST_WISHES :]},
            f"This draft is {draft.state}, so no agent would read the wish.",
        )


class Decision(Payload):
    """What a person decides on a comment on ``version``, which must be the latest one."""

    draft: int
    version: int
    comment: int
    decision: Literal["accept", "reject", "undo"]


def decide(call: Call) -> Draft:
    """Accepts or rejects an agent's comment, or takes that back.

    Accepting a comment that suggests words puts them into the text, as a new version; other
    decisions are wishes, which all agents from the next turn on are given.
    """
    data: Decision = call.payload
    accepted = data.decision == "accept"
    with transaction.atomic():
        draft = drafts.find(call.target, data.draft)
        newest = versions.latest(draft)
        if newest is None:
            raise NotFound("This draft has no text yet, so there is no comment on it.")
        if newest.number != data.version:
            raise Outdated(newest)
        comment = versions.wish(draft, newest, data.comment)
        edited = comment["instead"] and comment["state"] == "accepted"
        if edited and data.decision != "undo":
            raise Conflict("The text follows this comment. Take that back first.")
        if (accepted and comment["instead"]) or (data.decision == "undo" and edited):
            versions.apply(comment, draft, newest, accepted, call.actor)
        elif accepted and draft.state not in Draft.OPEN:
            raise Conflict("No agent will work on this draft again. Edit the text by hand.")
        # Locked, so that of two wishes added at once neither is lost.
        locked = _rows(call).select_for_update(no_key=True).get()
        earlier = {versions.decision_on(comment, each) for each in (True, False)}
        wishes = [wish for wish in locked.wishes if wish["text"] not in earlier]
        if data.decision == "reject" or (accepted and not comment["instead"]):
            text = versions.decision_on(comment, accepted)
            wishes.append({"text": text, "turn": locked.turns})
        if wishes == locked.wishes:
            return locked
        return _change(call, _rows(call), {"wishes": wishes[-4 * MOST_WISHES :]}, "")


def _rows(call: Call) -> QuerySet[Draft]:
    return Draft.objects.filter(session=call.target, pk=call.payload.draft)


def _require_room(session: Session) -> None:
    """Raises Conflict when the session is archived or has as many open drafts as it may have."""
    if session.status == Session.Status.ARCHIVED:
        raise Conflict("The session is archived. Restore it first.", state="archived")
    # The lock makes requests that come at the same time count each other's draft.
    sessions.lock(session)
    most = settings.SMNB.limit_drafts
    open_drafts = Draft.objects.filter(session=session, state__in=Draft.OPEN).count()
    if rate_limits.reached(open_drafts, most):
        raise Conflict(f"This session has {most} open drafts. Finish or stop one first.")


def _change(call: Call, rows: QuerySet[Draft], changes: dict[str, object], refusal: str) -> Draft:
    """Updates the draft if it is still among ``rows``, else raises Conflict with ``refusal``."""
    with transaction.atomic():
        # Under a condition, as an agent or another request may have changed the draft since it was read.
        changed = rows.update(**changes, active_at=Now())
        draft = drafts.find(call.target, call.payload.draft)
        if not changed:
            raise Conflict(refusal, state=draft.state)
        if changes.get("state") == State.RUNNING:
            # A draft that waits has a step already, due later: bring it forward.
            steps.enqueue(draft.session, TURN, draft.pk)
            steps.run_now(draft.session, TURN, draft.pk)
        drafts.changed(draft)
    return draft


def expire(_up: float) -> None:
    """Expires open drafts without activity, in each round of the sweeper."""
    minutes = preferences.workspace().draft_idle_minutes
    note = f"No activity for {minutes} minutes. Press Resume to continue from here."

    def end(draft: Draft) -> None:
        with transaction.atomic():
            # The draft may have become active or finished since the query.
            rows = _idle(minutes).filter(pk=draft.pk)
            if rows.update(state=State.EXPIRED, note=note, note_code=IDLE):
                drafts.changed(drafts.find(draft.session, draft.pk))
                log.info("draft_expired", draft=draft.pk)

    idle = _idle(minutes).select_related("session")
    sweeper.for_each("Expiry of a draft", idle, end, EXPIRE_AT_ONCE)


def _idle(minutes: int) -> QuerySet[Draft]:
    idle = Draft.objects.filter(drafts.OPEN, active_at__lt=Now() - timedelta(minutes=minutes))
    return sessions.exclude_protected(idle)


START = Command("draft.start", NewDraft, start, "Starts a draft about some keywords.")
STOP = Command("draft.stop", DraftId, stop, "Stops the agents of a draft.")
RESUME = Command(
    "draft.resume", DraftId, resume, "Continues a draft that waits, failed or expired."
)
ADVISE = Command("draft.advise", Advice, advise, "Adds a wish for the agents of a draft.")
DECIDE = Command(
    "draft.decide", Decision, decide, "Accepts or rejects a comment on a draft, or takes that back."
)


def register() -> None:
    commands.register(START)
    commands.register(STOP)
    commands.register(RESUME)
    commands.register(ADVISE)
    commands.register(DECIDE)
    sweeper.register(expire)
