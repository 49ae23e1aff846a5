"""Reads the events about stories and their posts, also from archives."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
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
    """An event about a story or a post; ``state`` is the new state of the post."""

    seq: int
    type: str
    at: datetime
    state: str = ""


Events = Mapping[int, list[Noted]]


@dataclass(frozen=True, slots=True)
class Record:
    """Events by story and by post, in order; those before ``begins`` are archived."""

    stories: Events
    posts: Events
    begins: datetime | None = None

    def archived(self, moment: datetime) -> bool:
        return self.begins is not None and moment < self.begins


def read(session: Session, story_ids: Iterable[int], post_ids: Iterable[int]) -> Record:
    """Reads the events that are not archived, in four queries."""
    stories, posts = list(map(str, story_ids)), list(map(str, post_ids))
    rows = SessionEvent.objects.filter(session=session)
    about_stories = rows.alias(about=AboutStory("payload")).filter(about__in=stories)
    about_posts = rows.alias(about=AboutPost("payload")).filter(about__in=posts)
    return Record(
        _grouped(about_stories.annotate(key=AboutStory("payload"))),
        _grouped(about_posts.annotate(key=AboutPost("payload"))),
        _begins(session),
    )


def _grouped(rows: QuerySet[SessionEvent]) -> Events:
    events_by_key: dict[int, list[Noted]] = defaultdict(list)
    # Sorted in Python: with ORDER BY, SQLite scans all events by seq instead of using the index.
    unsorted = rows.annotate(became=KT("payload__post__state")).order_by()
    for key, seq, type_, at, state in unsorted.values_list("key", "seq", "type", "at", "became"):
        events_by_key[int(key)].append(Noted(seq, type_, at, state or ""))
    return {key: _sorted(events) for key, events in events_by_key.items()}


def _archives(session: Session) -> QuerySet[Archive]:
    return Archive.objects.filter(session=session, kind=Archive.Kind.EVENTS)


def _begins(session: Session) -> datetime | None:
    """Returns the time of the first event row; None when no events are archived."""
    if not _archives(session).exists():
        return None
    rows = SessionEvent.objects.filter(session=session).order_by("seq")
    return rows.values_list("at", flat=True).first()


def dig(session: Session, known: Record, story: Story, moments: Iterable[datetime]) -> Record:
    """Adds the archived events of one story: those at ``moments``, and in neighbouring archives.

    Its post may have been claimed and requeued long before the first of them, so earlier archives
    are read back to its creation: beyond ``FAR`` archives only until all attempts are found.
    """
    ranges = list(_archives(session).order_by("first").values_list("first", "last"))

    @cache
    def begins(place: int) -> datetime:
        first = ranges[place][0]
        (event,) = islice(archive.events_between(session, first, first), 1)
        return event.at

    places: set[int] = set()
    for moment in moments:
        place = max(0, bisect_right(range(len(ranges)), moment, key=begins) - 1)
        places.update(range(max(0, place - 1), min(place + 2, len(ranges))))
    about = EventsAbout(story, known)
    for place in sorted(places):
        about.add(archive.events_between(session, *ranges[place]))
    place = lowest = min(places)
    while place and about.post_older_than(begins(place)):
        if lowest - place >= FAR and not about.lacks_attempts():
            break
        place -= 1
        about.add(archive.events_between(session, *ranges[place]))
    return about.record(known.begins)


class EventsAbout:
    """Collects the events about one story and its post."""

    def __init__(self, story: Story, known: Record) -> None:
        self.story, self.post = story, story.post
        self.events = list(known.stories.get(story.pk, []))
        self.moves = list(known.posts.get(story.post_id or 0, []))

    def add(self, events: Iterable[SessionEvent]) -> None:
        for event in events:
            if _id(event, "story") == self.story.pk:
                self.events.append(_noted(event))
            elif self.post is not None and _id(event, "post") == self.post.pk:
                self.moves.append(_noted(event))

    def post_older_than(self, moment: datetime) -> bool:
        return self.post is not None and self.post.created_at < moment

    def lacks_attempts(self) -> bool:
        claims = {event.seq for event in self.moves if event.state == SourcePost.State.CLAIMED}
        return self.post is not None and len(claims) < self.post.attempts

    def record(self, begins: datetime | None) -> Record:
        posts = {self.post.pk: _sorted(self.moves)} if self.post is not None else {}
        return Record({self.story.pk: _sorted(self.events)}, posts, begins)


def _id(event: SessionEvent, what: str) -> int | None:
    part = event.payload.get(what)
    value = part.get("id") if isinstance(part, dict) else None
    return value if isinstance(value, int) else None


def _noted(event: SessionEvent) -> Noted:
    part = event.payload.get("post")
    state = str(part.get("state", "")) if isinstance(part, dict) else ""
    return Noted(event.seq, event.type, event.at, state)


def _sorted(events: list[Noted]) -> list[Noted]:
    return sorted({event.seq: event for event in events}.values(), key=lambda event: event.seq)
