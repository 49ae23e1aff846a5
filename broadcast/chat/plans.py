"""Plans: commands that the producer proposes and a person has done with one click, or not at all.

What may be proposed stands here and nowhere else, as types that are narrower than those of the
commands. A plan is checked against them when it is proposed and once more when it is applied.

What a person decides about a plan: it is applied as a whole, once, or dismissed.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from django.db import transaction
from django.utils import timezone
from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from broadcast import orchestrator
from broadcast.chat import conversation
from broadcast.chat.facts import Wanted
from sessions_app import commands
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, NotFound, SmnbError
from sessions_app.events import recorder
from sessions_app.models import Message, Session
from stories import stories
from stories.drafting.boards import NewKeyword
from stories.models import Draft, Interest, SourcePost
from stories.posts.interests import InterestId, NewInterest
from stories.text import clean_line

MOST = 8  # commands of a plan

LONGEST_INSTRUCTIONS = 500

_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs"})


def _seen(text: str) -> str:
    """What is applied is what was shown: a text may hold nothing that the eye misses."""
    if any(unicodedata.category(char) in _UNSEEN and char != "\n" for char in text):
        raise ValueError("characters that cannot be seen")
    return text


Seen = Annotated[str, AfterValidator(_seen)]

Word = Annotated[Seen, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]


class HostManner(Payload):
    """How the host tells; the rest of a session's settings is not the producer's to propose."""

    pace: int | None = Field(None, ge=60, le=6000)
    personality: Literal["formal", "conversational", "analytical", "energetic"] | None = None
    verbosity: Literal["concise", "detailed", "comprehensive"] | None = None
    language: str | None = Field(None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")
    instructions: Seen | None = Field(None, max_length=LONGEST_INSTRUCTIONS)

    @model_validator(mode="after")
    def _says_something(self) -> HostManner:
        if not self.model_dump(exclude_none=True):
            raise ValueError("nothing is to change")
        return self


class Manner(Payload):
    settings: HostManner


class NewDraft(Payload):
    """What a draft is to be about."""

    keywords: list[Word] = Field(min_length=1, max_length=8)
    words: int = Field(400, ge=50, le=3000)
    style: Literal["report", "feature", "explainer", "comment"] = "report"
    language: str | None = Field(None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")


class Wish(NewInterest):
    text: Seen = Field(min_length=1, max_length=60)


class Keyword(NewKeyword):
    text: Word


class PostId(Payload):
    post: int


class Bookmark(Payload):
    story: int
    on: Literal[True] = True


@dataclass(frozen=True, slots=True)
class Allowed:
    """A command that may be proposed; ``sentence`` raises where its thing is not there."""

    payload: type[Payload]
    sentence: Callable[[Session, Any], str]


def _manner(session: Session, wanted: Manner) -> str:
    parts = []
    for name, value in wanted.settings.model_dump(exclude_none=True).items():
        now = getattr(session, name)
        match name:
            case "pace":
                parts.append(f"tell at {value} words a minute (now {now})")
            case "instructions":
                parts.append(f"give the host these instructions: “{value}”")
            case _:
                parts.append(f"set the {name} to {value} (now {now})")
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}."


def _interest(_session: Session, wanted: Wish) -> str:
    return f"Tell {wanted.weight} of “{wanted.text}”."


def _no_interest(session: Session, wanted: InterestId) -> str:
    found = Interest.objects.filter(session=session, pk=wanted.interest).first()
    if found is None:
        raise NotFound("This session has no such interest.")
    return f"Forget the interest “{found}”."


def _board(_session: Session, wanted: Keyword) -> str:
    return f"Put “{wanted.text}” on the board {wanted.board.capitalize()}."


def _draft(session: Session, wanted: NewDraft) -> str:
    about = ", ".join(wanted.keywords)
    language = wanted.language or session.language
    style = Draft.Style(wanted.style).label
    return f"Start a draft about {about}: a {style} of {wanted.words} words in {language}."


def _on_post(verb: str) -> Callable[[Session, PostId], str]:
    def sentence(session: Session, wanted: PostId) -> str:
        rows = SourcePost.objects.filter(session=session, pk=wanted.post)
        found = rows.filter(state__in=SourcePost.WAITING).first()
        if found is None:
            raise NotFound("No such post waits in this session.")
        return f"{verb} “{clean_line(found.title, 120)}”."

    return sentence


def _bookmark(session: Session, wanted: Bookmark) -> str:
    return f"Bookmark the story “{clean_line(stories.find(session, wanted.story).title, 120)}”."


ALLOWED: dict[str, Allowed] = {
    "session.change": Allowed(Manner, _manner),
    "interest.set": Allowed(Wish, _interest),
    "interest.drop": Allowed(InterestId, _no_interest),
    "board.add": Allowed(Keyword, _board),
    "draft.start": Allowed(NewDraft, _draft),
    "post.pin": Allowed(PostId, _on_post("Tell next:")),
    "post.hold": Allowed(PostId, _on_post("Hold back")),
    "post.kill": Allowed(PostId, _on_post("Take off the rundown for good:")),
    "story.bookmark": Allowed(Bookmark, _bookmark),
}


def offered() -> list[str]:
    """The commands that may be proposed in this studio."""
    return [name for name in ALLOWED if commands.exists(name)]


def checked(session: Session, name: str, payload: Any) -> tuple[dict[str, Any], str]:
    """The payload as the command takes it and the sentence for it; Conflict for all else."""
    allowed = ALLOWED.get(name)
    if allowed is None or not commands.exists(name):
        raise Conflict("The producer may not propose this.")
    try:
        wanted = allowed.payload.model_validate(payload)
    except ValidationError as error:
        raise Conflict(commands.validation_sentence(error)) from None
    data = wanted.model_dump(exclude_none=True)
    commands.parse(name, data)
    return data, allowed.sentence(session, wanted)


@dataclass(frozen=True, slots=True)
class Proposal:
    """``plan`` is what a message keeps, None without any command; ``note`` is for the person."""

    plan: dict[str, Any] | None
    note: str = ""


def proposed(session: Session, wanted: Iterable[Wanted]) -> Proposal:
    """Make a plan of what may be proposed; what may not is left out, and that is said."""
    found: dict[str, dict[str, Any]] = {}
    refused = 0
    for name, payload in wanted:
        try:
            data, sentence = checked(session, name, payload)
        except SmnbError:
            refused += 1
            continue
        one = {"command": name, "payload": data, "sentence": sentence}
        found[json.dumps([name, data], sort_keys=True)] = one
    kept = list(found.values())[:MOST]
    refused += len(found) - len(kept)
    plan = {"commands": kept, "outcome": ""} if kept else None
    return Proposal(plan, _note(refused))


def _note(refused: int) -> str:
    if not refused:
        return ""
    what = "One thing" if refused == 1 else f"{refused} things"
    return f"{what} I thought of cannot be proposed, so it is left out."


CHANGED = recorder.declare("message.changed", "A plan of the producer was applied or dismissed.")

APPLIED, DISMISSED = "applied", "dismissed"


class MessageId(Payload):
    """A message of the producer with a plan."""

    message: int


def apply(call: Call) -> Message:
    """Have every command of the plan done, or none; each is checked once more as it stands now."""
    session = call.target
    with orchestrator.locked_live_run(session):
        message = _settle(session, call.payload.message, APPLIED)
        done = [_run(call, each) for each in _plan(message)["commands"]]
        who = call.actor.get_username()
        _tell(message, f"{who} applied the plan. " + " ".join(done))
    return message


def dismiss(call: Call) -> Message:
    """Let the plan go: nothing of it will be done."""
    with transaction.atomic():
        message = _settle(call.target, call.payload.message, DISMISSED)
        recorder.record(message.session, CHANGED, {"message": recorder.message_payload(message)})
    return message


def _settle(session: Session, message_id: int, outcome: str) -> Message:
    """Decide about an open plan, once; Conflict when it is decided."""
    message = _find(session, message_id)
    plan = _plan(message) | {"outcome": outcome}
    undecided = Message.objects.filter(pk=message.pk, applied_at=None)
    if not undecided.update(applied_at=timezone.now(), plan=plan):
        raise Conflict("This plan was applied or dismissed already.")
    message.refresh_from_db(fields=["applied_at", "plan"])
    return message


def _find(session: Session, message_id: int) -> Message:
    rows = Message.objects.select_related("reply_to", "session")
    message = rows.filter(session=session, pk=message_id, plan__isnull=False).first()
    if message is None:
        raise NotFound("This session has no such plan.")
    return message


def _plan(message: Message) -> dict[str, Any]:
    return dict(message.plan or {})


def _run(call: Call, proposed: dict[str, Any]) -> str:
    data, sentence = checked(call.target, proposed["command"], proposed["payload"])
    commands.run(proposed["command"], call.actor, call.session, data)
    return sentence


def _tell(message: Message, text: str) -> None:
    """Record what was done as a message of its own, then the plan as it is now."""
    note = Message.objects.create(
        session=message.session, role=Message.Role.SYSTEM, code="plan_applied",
        text=text[: conversation.MOST_TEXT], reply_to=message,
    )  # fmt: skip
    conversation.record(note, answering=conversation.answering(message.session))
    recorder.record(message.session, CHANGED, {"message": recorder.message_payload(message)})


def register() -> None:
    for name, payload, function, meaning in (
        ("chat.say", conversation.Question, conversation.say, "Ask or tell the producer."),
        ("chat.apply", MessageId, apply, "Have a plan of the producer done."),
        ("chat.dismiss", MessageId, dismiss, "Let a plan of the producer go."),
    ):
        commands.register(name, payload, function, meaning)
