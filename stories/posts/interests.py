"""Interests: words the owner wants more or less of; a change ranks the waiting posts again."""

from __future__ import annotations

from typing import Annotated, Literal

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Substr
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app.commands import Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.models import Interest, SourcePost
from stories.posts import queue, scoring
from stories.posts.queue import QueuedPost
from stories.posts.scoring import priority_of

MOST = 40  # interests of a session
MOST_RANKED = 1000  # waiting posts that are ranked again after a change
WEIGHTS = {"more": Interest.MORE, "less": Interest.LESS}


class InterestPayload(TypedDict):
    """An interest of a session."""

    id: Annotated[int, Field(description="Id of the interest.")]
    text: Annotated[str, Field(description="The words as the owner typed them.")]
    weight: Annotated[Literal["more", "less"], Field(description="Whether to read more or less.")]


class InterestsChanged(TypedDict):
    """Payload of interest.changed."""

    interests: Annotated[list[InterestPayload], Field(description="All interests, oldest first.")]
    queue: Annotated[list[QueuedPost], Field(description="The first posts of the queue.")]


CHANGED = recorder.declare(
    "interest.changed",
    "An interest was added, changed or removed; waiting posts were ranked again.",
    InterestsChanged,
)


class NewInterest(Payload):
    """A word, or a few in a row, of which the owner wants more or less."""

    text: str = Field(min_length=1, max_length=60, description="The words.")
    weight: Literal["more", "less"] = Field("more", description="more or less.")


class InterestId(Payload):
    interest: int


def save(session: Session, text: str, weight: str) -> Interest:
    """Stores an interest; the same words a second time replace the weight."""
    tidy = " ".join(text.split())
    key = scoring.folded(tidy)
    if not key:
        raise Invalid("An interest must contain a letter or a number.")
    with transaction.atomic():
        _lock(session)
        rows = Interest.objects.filter(session=session)
        # Changing the weight of an existing interest is possible at the limit too.
        if not rows.filter(folded=key).exists() and rows.count() >= MOST:
            raise Conflict(f"There are {MOST} interests, the maximum. Remove one first.")
        interest, _ = Interest.objects.update_or_create(
            session=session, folded=key[:120], defaults={"text": tidy, "weight": WEIGHTS[weight]}
        )
        _rank_and_record(session)
    return interest


def remove(session: Session, interest_id: int) -> Interest:
    """Removes an interest of the session."""
    with transaction.atomic():
        _lock(session)
        interest = find(session, interest_id)
        Interest.objects.filter(pk=interest.pk).delete()
        _rank_and_record(session)
    return interest


def find(session: Session, interest_id: int) -> Interest:
    """Returns an interest of the session; raises NotFound when there is no such interest."""
    interest = Interest.objects.filter(session=session, pk=interest_id).first()
    if interest is None:
        raise NotFound("This session has no such interest.")
    return interest


def _lock(session: Session) -> None:
    """Locks the session's row, so that two changes at once rank the posts by both interests."""
    Session.objects.select_for_update(no_key=True).values_list("pk").get(pk=session.pk)


def of_session(session: Session) -> list[InterestPayload]:
    """Returns the interests as pages, frames and the API show them, the oldest first."""
    return [payload(row) for row in Interest.objects.filter(session=session)[:MOST]]


def payload(interest: Interest) -> InterestPayload:
    more = interest.weight == Interest.MORE
    return {"id": interest.pk, "text": interest.text, "weight": "more" if more else "less"}


def _rank_and_record(session: Session) -> None:
    """Ranks the waiting posts by the interests as they are now, and records the change.

    The rank of a post changes by as much as its priority. So what it gained by waiting, and where a
    person moved it, stay as they are.
    """
    interests = scoring.of_session(session.pk)
    rows = SourcePost.objects.filter(session=session, state__in=SourcePost.WAITING)
    # A body is long, and only its beginning is read.
    posts = rows.defer("body").annotate(opening=Substr("body", 1, scoring.MOST_READ))
    changed = []
    for post in posts.select_related("source").order_by("-rank")[:MOST_RANKED]:
        interest = interests.match(post.title, post.opening, post.source.locator)
        # Most posts match no interest, so most rows need no write.
        if interest == post.parts.get("interest", 0):
            continue
        parts = {name: share for name, share in post.parts.items() if name != "interest"}
        post.parts = parts | ({"interest": interest} if interest else {})
        before, post.priority = post.priority, priority_of(post.parts)
        # In the database, because a person may move the post at the same time.
        post.rank = F("rank") + (post.priority - before)
        changed.append(post)
    # One statement for many rows: the posts stay locked until the commit only.
    SourcePost.objects.bulk_update(changed, ["priority", "parts", "rank"])
    queue.label(session.pk, changed)
    changes = {"interests": of_session(session), "queue": queue.queue_payload(session)}
    recorder.record(session, CHANGED, changes)
