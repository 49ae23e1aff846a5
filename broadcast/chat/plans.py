"""Plans: commands that the producer proposes and a person applies as a whole, or dismisses.

This module alone decides what may be proposed, with payload types narrower than those of the
commands. A plan is checked against them when it is proposed and again when it is applied.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from broadcast import airing, orchestrator
from broadcast.chat import conversation
from broadcast.chat.facts import Suggestion
from broadcast.orchestrator import AirPayload
from broadcast.states import State
from sessions_app import commands, rate_limits
from sessions_app.commands import Call, Command, Nothing, Payload
from sessions_app.errors import Conflict, NotFound, SmnbError
from sessions_app.events import recorder
from sessions_app.events.recorder import MessageEvent, PlannedCommandPayload, PlanPayload
from sessions_app.models import Message, Session
from stories import stories
from stories.drafting.boards import NewKeyword
from stories.models import Draft, Interest, SourcePost, Story
from stories.models.drafts import FEWEST_WORDS, MOST_WORDS
from stories.posts.interests import InterestId, NewInterest
from stories.text.cleaning import clean_line

MOST = 8  # commands of a plan
LONGEST_INSTRUCTIONS = 500
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs"})


def visible(text: str) -> str:
    """Refuses characters that a reader of the plan would not see."""
    if any(unicodedata.category(char) in _INVISIBLE and char != "\n" for char in text):
        raise ValueError("must not contain invisible characters")
    return text


VisibleText = Annotated[str, AfterValidator(visible)]
Word = Annotated[VisibleText, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]


class HostManner(Payload):
    """How the host speaks; the producer may not propose any other setting of a session."""

    pace: int | None = Field(None, ge=60, le=6000)
    personality: Session.Personality | None = None
    verbosity: Literal["concise", "detailed", "comprehensive"] | None = None
    language: Language | None = None
    instructions: VisibleText | None = Field(None, max_length=LONGEST_INSTRUCTIONS)

    @model_validator(mode="after")
    def refuse_empty(self) -> HostManner:
        if not self.model_dump(exclude_none=True):
            raise ValueError("must change at least one setting")
        return self


class SettingsChange(Payload):
    """A change of the host's manner."""

    settings: HostManner


class NewDraft(Payload):
    """The subject and form of a draft."""

    keywords: list[Word] = Field(min_length=1, max_length=8)
    words: int = Field(400, ge=FEWEST_WORDS, le=MOST_WORDS)
    style: Literal["report", "feature", "explainer", "comment"] = "report"
    language: Language | None = None


class InterestChange(NewInterest):
    """An interest whose text is visible."""

    text: VisibleText = Field(min_length=1, max_length=60)


class Keyword(NewKeyword):
    """A keyword whose text is visible."""

    text: Word


class WaitingStoryId(Payload):
    """A story that waits for a decision."""

    story: int


class AirableStoryId(Payload):
    """A story that is on air, waits or has aired."""

    story: int


class OwnWords(Payload):
    """A break-in: what the owner wants to have read, all of which the plan shows."""

    title: VisibleText = Field(min_length=1, max_length=120)
    text: VisibleText = Field(min_length=1, max_length=600)
    now: bool = False


class PostId(Payload):
    """A queued post."""

    post: int


class Bookmark(Payload):
    """A story to bookmark."""

    story: int
    on: Literal[True] = True


@dataclass(frozen=True, slots=True)
class Allowed:
    """A command that may be proposed; ``sentence`` raises when its object does not exist."""

    payload: type[Payload]
    sentence: Callable[[Session, Any], str]


def settings_sentence(session: Session, payload: SettingsChange) -> str:
    parts = []
    for name, value in payload.settings.model_dump(exclude_none=True).items():
        current = getattr(session, name)
        match name:
            case "pace":
                parts.append(f"speak at {value} words per minute (now {current})")
            case "instructions":
                parts.append(f"give the host these instructions: “{value}”")
            case _:
                parts.append(f"set the {name} to {value} (now {current})")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def interest_sentence(_session: Session, payload: InterestChange) -> str:
    return f"Cover {payload.weight} of “{payload.text}”."


def forget_sentence(session: Session, payload: InterestId) -> str:
    interest = Interest.objects.filter(session=session, pk=payload.interest).first()
    if interest is None:
        raise NotFound("This session has no such interest.")
    return f"Forget the interest “{interest}”."


def keyword_sentence(_session: Session, payload: Keyword) -> str:
    return f"Put “{payload.text}” on the board {payload.board.capitalize()}."


def draft_sentence(session: Session, payload: NewDraft) -> str:
    about = ", ".join(payload.keywords)
    language = payload.language or session.language
    style = Draft.Style(payload.style).label
    return f"Start a draft about {about}: a {style} of {payload.words} words in {language}."


def post_sentence(verb: str) -> Callable[[Session, PostId], str]:
    """Returns the function that names a queued post after ``verb``."""

    def sentence(session: Session, payload: PostId) -> str:
        rows = SourcePost.objects.filter(session=session, pk=payload.post)
        post = rows.filter(state__in=SourcePost.WAITING).first()
        if post is None:
            raise NotFound("This session has no such post in its queue.")
        return f"{verb} “{clean_line(post.title, 120)}”."

    return sentence


def bookmark_sentence(session: Session, payload: Bookmark) -> str:
    title = clean_line(stories.find(session, payload.story).title, 120)
    return f"Bookmark the story “{title}”."


def run_sentence(
    sentence: str, possible: Callable[[AirPayload], bool]
) -> Callable[[Session, Nothing], str]:
    """Returns the function that says a command of the run; it refuses what the state does not allow."""

    def say(session: Session, _payload: Nothing) -> str:
        air = orchestrator.latest_payload(session)
        if not possible(air):
            raise Conflict(orchestrator.REFUSALS[State(air["state"])], state=air["state"])
        return sentence

    return say


def stop_sentence(session: Session, payload: airing.StopTime) -> str:
    air = orchestrator.latest_payload(session)
    if not air["can_stop"]:
        raise Conflict(orchestrator.REFUSALS[State(air["state"])], state=air["state"])
    if payload.when == "story":
        return "Stop the broadcast after the story on air."
    return "Stop the broadcast now, with 5 seconds to undo it."


def undo_sentence(session: Session, _payload: Nothing) -> str:
    if orchestrator.latest_payload(session)["ending"] is None:
        raise Conflict("There is no stop to undo.")
    return "Do not stop: the broadcast stays live."


def decision_sentence(verb: str) -> Callable[[Session, WaitingStoryId], str]:
    """Returns the function that names a waiting story after ``verb``."""

    def sentence(session: Session, payload: WaitingStoryId) -> str:
        story = stories.waiting(session).filter(pk=payload.story).first()
        if story is None:
            raise NotFound("No such story waits for a decision.")
        return f"{verb} “{clean_line(story.title, 120)}”."

    return sentence


def pull_sentence(session: Session, payload: AirableStoryId) -> str:
    story = stories.of_session(session).filter(pk=payload.story, state__in=Story.OPEN).first()
    if story is None:
        raise NotFound("There is no such story on air, waiting or aired.")
    return f"Take off the air and the public pages: “{clean_line(story.title, 120)}”."


def break_in_sentence(_session: Session, payload: OwnWords) -> str:
    when = "now" if payload.now else "after the story on air"
    return f"Break in {when} and read: “{payload.text}”"


ALLOWED: dict[str, Allowed] = {
    "broadcast.start": Allowed(Nothing, run_sentence("Go live.", lambda air: air["can_start"])),
    "broadcast.ask_to_stop": Allowed(airing.StopTime, stop_sentence),
    "broadcast.undo_stop": Allowed(Nothing, undo_sentence),
    "broadcast.recover": Allowed(
        Nothing, run_sentence("Resume the run that failed.", lambda air: air["can_recover"])
    ),
    "story.approve": Allowed(WaitingStoryId, decision_sentence("Approve for air:")),
    "story.veto": Allowed(WaitingStoryId, decision_sentence("Keep off the air:")),
    "story.kill": Allowed(AirableStoryId, pull_sentence),
    "story.break_in": Allowed(OwnWords, break_in_sentence),
    "session.change": Allowed(SettingsChange, settings_sentence),
    "interest.set": Allowed(InterestChange, interest_sentence),
    "interest.drop": Allowed(InterestId, forget_sentence),
    "board.add": Allowed(Keyword, keyword_sentence),
    "draft.start": Allowed(NewDraft, draft_sentence),
    "post.pin": Allowed(PostId, post_sentence("Narrate next:")),
    "post.hold": Allowed(PostId, post_sentence("Hold back")),
    "post.release": Allowed(PostId, post_sentence("Return to the rundown:")),
    "post.kill": Allowed(PostId, post_sentence("Remove from the rundown for good:")),
    "story.bookmark": Allowed(Bookmark, bookmark_sentence),
}


def offered() -> list[str]:
    """Returns the names of the commands that may be proposed here."""
    return [name for name in ALLOWED if commands.exists(name)]


def checked(session: Session, name: str, payload: object) -> tuple[Mapping[str, object], str]:
    """Returns the validated payload and its sentence; raises Conflict or NotFound otherwise."""
    allowed = ALLOWED.get(name)
    if allowed is None or not commands.exists(name):
        raise Conflict("The producer may not propose this.")
    try:
        narrow = allowed.payload.model_validate(payload)
    except ValidationError as error:
        raise Conflict(commands.validation_sentence(error)) from None
    data = narrow.model_dump(exclude_none=True)
    # The command's own type may have rules that the narrower one lacks.
    commands.parse(name, data)
    return data, allowed.sentence(session, narrow)


@dataclass(frozen=True, slots=True)
class Proposal:
    """``plan`` is stored with the message (None without commands); ``note`` is for the person."""

    plan: PlanPayload | None
    note: str = ""


def propose(session: Session, suggestions: Iterable[Suggestion]) -> Proposal:
    """Makes a plan of the suggestions that are allowed; the note counts those left out."""
    planned: dict[str, PlannedCommandPayload] = {}
    refused = 0
    for name, payload in suggestions:
        try:
            data, sentence = checked(session, name, payload)
        except SmnbError:
            refused += 1
            continue
        # A command that is suggested twice is planned once.
        key = json.dumps([name, data], sort_keys=True)
        planned[key] = {"command": name, "payload": data, "sentence": sentence}
    shown = list(planned.values())[:MOST]
    refused += len(planned) - len(shown)
    note = ""
    if refused == 1:
        note = "One change cannot be proposed, so it is left out."
    elif refused:
        note = f"{refused} changes cannot be proposed, so they are left out."
    return Proposal({"commands": shown, "outcome": ""} if shown else None, note)


CHANGED = recorder.declare(
    "message.changed", "A plan of the producer was applied or dismissed.", MessageEvent
)
APPLIED, DISMISSED = "applied", "dismissed"


class MessageId(Payload):
    """A message of the producer with a plan."""

    message: int


def apply(call: Call) -> Message:
    """Runs every command of the plan, or none; each is checked again against the current state."""
    session = call.target
    with orchestrator.locked_live_run(session):
        message, plan = _settle(session, call.payload.message, APPLIED)
        sentences = []
        for planned in plan["commands"]:
            data, sentence = checked(session, planned["command"], planned["payload"])
            if planned["command"] in ("broadcast.start", "broadcast.recover"):
                rate_limits.count("go-live requests", call.actor.pk, settings.SMNB.limit_go_live)
            commands.run(planned["command"], call.actor, call.session, data)
            sentences.append(sentence)
        text = f"{call.actor.get_username()} applied the plan. {' '.join(sentences)}"
        note = Message.objects.create(
            session=message.session,
            role=Message.Role.SYSTEM,
            code="plan_applied",
            text=text[: conversation.MOST_TEXT],
            reply_to=message,
        )
        conversation.record(note, answering=conversation.answering(message.session))
        recorder.record(message.session, CHANGED, {"message": recorder.message_payload(message)})
    return message


def dismiss(call: Call) -> Message:
    """Closes the plan without running any of its commands."""
    with transaction.atomic():
        message, _ = _settle(call.target, call.payload.message, DISMISSED)
        recorder.record(message.session, CHANGED, {"message": recorder.message_payload(message)})
    return message


def _settle(session: Session, message_id: int, outcome: str) -> tuple[Message, PlanPayload]:
    """Sets the outcome of an open plan; raises Conflict when it has one."""
    rows = Message.objects.select_related("reply_to", "session")
    message = rows.filter(session=session, pk=message_id, plan__isnull=False).first()
    if message is None or message.plan is None:
        raise NotFound("This session has no such plan.")
    plan: PlanPayload = {"commands": message.plan["commands"], "outcome": outcome}
    # Of two people who decide at the same time, the conditional update accepts one.
    undecided = Message.objects.filter(pk=message.pk, applied_at=None)
    if not undecided.update(applied_at=timezone.now(), plan=plan):
        raise Conflict("This plan was already applied or dismissed.")
    message.refresh_from_db(fields=["applied_at", "plan"])
    return message, plan


APPLY = Command("chat.apply", MessageId, apply, "Runs the commands of a plan of the producer.")
DISMISS = Command("chat.dismiss", MessageId, dismiss, "Closes a plan without running it.")


def register() -> None:
    commands.register(conversation.SAY)
    commands.register(APPLY)
    commands.register(DISMISS)
