"""Versions of a draft. They never change; people can write, compare and restore them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import commands
from sessions_app.commands import Call, Command, Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from stories.drafting import drafts
from stories.drafting.agents import MOST_TEXT, MOST_TITLE
from stories.drafting.drafts import DraftMessagePayload, DraftWish
from stories.drafting.offline_agent import HEADINGS
from stories.llm import EXTRACTIVE
from stories.models import Draft, DraftVersion
from stories.text.cleaning import clean_line, clean_text
from stories.text.sentences import word_count


class DraftVersionPayload(TypedDict):
    """A version of a draft as pages, events and the API show it."""

    id: Annotated[int, Field(description="Id of the version.")]
    draft: Annotated[int, Field(description="Id of the draft.")]
    number: Annotated[int, Field(description="Number within the draft, from 1.")]
    author: Annotated[str, Field(description="writer, expert or human.")]
    by: Annotated[str, Field(description='User name of a human author, "" for an agent.')]
    reason: Annotated[str, Field(description="What changed in this version.")]
    title: Annotated[str, Field(description="Title of the text.")]
    text: Annotated[str, Field(description="The whole text, plain.")]
    word_count: Annotated[int, Field(description="Length in words.")]
    model: Annotated[
        str, Field(description='Its model; extractive is none, "" is a person or not known.')
    ]
    at: Annotated[str, Field(description="Time it was saved (ISO 8601).")]


class DraftVersionEvent(TypedDict):
    version: Annotated[DraftVersionPayload, Field(description="The new version.")]


ADDED = recorder.declare("draft.version", "A draft has a new version.", DraftVersionEvent)


def of_draft(draft: Draft) -> QuerySet[DraftVersion]:
    """Returns all versions, newest first."""
    rows = DraftVersion.objects.filter(draft=draft)
    return rows.select_related("user", "link").order_by("-number")


def latest(draft: Draft) -> DraftVersion | None:
    return of_draft(draft).first()


def payload(version: DraftVersion) -> DraftVersionPayload:
    """Returns a version as pages, events and the API show it."""
    return {
        "id": version.pk,
        "draft": version.draft_id,
        "number": version.number,
        "author": version.author,
        "by": version.user.get_username() if version.user else "",
        "reason": version.reason,
        "title": version.title,
        "text": version.text,
        "word_count": version.word_count,
        "model": version.link.model if version.link else "",
        "at": recorder.timestamp(version.created_at),
    }


class Comment(TypedDict):
    """What an agent says about the text or a place in it; only a ``wish`` is decided on."""

    number: Annotated[int, Field(description="Number within the version, from 1.")]
    role: Annotated[str, Field(description="researcher, writer, reader or expert.")]
    about: Annotated[str, Field(description='Topic, such as facts or style; "" for a reason.')]
    text: Annotated[str, Field(description="The comment.")]
    where: Annotated[str, Field(description='The place in the text, "" for all of it.')]
    instead: Annotated[str, Field(description='Words suggested for that place, or "".')]
    wish: Annotated[bool, Field(description="Whether it asks for a change, to be decided on.")]
    state: Annotated[str, Field(description="open, accepted or rejected.")]


class Segment(TypedDict):
    """A piece of the text, with the comment on it or the source that it names."""

    text: str
    comment: int | None
    source: Mapping[str, object] | None


class Paragraph(TypedDict):
    """A paragraph in pieces; ``heading`` is one of a dossier."""

    heading: bool
    pieces: list[Segment]


class Manuscript(TypedDict):
    """A text in paragraphs of pieces, with the comments of the agents."""

    paragraphs: list[Paragraph]
    comments: list[Comment]


def manuscript(
    version: DraftVersionPayload,
    turns: Sequence[DraftMessagePayload],
    wishes: Sequence[DraftWish] = (),
) -> Manuscript:
    """Returns a version with what the agents said of it, and the sources where it names them."""
    assembled = version["model"] == EXTRACTIVE
    comments = comments_on(version, turns, wishes)
    research = next((turn["payload"] for turn in turns if turn["kind"] == "research"), {})
    cited = cast("Sequence[Mapping[str, object]]", research.get("sources", []))
    sources = {str(source["credit"]): source for source in reversed(cited)}
    paragraphs: list[Paragraph] = []
    open_comments = [comment for comment in comments if comment["where"]]
    for paragraph in filter(str.strip, version["text"].split("\n")):
        places: list[tuple[int, int, int | None, str]] = []
        for comment in list(open_comments):
            # A remark quotes only the beginning of a long passage.
            where = comment["where"].rstrip("…").rstrip()
            if comment["instead"] and comment["state"] == "accepted":
                where = comment["instead"]
            if where and (at := paragraph.find(where)) >= 0:
                places.append((at, at + len(where), comment["number"], ""))
                open_comments.remove(comment)
        places += [
            (at, at + len(credit), None, credit)
            for credit in sources
            if credit and (at := paragraph.find(credit)) >= 0
        ]
        segments: list[Segment] = []
        end = 0
        for begin, until, number, credit in sorted(places, key=lambda place: place[:2]):
            # Of two places that overlap, the first one is marked.
            if begin >= end:
                segments.append({"text": paragraph[end:begin], "comment": None, "source": None})
                source = sources.pop(credit, None)
                piece = paragraph[begin:until]
                segments.append({"text": piece, "comment": number, "source": source})
                end = until
        segments.append({"text": paragraph[end:], "comment": None, "source": None})
        heading = assembled and paragraph in HEADINGS
        paragraphs.append({"heading": heading, "pieces": segments})
    return {"paragraphs": paragraphs, "comments": comments}


def decision_on(comment: Comment, accepted: bool) -> str:
    """Returns a decision as the wish that agents are given."""
    decision = "Accepted, do this" if accepted else "Rejected, do not do this"
    return clean_line(f"{decision}: {comment['text']} {comment['where']}", 500)


def comments(draft: Draft, version: DraftVersion) -> list[Comment]:
    """Returns the comments on a version of the draft."""
    turns = [drafts.message_payload(turn) for turn in drafts.of_draft(draft)]
    return comments_on(payload(version), turns, draft.wishes)


def wish(draft: Draft, version: DraftVersion, number: int) -> Comment:
    """Returns the comment with this number, if it asks for a change; raises NotFound."""
    for comment in comments(draft, version):
        if comment["wish"] and comment["number"] == number:
            return comment
    raise NotFound("This version has no such comment to decide on.")


def reason_of(comment: Comment, accepted: bool) -> str:
    """Returns why a version was made that a decision on a comment wrote."""
    verb = "Accepted" if accepted else "Took back"
    return f"{verb} comment {comment['number']}, by the {comment['role']}"


def place_of(newest: DraftVersion, comment: Comment) -> int:
    """Returns where an accepted comment put its words into the text, or -1 if that is not sure."""
    text, instead = newest.text, comment["instead"]
    rows = DraftVersion.objects.filter(draft=newest.draft_id).order_by("-number")
    edited = rows.filter(reason=reason_of(comment, accepted=True)).first()
    before = edited and rows.filter(number=edited.number - 1).first()
    if edited and before:
        at = before.text.find(comment["where"])
        rest = edited.text[at + len(instead) :]
        if at >= 0 and text.startswith(edited.text[:at] + instead):
            return at
        if at >= 0 and text.endswith(instead + rest):
            return len(text) - len(instead + rest)
    return text.find(instead) if text.count(instead) == 1 else -1


def apply(
    comment: Comment, draft: Draft, newest: DraftVersion, accepted: bool, author: User
) -> DraftVersion:
    """Stores a version with the suggested words of a comment, or with the earlier ones again."""
    before, after = comment["where"], comment["instead"]
    at = newest.text.find(before) if before else -1
    if not accepted:
        before, after = after, before
        at = place_of(newest, comment)
    if at < 0:
        raise Conflict("The text has no such passage any more. Edit it by hand.")
    text = newest.text[:at] + after + newest.text[at + len(before) :]
    return add(draft, author, newest.number, newest.title, text, reason_of(comment, accepted))


def _follows(text: str, comment: Comment) -> bool:
    """Whether a text has the suggested words of a comment, and its place no more."""
    where, instead = comment["where"], comment["instead"]
    # The new words may be a part of the old ones, or have them as a part.
    rest = text if instead in where else text.replace(instead, "")
    return instead in text and where not in rest


def comments_on(
    version: DraftVersionPayload,
    turns: Sequence[DraftMessagePayload],
    wishes: Sequence[DraftWish] = (),
) -> list[Comment]:
    """Returns the comments of the turn that wrote a version and of those up to the next version.

    A version by hand continues the one of the agents before it, with its comments.
    """
    # What rules assembled has no agents who would say something.
    turns = [turn for turn in turns if turn["model"] != EXTRACTIVE]
    by_agents = [cast("int", turn["payload"].get("version") or 0) for turn in turns]
    base = max((number for number in by_agents if number <= version["number"]), default=0)
    decisions = {wish["text"] for wish in wishes}
    base_text = version["text"]
    if base != version["number"]:
        rows = DraftVersion.objects.filter(draft=version["draft"], number=base)
        base_text = rows.values_list("text", flat=True).first() or ""
    comments: list[Comment] = []
    current = False

    def note(turn: DraftMessagePayload, text: str, remark: Mapping[str, str] | None = None) -> None:
        part = remark or {}
        where = part.get("where", "")
        comment: Comment = {
            "number": len(comments) + 1,
            "role": turn["role"],
            "about": part.get("about", ""),
            "text": text,
            "where": where,
            "instead": part.get("instead", "") if where else "",
            "wish": remark is not None,
            "state": "open",
        }
        # Only an edit makes the text follow: an agent may misquote it, or suggest what it says.
        edited = _follows(version["text"], comment) and not _follows(base_text, comment)
        followed = comment["instead"] and where in base_text and edited
        if followed or decision_on(comment, accepted=True) in decisions:
            comment["state"] = "accepted"
        elif decision_on(comment, accepted=False) in decisions:
            comment["state"] = "rejected"
        comments.append(comment)

    for turn in turns:
        payload = turn["payload"]
        if gaps := cast("Sequence[str]", payload.get("gaps", [])):
            note(turn, f"Nothing was found about: {', '.join(gaps)}.")
        written = payload.get("version")
        current = bool(base) and (written == base or (current and written is None))
        if current and (reason := str(payload.get("reason", ""))):
            note(turn, reason)
        for remark in cast("Sequence[Mapping[str, str]]", payload.get("remarks", [])):
            if current:
                note(turn, remark["wish"], remark)
    return comments


class Save(Payload):
    """A person's text; ``version`` is the one it was written from (0: none)."""

    draft: int
    version: int = Field(ge=0)
    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    reason: str = Field("Edited by hand", min_length=1, max_length=300)


class Restore(Payload):
    """The version to restore."""

    draft: int
    version: int


class Outdated(Conflict):
    """The text was written from an older version; ``latest`` is the one the author has not seen."""

    def __init__(self, latest: DraftVersion) -> None:
        super().__init__(
            f"Version {latest.number} was saved in the meantime. Look at it before you save yours.",
            state=str(latest.number),
            code="outdated",
        )
        self.latest = latest


def save(call: Call) -> DraftVersion:
    """Stores a person's text as a new version; Outdated when it is not based on the latest one."""
    data: Save = call.payload
    title, text = clean_line(data.title, MOST_TITLE), clean_text(data.text, MOST_TEXT)
    if not (title.strip() and word_count(text)):
        raise Invalid("The headline and the text must not be empty.")
    with transaction.atomic():
        draft = drafts.find(call.target, data.draft)
        newest = latest(draft)
        # A version that changes nothing would only make the history longer.
        if newest is not None and (newest.title, newest.text) == (title, text):
            raise Conflict("Nothing differs from the latest version.", code="unchanged")
        return add(draft, call.actor, data.version, title, text, data.reason)


def restore(call: Call) -> DraftVersion:
    """Stores a copy of an earlier version as the latest one."""
    with transaction.atomic():
        draft = drafts.find(call.target, call.payload.draft)
        old = of_draft(draft).filter(number=call.payload.version).first()
        if old is None:
            raise NotFound("This draft has no such version.")
        if old.number == draft.version:
            raise Conflict("This is the latest version already.", code="unchanged")
        reason = f"Restored from version {old.number}"
        return add(draft, call.actor, draft.version, old.title, old.text, reason)


def add(draft: Draft, author: User, base: int, title: str, text: str, reason: str) -> DraftVersion:
    """Stores a person's version after version ``base``; Outdated when there is a newer one."""
    # The condition on the version decides between two people, or a person and an agent, who save at
    # the same time: the second one changes no row.
    rows = Draft.objects.filter(pk=draft.pk, version=base)
    if not rows.update(version=F("version") + 1, title=title, active_at=Now()):
        newest = latest(draft)
        if newest is None:
            raise Invalid("version must be 0, because this draft has no version yet.")
        raise Outdated(newest)
    # The update used an expression, so the object does not have the new number.
    draft.refresh_from_db()
    version = DraftVersion.objects.create(
        session=draft.session,
        draft=draft,
        number=base + 1,
        author=DraftVersion.Author.HUMAN,
        user=author,
        reason=clean_line(reason, 300) or "Edited by hand",
        title=title,
        text=text,
        word_count=word_count(text),
    )
    recorder.record(draft.session, ADDED, {"version": payload(version)})
    drafts.changed(draft)
    return version


SAVE = Command("draft.save", Save, save, "Saves a text written by hand as a new version.")
RESTORE = Command(
    "draft.restore", Restore, restore, "Makes an earlier version of a draft the latest again."
)


def register() -> None:
    commands.register(SAVE)
    commands.register(RESTORE)
