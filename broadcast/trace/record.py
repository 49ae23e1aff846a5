"""What the record of a session says of stories and their posts, also where it is archived."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import QuerySet
from django.db.models.fields.json import KT

from sessions_app import record_reading
from sessions_app.models import Archive, Session, SessionEvent
from sessions_app.models.record import AboutPost, AboutStory
from stories.models import Story


@dataclass(frozen=True, slots=True)
class Noted:
    """An event about a story or a post; ``state`` is the one that it gave to the post."""

    seq: int
    type: str
    at: datetime
    state: str = ""


Events = Mapping[int, list[Noted]]


@dataclass(frozen=True, slots=True)
class Record:
    """Events by story and by post, in their order; what came before ``begins`` is archived."""

    stories: Events
    posts: Events
    begins: datetime | None = None

    def archived(self, moment: datetime) -> bool:
        return self.begins is not None and moment < self.begins


def read(session: Session, story_ids: Iterable[int], post_ids: Iterable[int]) -> Record:
    """What the rows of events say of these; two queries by key, and two for where they begin."""
    stories, posts = _keys(story_ids), _keys(post_ids)
    rows = SessionEvent.objects.filter(session=session)
    about_stories = rows.alias(about=AboutStory("payload")).filter(about__in=stories)
    about_posts = rows.alias(about=AboutPost("payload")).filter(about__in=posts)
    return Record(
        _grouped(about_stories.annotate(key=AboutStory("payload"))),
        _grouped(about_posts.annotate(key=AboutPost("payload"))),
        _begins(session),
    )


def _keys(ids: Iterable[int]) -> list[str]:
    return [str(each) for each in ids]


def _grouped(rows: QuerySet[SessionEvent]) -> Events:
    found: dict[int, list[Noted]] = defaultdict(list)
    # Put in order here: asked for it, SQLite walks the whole record by seq instead of the index.
    wanted = rows.annotate(became=KT("payload__post__state")).order_by()
    for key, seq, type_, at, state in wanted.values_list("key", "seq", "type", "at", "became"):
        found[int(key)].append(Noted(seq, type_, at, state or ""))
    return {key: _sorted(events) for key, events in found.items()}


def _archives(session: Session) -> QuerySet[Archive]:
    return Archive.objects.filter(session=session, kind=Archive.Kind.EVENTS)


def _begins(session: Session) -> datetime | None:
    """When the rows of events begin; None where nothing of them is archived."""
    if not _archives(session).exists():
        return None
    rows = SessionEvent.objects.filter(session=session).order_by("seq")
    return rows.values_list("at", flat=True).first()


def dig(session: Session, found: Record, story: Story) -> Record:
    """Add what the archives hold of one story: those of the time when it was stored, and before.

    A post is claimed before its story is stored, and the story is aired after it.
    """
    told = list(found.stories.get(story.pk, []))
    moves = list(found.posts.get(story.post_id or 0, []))
    for first, last in _around(session, story.created_at):
        for event in record_reading.events_between(session, first, last):
            if _id(event, "story") == story.pk:
                told.append(_noted(event))
            elif story.post_id is not None and _id(event, "post") == story.post_id:
                moves.append(_noted(event))
    posts = {story.post_id: _sorted(moves)} if story.post_id is not None else {}
    return Record({story.pk: _sorted(told)}, posts, found.begins)


def _around(session: Session, moment: datetime) -> list[tuple[int, int]]:
    """The archive that holds the moment with its neighbours, as pairs of seqs."""
    pieces = list(_archives(session).order_by("first").values_list("first", "last"))
    low, high = 0, len(pieces)
    while high - low > 1:
        middle = (low + high) // 2
        if _first_of(session, pieces[middle][0]) <= moment:
            low = middle
        else:
            high = middle
    return pieces[max(0, low - 1) : low + 2]


def _first_of(session: Session, seq: int) -> datetime:
    (event,) = islice(record_reading.events_between(session, seq, seq), 1)
    return event.at


def _id(event: SessionEvent, what: str) -> int | None:
    part = event.payload.get(what)
    found = part.get("id") if isinstance(part, dict) else None
    return found if isinstance(found, int) else None


def _noted(event: SessionEvent) -> Noted:
    part = event.payload.get("post")
    state = str(part.get("state", "")) if isinstance(part, dict) else ""
    return Noted(event.seq, event.type, event.at, state)


def _sorted(events: list[Noted]) -> list[Noted]:
    return sorted({event.seq: event for event in events}.values(), key=lambda event: event.seq)
