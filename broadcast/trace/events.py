"""What the record of a session says of stories and their posts, also where it is archived."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice

from django.db.models import QuerySet
from django.db.models.fields.json import KT

from sessions_app.events import archive
from sessions_app.models import Archive, Session, SessionEvent
from sessions_app.models.events import AboutPost, AboutStory
from stories.models import SourcePost, Story

FAR = 10


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


def dig(session: Session, found: Record, story: Story, moments: Iterable[datetime]) -> Record:
    """Add what the archives hold of one story: those of these moments, with their neighbours.

    Its post may have been claimed and given back long before the first of them, so more are read
    from there back to where it came: beyond ``FAR`` archives only until its attempts are found.
    """
    shelf = list(_archives(session).order_by("first").values_list("first", "last"))
    begins = cache(lambda place: _first_of(session, shelf[place][0]))
    places = _around(moments, len(shelf), begins)
    about = _About(story, found)
    for each in sorted(places):
        about.take(archive.events_between(session, *shelf[each]))
    place = lowest = min(places)
    while place and about.came_before(begins(place)):
        if lowest - place >= FAR and not about.lacks_attempts():
            break
        place -= 1
        about.take(archive.events_between(session, *shelf[place]))
    return about.record(found.begins)


def _around(moments: Iterable[datetime], many: int, begins: Callable[[int], datetime]) -> set[int]:
    """The places of the archives that hold the moments, and of those beside them."""
    held = {max(0, bisect_right(range(many), each, key=begins) - 1) for each in moments}
    return {each for place in held for each in range(max(0, place - 1), min(place + 2, many))}


class _About:
    """The events about one story and its post, as far as they were found."""

    def __init__(self, story: Story, found: Record) -> None:
        self.story, self.post = story, story.post
        self.told = list(found.stories.get(story.pk, []))
        self.moves = list(found.posts.get(story.post_id or 0, []))

    def take(self, events: Iterable[SessionEvent]) -> None:
        for event in events:
            if _id(event, "story") == self.story.pk:
                self.told.append(_noted(event))
            elif self.post is not None and _id(event, "post") == self.post.pk:
                self.moves.append(_noted(event))

    def came_before(self, moment: datetime) -> bool:
        return self.post is not None and self.post.created_at < moment

    def lacks_attempts(self) -> bool:
        claims = {each.seq for each in self.moves if each.state == SourcePost.State.CLAIMED}
        return self.post is not None and len(claims) < self.post.attempts

    def record(self, begins: datetime | None) -> Record:
        posts = {self.post.pk: _sorted(self.moves)} if self.post is not None else {}
        return Record({self.story.pk: _sorted(self.told)}, posts, begins)


def _first_of(session: Session, seq: int) -> datetime:
    (event,) = islice(archive.events_between(session, seq, seq), 1)
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
