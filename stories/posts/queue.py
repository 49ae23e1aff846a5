"""Posts of a session: inserted once, scored, de-duplicated, and claimed one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from sessions_app.background.steps import Claim
from sessions_app.events.recorder import timestamp
from sessions_app.models import Session, Step
from stories.models import Source, SourcePost
from stories.posts import matching
from stories.posts.duplicates import nearest
from stories.posts.matching import Taste
from stories.posts.scoring import score
from stories.text import canonical_url
from stories.types import FetchedPost

State = SourcePost.State

QUEUE_LIMIT = 200
LIKENESS_WINDOW = timedelta(hours=48)
LIKENESS_MOST = 2000
MAX_ATTEMPTS = 3
# A post that has waited a day outranks a fresh one that is better by this much, so none starves.
AGEING_PER_DAY = 0.5
_EPOCH = 1_700_000_000


def rank(priority: float, queued_at: datetime) -> float:
    """Priority with linear ageing, as one number that never has to be recomputed."""
    return priority - AGEING_PER_DAY * (queued_at.timestamp() - _EPOCH) / 86_400


def moved_by_hand(post: SourcePost) -> float:
    """By how much a person lifted (or lowered) the post beyond its score and its ageing; 0..1 is
    the range of a score."""
    lift = post.rank - rank(post.priority, post.created_at)
    return round(lift, 3) + 0.0


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


@dataclass(frozen=True, slots=True)
class Added:
    """What a poll added: posts new to the session, and how many of them are to be told."""

    posts: list[SourcePost]
    queued: int


def add(source: Source, fetched: Iterable[FetchedPost], now: datetime) -> Added:
    """Insert what is new; a duplicate inside the session is kept, marked, and never told.

    Runs in the caller's transaction. Inserting is insert-or-ignore on (session, source, id).
    """
    distinct = {post.external_id: post for post in fetched}
    known = set(
        SourcePost.objects.filter(source=source, external_id__in=distinct).values_list(
            "external_id", flat=True
        )
    )
    fresh = [post for key, post in distinct.items() if key not in known]
    if not fresh:
        return Added([], 0)
    titles = _recent_titles(source.session_id, now)
    taste = matching.of_session(source.session_id)
    inserted = [_insert(source, post, now, titles, taste) for post in fresh]
    return Added(inserted, sum(post.state == State.QUEUED for post in inserted))


def _recent_titles(session_id: UUID, now: datetime) -> list[tuple[int, str]]:
    rows = SourcePost.objects.filter(
        session_id=session_id, duplicate_of=None, created_at__gte=now - LIKENESS_WINDOW
    )
    return list(rows.order_by("-id").values_list("pk", "title")[:LIKENESS_MOST])


def _insert(
    source: Source, post: FetchedPost, now: datetime, titles: list[tuple[int, str]], taste: Taste
) -> SourcePost:
    scored = score(post, now, taste.of(post.title, post.body, source.locator))
    url_digest = digest(canonical_url(post.url))
    row = SourcePost(
        session_id=source.session_id,
        source=source,
        external_id=post.external_id,
        title=post.title,
        body=post.body,
        author=post.author[:200],
        url=post.url,
        url_digest=url_digest,
        score=max(min(post.score, 2**31 - 1), -(2**31)),
        comments=min(max(post.comments, 0), 2**31 - 1),
        published_at=post.published_at,
        priority=scored.priority,
        label=scored.label,
        parts=scored.parts,
        rank=rank(scored.priority, now),
    )
    _mark_duplicate(row, url_digest, titles)
    row.save(force_insert=True)
    if row.duplicate_of_id is None:
        titles.append((row.pk, row.title))
    return row


def _mark_duplicate(row: SourcePost, url_digest: str, titles: list[tuple[int, str]]) -> None:
    original: int | None = None
    if url_digest:
        same = SourcePost.objects.filter(session_id=row.session_id, url_digest=url_digest)
        original = same.order_by("id").values_list("pk", flat=True).first()
        row.reason = "The same address was read before."
    if original is None and (near := nearest(row.title, titles)) is not None:
        original = near[0]
        row.reason = f"The headline is {near[1]:.0f} % like one read before."
    if original is None:
        row.reason = ""
        return
    row.state, row.duplicate_of_id = State.SKIPPED, original


def waiting(session: Session) -> QuerySet[SourcePost]:
    """The queue, best first."""
    rows = SourcePost.objects.filter(session=session, state=State.QUEUED)
    return in_order(rows).select_related("source")


def in_order(rows: QuerySet[SourcePost]) -> QuerySet[SourcePost]:
    """The order in which posts are told: what a person pinned first, then by rank."""
    return rows.order_by("-pinned", "-rank", "id")


def held(session: Session) -> QuerySet[SourcePost]:
    """What a person keeps back, the latest first."""
    rows = SourcePost.objects.filter(session=session, state=State.HELD)
    return rows.select_related("source").order_by("-id")


def claim_best(claim: Claim) -> SourcePost | None:
    """Claim the best waiting post for this step by one conditional UPDATE; None when none waits."""
    for candidate in waiting(claim.session).values_list("pk", flat=True)[:5]:
        mine = SourcePost.objects.filter(pk=candidate, state=State.QUEUED).update(
            state=State.CLAIMED, step=claim.step, epoch=claim.epoch, attempts=F("attempts") + 1
        )
        if mine:
            return SourcePost.objects.select_related("source").get(pk=candidate)
    return None


def held_by(claim: Claim) -> QuerySet[SourcePost]:
    return SourcePost.objects.filter(state=State.CLAIMED, step=claim.step)


def settle(post: SourcePost, claim: Claim, state: str, reason: str = "") -> bool:
    """Move a claimed post on; False when another epoch has it by now."""
    mine = SourcePost.objects.filter(
        pk=post.pk, state=State.CLAIMED, step=claim.step, epoch=claim.epoch
    )
    return bool(mine.update(state=state, reason=reason[:200]))


def left_behind(session: Session) -> QuerySet[SourcePost]:
    """Claimed posts of the session whose step has ended without them."""
    claimed = SourcePost.objects.filter(session=session, state=State.CLAIMED)
    return claimed.exclude(step__state__in=Step.OPEN).select_related("source", "session")


def worn_out(claim: Claim) -> list[SourcePost]:
    """Posts of this step that were tried three times without an end."""
    return list(held_by(claim).filter(epoch__lt=claim.epoch, attempts__gte=MAX_ATTEMPTS))


def payload(post: SourcePost) -> dict[str, Any]:
    """A post as the queue shows it."""
    return {
        "id": post.pk,
        "title": post.title,
        "source": post.source.locator,
        "url": post.url,
        "priority": round(post.priority, 4),
        "label": post.label,
        "parts": post.parts,
        "state": post.state,
        "pinned": post.pinned,
        "published_at": timestamp(post.published_at),
        "waiting_since": timestamp(post.created_at),
        "by_hand": moved_by_hand(post),
    }


def queue_payload(session: Session, most: int = 10, most_held: int = 5) -> list[dict[str, Any]]:
    """The next posts to be told, best first, then those that are held back.

    Each knows its neighbours in the queue (``above``, ``below``: id or None), to be moved by them.
    """
    queued = list(waiting(session)[: most + 1])
    keys = [None, *(post.pk for post in queued), None]
    items = [
        payload(post) | {"above": keys[at], "below": keys[at + 2]}
        for at, post in enumerate(queued[:most])
    ]
    kept = [payload(post) for post in held(session)[:most_held]]
    return items + [post | {"above": None, "below": None} for post in kept]
