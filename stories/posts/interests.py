"""Interests: words a person wants to hear more or less of; waiting posts are ranked anew at once."""

from __future__ import annotations

from typing import Any, Literal

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Substr
from pydantic import Field

from sessions_app.commands import Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.models import Interest, SourcePost
from stories.posts import matching, queue
from stories.posts.scoring import label_of, weighed

CHANGED = recorder.declare(
    "interest.changed", "What is wanted more or less of changed; waiting posts were ranked anew."
)
MOST = 40  # interests of a session
MOST_RANKED = 1000  # waiting posts that are ranked anew at once
WEIGHTS = {"more": Interest.MORE, "less": Interest.LESS}


class NewInterest(Payload):
    """A word, or a few in a row, of which there is to be more or less."""

    text: str = Field(min_length=1, max_length=60)
    weight: Literal["more", "less"] = "more"


class InterestId(Payload):
    interest: int


def want(session: Session, text: str, weight: str) -> Interest:
    """Lift or lower what holds these words; said twice, the later word counts."""
    tidy = " ".join(text.split())
    key = matching.folded(tidy)
    if not key:
        raise Invalid("An interest needs a letter or a number.")
    with transaction.atomic():
        _hold(session)
        mine = Interest.objects.filter(session=session)
        if not mine.filter(folded=key).exists() and mine.count() >= MOST:
            raise Conflict(f"There are {MOST} interests, which is all there can be. Remove some.")
        interest, _ = Interest.objects.update_or_create(
            session=session, folded=key[:120], defaults={"text": tidy, "weight": WEIGHTS[weight]}
        )
        _changed(session)
    return interest


def drop(session: Session, interest_id: int) -> Interest:
    """Take the interest back."""
    with transaction.atomic():
        _hold(session)
        interest = Interest.objects.filter(session=session, pk=interest_id).first()
        if interest is None:
            raise NotFound("This session has no such interest.")
        Interest.objects.filter(pk=interest.pk).delete()
        _changed(session)
    return interest


def _hold(session: Session) -> None:
    """One after the other: whoever weighs the posts knows the interest that came before."""
    Session.objects.select_for_update(no_key=True).values_list("pk").get(pk=session.pk)


def of_session(session: Session) -> list[dict[str, Any]]:
    """The interests as pages, frames and the API show them, the oldest first."""
    return [payload(each) for each in Interest.objects.filter(session=session)[:MOST]]


def payload(interest: Interest) -> dict[str, Any]:
    more = interest.weight == Interest.MORE
    return {"id": interest.pk, "text": interest.text, "weight": "more" if more else "less"}


def _changed(session: Session) -> None:
    _rank_anew(session)
    shown = {"interests": of_session(session), "queue": queue.queue_payload(session)}
    recorder.record(session, CHANGED, shown)


def _waiting(session: Session) -> QuerySet[SourcePost]:
    rows = SourcePost.objects.filter(session=session, state__in=SourcePost.WAITING)
    # The body alone is long, and only its beginning is read.
    read = rows.defer("body").annotate(opening=Substr("body", 1, matching.MOST_READ))
    return read.select_related("source").order_by("-rank")


def _rank_anew(session: Session) -> None:
    """Weigh the waiting posts by the interests as they are now, in one statement.

    A rank moves by as much as its priority, so what a person moved by hand and what waiting added
    stay.
    """
    taste = matching.of_session(session.pk)
    moved = [post for post in _waiting(session)[:MOST_RANKED] if _weighed(post, taste)]
    SourcePost.objects.bulk_update(moved, ["priority", "label", "parts", "rank"])


def _weighed(post: SourcePost, taste: matching.Taste) -> bool:
    """Give the post its part of interest; whether that changes anything."""
    part = taste.of(post.title, post.opening, post.source.locator)  # type: ignore[attr-defined]
    if part == post.parts.get("interest", 0):
        return False
    parts = {name: share for name, share in post.parts.items() if name != "interest"}
    post.parts = parts | ({"interest": part} if part else {})
    before, post.priority = post.priority, weighed(post.parts)
    post.label = label_of(post.priority)
    post.rank = F("rank") + (post.priority - before)
    return True
