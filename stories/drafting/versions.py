"""Versions of a draft: never changed again, compared, restored, and written by people too."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from pydantic import Field

from sessions_app import commands
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from stories.drafting import drafts
from stories.drafting.agents import MOST_TEXT, MOST_TITLE
from stories.models import Draft, DraftVersion
from stories.text import clean_line, clean_text, word_count

ADDED = recorder.declare("draft.version", "A draft has a new version.")


def of_draft(draft: Draft) -> QuerySet[DraftVersion]:
    """All versions, the newest first."""
    return DraftVersion.objects.filter(draft=draft).select_related("user").order_by("-number")


def latest(draft: Draft) -> DraftVersion | None:
    return of_draft(draft).first()


def payload(version: DraftVersion) -> dict[str, Any]:
    """A version; ``author`` is "writer", "expert" or "human", ``by`` that person's name or ""."""
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
        "at": recorder.timestamp(version.created_at),
    }


class Save(Payload):
    """A person's text; ``version`` is the one it was written from (0: none)."""

    draft: int
    version: int = Field(ge=0)
    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    reason: str = Field("Edited by hand", min_length=1, max_length=300)


class Restore(Payload):
    draft: int
    version: int


class Outdated(Conflict):
    """Somebody else was faster: ``latest`` is the version that was not seen."""

    def __init__(self, latest: DraftVersion) -> None:
        super().__init__(
            f"Version {latest.number} was saved meanwhile. Look at it before you save yours.",
            state=str(latest.number), code="outdated",
        )  # fmt: skip
        self.latest = latest


def save(call: Call) -> DraftVersion:
    """Keep what a person wrote as a new version; Outdated when it was not written from the latest."""
    wanted: Save = call.payload
    title, text = clean_line(wanted.title, MOST_TITLE), clean_text(wanted.text, MOST_TEXT)
    if not (title.strip() and word_count(text)):
        raise Invalid("Write a headline and a text.")
    with transaction.atomic():
        draft = drafts.find(call.target, wanted.draft)
        newest = latest(draft)
        if newest is not None and (newest.title, newest.text) == (title, text):
            raise Conflict("Nothing is different from the latest version.", code="unchanged")
        return _add(draft, call.actor, wanted.version, title, text, wanted.reason)


def restore(call: Call) -> DraftVersion:
    """Make an earlier version the latest again, as a new one."""
    with transaction.atomic():
        draft = drafts.find(call.target, call.payload.draft)
        old = of_draft(draft).filter(number=call.payload.version).first()
        if old is None:
            raise NotFound("This draft has no such version.")
        if old.number == draft.version:
            raise Conflict("This is the latest version already.", code="unchanged")
        reason = f"Restored from version {old.number}"
        return _add(draft, call.actor, draft.version, old.title, old.text, reason)


def _add(draft: Draft, author: User, base: int, title: str, text: str, reason: str) -> DraftVersion:
    mine = Draft.objects.filter(pk=draft.pk, version=base)
    if not mine.update(version=F("version") + 1, title=title, active_at=Now()):
        newest = latest(draft)
        if newest is None:
            raise Invalid("version: this draft has none yet, so it is 0.")
        raise Outdated(newest)
    draft.refresh_from_db()
    version = DraftVersion.objects.create(
        session=draft.session, draft=draft, number=base + 1, author=DraftVersion.Author.HUMAN,
        user=author, reason=clean_line(reason, 300) or "Edited by hand", title=title, text=text,
        word_count=word_count(text),
    )  # fmt: skip
    recorder.record(draft.session, ADDED, {"version": payload(version)})
    drafts.changed(draft)
    return version


def register() -> None:
    for name, payload_type, function, meaning in (
        ("draft.save", Save, save, "Save a new version of a draft, written by hand."),
        ("draft.restore", Restore, restore, "Make an earlier version of a draft the latest again."),
    ):
        commands.register(name, payload_type, function, meaning)
