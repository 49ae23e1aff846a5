"""The posts of a session: inserted once, scored, checked for duplicates, and claimed one by one."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Left
from pydantic import Field

from sessions_app import statements
from sessions_app.background import isolation
from sessions_app.background.steps import Claim
from sessions_app.events.recorder import timestamp
from sessions_app.models import Session, Step
from stories.models import Source, SourcePost
from stories.posts import scoring
from stories.posts.events import Index, Report, judge
from stories.posts.features import TEXT_CHARACTERS
from stories.posts.scoring import Interests, Scale, ScoredPost, reasons, score
from stories.text.addresses import key_forms, link_key
from stories.text.furniture import REASONS, REMOVED
from stories.types import FetchedPost

State = SourcePost.State

QUEUE_LIMIT = 200
LIKENESS_WINDOW = timedelta(hours=48)
LIKENESS_MOST = 2000
SCALE_POSTS = 200  # with which a post is compared for its label
MAX_ATTEMPTS = 3
SAME_PAGES = 20  # posts with one address with which a new one is compared
PIECE = 400  # values in one statement
INSERTING = "Storing of a post"
SAME_ADDRESS = "A post with the same address was read before."
# A post that has waited a day outranks a fresh one that is better by this much, so none starves.
AGEING_PER_DAY = 0.5
# A recent origin, because a float has too few digits for small differences of a large number.
_EPOCH = 1_700_000_000


class PostPayload(ScoredPost):
    """A post as the queue shows it."""

    pinned: Annotated[bool, Field(description="Whether the owner pinned it to the top.")]
    published_at: Annotated[
        str | None, Field(description="Time of publication at the source, ISO 8601 UTC, or null.")
    ]
    waiting_since: Annotated[str, Field(description="Time at which it was read, ISO 8601 UTC.")]
    by_hand: Annotated[
        float, Field(description="How far the owner moved it, in parts of a score; 0 if not.")
    ]


class QueuedPost(PostPayload):
    """A post in the queue, with its neighbours."""

    above: Annotated[int | None, Field(description="Id of the post above it, or null.")]
    below: Annotated[int | None, Field(description="Id of the post below it, or null.")]


def rank(priority: float, queued_at: datetime) -> float:
    """Returns the priority with linear ageing, as one number that never has to be recomputed."""
    return priority - AGEING_PER_DAY * (queued_at.timestamp() - _EPOCH) / 86_400


def moved_by_hand(post: SourcePost) -> float:
    """Returns how far a person moved the post up (or down) from the rank of its score and age.

    The unit is that of a score, whose range is 0..1.
    """
    lift = post.rank - rank(post.priority, post.created_at)
    return round(lift, 3) + 0.0  # never -0.0


def digest(text: str) -> str:
    """Returns the SHA-256 of ``text`` in hexadecimal, or an empty string for none."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


@dataclass(frozen=True, slots=True)
class Added:
    """The posts that a poll added, how many are queued, and how many left the queue again."""

    posts: list[SourcePost]
    queued: int
    withdrawn: int = 0


def add(
    source: Source, fetched: Iterable[FetchedPost], now: datetime, since: datetime | None = None
) -> Added:
    """Inserts the posts that are new to the session; a duplicate is stored as skipped.

    Runs in the caller's transaction. No post repeats what the source had before ``since``, unless
    that still waits.
    """
    # A feed may list an entry twice; the last one counts.
    by_id = {post.external_id: post for post in fetched}
    keys = link_keys(by_id.values())
    known = _known(source, by_id, keys)
    fresh = [post for external_id, post in by_id.items() if external_id not in known]
    removed = [key for key, post in by_id.items() if post.skip == REMOVED]
    # The condition on the state decides against a host that claims the post at the same time.
    waits = SourcePost.objects.filter(source=source, state__in=SourcePost.WAITING, chosen=False)
    withdrawn = waits.filter(external_id__in=removed).update(
        state=State.SKIPPED, reason=REMOVED, pinned=False
    )
    if not fresh:
        return Added([], 0, withdrawn)
    before = Q(source=source, created_at__lt=since) if since else Q(pk=None)
    # A recording that is read faster than it is told would have each post twice in the queue.
    before &= ~Q(state__in=(*SourcePost.WAITING, State.CLAIMED))
    earlier = earlier_reports(source.session_id, now, before)
    interests = scoring.of_session(source.session_id)
    inserted: list[SourcePost] = []
    failed = isolation.known(INSERTING)
    for post in fresh:
        unit = f"{post.external_id} of source {source.pk}"
        if (next_try := failed.get(unit)) and next_try > now:
            continue
        # One entry that cannot be stored must not cost the others of its source.
        with isolation.isolated(INSERTING, unit, source.session_id), transaction.atomic():
            inserted.append(_insert(source, post, keys[post.external_id], now, earlier, interests))
    label(source.session_id, inserted)
    queued = sum(post.state == State.QUEUED for post in inserted)
    return Added(inserted, queued, withdrawn)


def label(session_id: UUID, posts: Sequence[SourcePost]) -> None:
    """Labels stored posts by their place among the recent posts of the session."""
    recent = SourcePost.objects.filter(session_id=session_id, duplicate_of=None).order_by("-id")
    scale = Scale(recent.values_list("parts", flat=True)[:SCALE_POSTS])
    for post in posts:
        post.parts = {**post.parts, "standing": scale.standing(post.parts)}
        post.label = scale.label(post.parts)
    SourcePost.objects.bulk_update(posts, ["label", "parts"], 500)


def earlier_reports(session_id: UUID, now: datetime, without: Q) -> Index:
    """Returns the posts of the last 48 hours, at most 2,000, to compare new posts with."""
    rows = SourcePost.objects.filter(
        session_id=session_id, duplicate_of=None, created_at__gte=now - LIKENESS_WINDOW
    )
    rows = rows.exclude(Q(state=State.SKIPPED, reason__in=REASONS) | without)
    # Only the beginning of a body, because all of these are read at each poll.
    rows = rows.annotate(lead=Left("body", TEXT_CHARACTERS)).order_by("-id")
    values = rows.values_list("pk", "title", "lead", "published_at", "source_id")[:LIKENESS_MOST]
    # The oldest first: of two posts that are equally like a new one it is a duplicate of the newer.
    return Index(
        (pk, Report(title, lead, published_at=published_at, source=str(source_id)))
        for pk, title, lead, published_at, source_id in reversed(values)
    )


def report_of(post: SourcePost) -> Report:
    """Returns a post as it is compared with others; addresses are compared before."""
    return Report(post.title, post.body, published_at=post.published_at, source=str(post.source_id))


def link_keys(document: Iterable[FetchedPost]) -> dict[str, str]:
    """Returns for each post of a document the address to compare, by the post's id.

    Empty for an address that several posts share, as it tells none of them apart. A fragment counts
    only where another post has the same page.
    """
    whole = {post.external_id: link_key(post.url, fragment=True) for post in document}
    pages: dict[str, set[str]] = defaultdict(set)
    posts: dict[str, int] = defaultdict(int)
    for key in whole.values():
        pages[_page(key)].add(key)
        posts[key] += 1
    return {
        external_id: "" if posts[key] > 1 else (key if len(pages[_page(key)]) > 1 else _page(key))
        for external_id, key in whole.items()
    }


def _page(key: str) -> str:
    """Returns a link key without its fragment, unless a script of the site reads it."""
    page, mark, fragment = key.partition("#")
    return key if mark and fragment.startswith(("!", "/")) else page


def _digests(key: str) -> list[str]:
    """Returns the digests of a link key; rows of before have that of the whole address."""
    return [digest(key), *map(digest, key_forms(key))] if key else []


def _known(source: Source, by_id: Mapping[str, FetchedPost], keys: Mapping[str, str]) -> set[str]:
    """Returns the ids of the fetched posts that are stored already, also under another id."""
    names = {name for post in by_id.values() for name in (post.external_id, *post.aliases)}
    # In pieces below the databases' limit of values in one statement.
    stored: set[str] = set()
    rows = SourcePost.objects.filter(source=source)
    for piece in _pieces(sorted(names)):
        stored.update(rows.filter(external_id__in=piece).values_list("external_id", flat=True))
    known = {
        external_id
        for external_id, post in by_id.items()
        if external_id in stored or not post.aliases.isdisjoint(stored)
    }
    # A feed may give all of its entries new ids, for instance when a site changes its software.
    unknown = {
        key: post for name, post in by_id.items() if name not in known and (key := keys[name])
    }
    digests = {value: key for key in unknown for value in _digests(key)}
    for piece in _pieces(sorted(digests)):
        same_page = rows.filter(session_id=source.session_id, url_digest__in=piece)
        for row in same_page.only("url_digest", "title", "body", "published_at"):
            post = unknown[digests[row.url_digest]]
            if post.title == row.title and (
                post.body == row.body
                or (row.published_at and post.published_at == row.published_at)
            ):
                known.add(post.external_id)
    return known


def _pieces(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[at : at + PIECE] for at in range(0, len(values), PIECE))


def _insert(
    source: Source,
    post: FetchedPost,
    key: str,
    now: datetime,
    earlier: Index,
    interests: Interests,
) -> SourcePost:
    """Inserts one post, and adds it to the earlier ones unless it is a duplicate."""
    scored = score(post, now, interests.match(post.title, post.body, source.locator))
    row = SourcePost(
        session_id=source.session_id,
        source=source,
        external_id=post.external_id,
        title=post.title,
        body=post.body,
        author=post.author[:200],
        outlet=post.outlet[:120],
        url=post.url,
        url_digest=digest(key),
        # PostgreSQL's integers have 32 bits, and a feed may claim any number.
        score=max(min(post.score, 2**31 - 1), -(2**31)),
        comments=min(max(post.comments, 0), 2**31 - 1),
        published_at=post.published_at,
        priority=scored.priority,
        parts=scored.parts,
        rank=rank(scored.priority, now),
    )
    if post.skip:
        # No post is a duplicate of one that has nothing to tell, so it has no digest either.
        row.state, row.reason, row.url_digest = State.SKIPPED, post.skip[:200], ""
        row.save(force_insert=True)
        return row
    original, reason = _duplicate_of(row, key, earlier)
    if original is not None:
        row.state, row.duplicate_of_id, row.reason = State.SKIPPED, original, reason
    row.save(force_insert=True)
    if original is None:
        earlier.add(row.pk, report_of(row))
    return row


def _duplicate_of(row: SourcePost, key: str, earlier: Index) -> tuple[int | None, str]:
    """Returns the id of the post that ``row`` repeats, and why; or (None, "")."""
    report = report_of(row)
    if key:
        # Served by the partial index post_url, however many posts the session has.
        same = SourcePost.objects.filter(session_id=row.session_id, url_digest__in=_digests(key))
        rows = same.select_related("duplicate_of").defer("duplicate_of__body")
        pages = list(rows.order_by("id")[:SAME_PAGES])
        sources = Counter(page.source_id for page in pages if page.duplicate_of_id is None)
        for page in pages:
            # Within a source the id tells posts apart, so that several of them may have one address,
            # also where another source repeated the first one in between.
            first = page.duplicate_of or page
            own = row.source_id in (page.source_id, first.source_id)
            tells = not own and sources[page.source_id] < 2
            if tells or judge(report, report_of(page)).kind in ("duplicate", "same event"):
                return page.duplicate_of_id or page.pk, SAME_ADDRESS
    match = earlier.best(report)
    if match is None or match.judgement.kind != "duplicate":
        return None, ""
    return match.key, " ".join(match.judgement.reasons)[:200]


def waiting(session: Session) -> QuerySet[SourcePost]:
    """Returns the queue, best first."""
    rows = SourcePost.objects.filter(session=session, state=State.QUEUED)
    return in_order(rows).select_related("source")


def in_order(rows: QuerySet[SourcePost]) -> QuerySet[SourcePost]:
    """Orders posts as they are narrated: pinned ones first, then by rank."""
    return rows.order_by("-pinned", "-rank", "id")


def held(session: Session) -> QuerySet[SourcePost]:
    """Returns the posts that a person holds back, the latest first."""
    rows = SourcePost.objects.filter(session=session, state=State.HELD)
    return rows.select_related("source").order_by("-id")


def claim(post: SourcePost, step: Claim) -> bool:
    """Claims a queued post for this step; returns False if it is not queued any more.

    The claim is one conditional UPDATE: of several steps that see the same post, one changes a row.
    """
    rows = SourcePost.objects.filter(pk=post.pk, state=State.QUEUED)
    owner = {"step": step.step, "epoch": step.epoch, "attempts": F("attempts") + 1}
    return statements.update_row(rows, post, state=State.CLAIMED, **owner)


def held_by(claim: Claim) -> QuerySet[SourcePost]:
    """Returns the posts that the claim's step has claimed, in this epoch or an earlier one."""
    return SourcePost.objects.filter(state=State.CLAIMED, step=claim.step)


def settle(post: SourcePost, claim: Claim, state: str, reason: str = "") -> bool:
    """Moves a claimed post to its final state; returns False when another epoch has claimed it."""
    # The epoch is part of the condition: a worker that lost its lease must not settle the post.
    rows = SourcePost.objects.filter(
        pk=post.pk, state=State.CLAIMED, step=claim.step, epoch=claim.epoch
    )
    return bool(rows.update(state=state, reason=reason[:200]))


def left_behind(session: Session) -> QuerySet[SourcePost]:
    """Returns the session's claimed posts whose step has ended without settling them."""
    claimed = SourcePost.objects.filter(session=session, state=State.CLAIMED)
    return claimed.exclude(step__state__in=Step.OPEN).select_related("source", "session")


def worn_out(claim: Claim) -> list[SourcePost]:
    """Returns the posts of this step that earlier epochs attempted three times without success."""
    return list(held_by(claim).filter(epoch__lt=claim.epoch, attempts__gte=MAX_ATTEMPTS))


def payload(post: SourcePost) -> PostPayload:
    """Returns a post as the queue shows it."""
    return {
        "id": post.pk,
        "title": post.title,
        "source": post.source.locator,
        "url": post.url,
        "priority": round(post.priority, 4),
        "label": post.label,
        "parts": post.parts,
        "reasons": reasons(post.parts),
        "state": post.state,
        "pinned": post.pinned,
        "published_at": timestamp(post.published_at),
        "waiting_since": timestamp(post.created_at),
        "by_hand": moved_by_hand(post),
    }


def queue_payload(session: Session, most: int = 10, most_held: int = 5) -> list[QueuedPost]:
    """Returns the first posts of the queue, best first, then those that are held back.

    Each queued post has the ids of its neighbours (``above``, ``below``), so that it can be moved
    relative to them.
    """
    # One more than is shown, because the last one needs its neighbour below.
    queued = list(waiting(session)[: most + 1])
    keys = [None, *(post.pk for post in queued), None]
    items: list[QueuedPost] = [
        {**payload(post), "above": keys[at], "below": keys[at + 2]}
        for at, post in enumerate(queued[:most])
    ]
    items += [{**payload(post), "above": None, "below": None} for post in held(session)[:most_held]]
    return items
