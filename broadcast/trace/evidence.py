"""Reads the rows and events of a batch of stories in a constant number of queries."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import islice

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KT

from broadcast import orchestrator
from broadcast.models import Airing, StateChange
from broadcast.states import State
from sessions_app.events import archive
from sessions_app.models import Archive, Session, SessionEvent, Step
from sessions_app.models.events import AboutPost, AboutStory
from stories import stories
from stories.models import SourcePost, Story, TokenUsage

Change = tuple[datetime, int, int, str]  # at, seq, number of the run, state


class Runs:
    """The state changes of a session's runs, to look up the state at any time."""

    def __init__(self, changes: Sequence[Change] = ()) -> None:
        self._changes = changes
        self._seqs = [seq for _, seq, _, _ in changes]
        self._moments = [at for at, _, _, _ in changes]

    def at(self, moment: datetime) -> tuple[int | None, str]:
        """Returns the number of the run at a time and its state; off air the number is None."""
        return self._after(bisect_right(self._moments, moment))

    def at_seq(self, seq: int) -> tuple[int | None, str]:
        """Returns the same for the time when the event ``seq`` was recorded."""
        return self._after(bisect_right(self._seqs, seq))

    def _after(self, number: int) -> tuple[int | None, str]:
        if number == 0:
            return None, str(State.IDLE)
        _, _, run, state = self._changes[number - 1]
        return (None if state == State.IDLE else run), state


def between(session: Session, low: datetime, high: datetime) -> Runs:
    """Returns the runs that had not ended before ``low`` and had begun by ``high``; one query."""
    # A run that has not ended may be in its state since long before ``low``.
    overlapping = Q(run__since__gte=low) | ~Q(run__state=State.IDLE)
    rows = StateChange.objects.filter(overlapping, session=session, run__created_at__lte=high)
    columns = ("created_at", "seq", "run__number", "to_state")
    return Runs(list(rows.order_by("seq").values_list(*columns)))


# The clocks of several machines may differ by this much.
SLACK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The rows and events of one story.

    ``events`` are about the story, ``moves`` about its post; ``calls`` are the model calls for it,
    ``poll`` is the latest step that can have read its post, and ``ends`` are the steps that end its
    airings. ``archived`` means that its events are in an archive that was not read,
    ``post_archived`` the same for its post, whose events are older; ``copied`` that it came with a
    copied or imported session.
    """

    story: Story
    events: Sequence[Noted]
    moves: Sequence[Noted]
    calls: Sequence[TokenUsage]
    poll: Step | None
    airings: Sequence[Airing]
    ends: Sequence[Step | None]
    runs: Runs
    archived: bool
    post_archived: bool
    copied: bool

    @property
    def post(self) -> SourcePost | None:
        return self.story.post

    @property
    def winning(self) -> TokenUsage | None:
        """Returns the call whose answer became the story."""
        return next((row for row in reversed(self.calls) if row.story_id == self.story.pk), None)

    @property
    def claims(self) -> list[Noted]:
        return [event for event in self.moves if event.state == SourcePost.State.CLAIMED]

    def of_type(self, type_: str) -> list[Noted]:
        return [event for event in self.events if event.type == type_]


def gather(session: Session, stories: Sequence[Story], *, dig: bool = False) -> list[Evidence]:
    """Returns the evidence on stories of one session, selected with post, step, source and draft.

    ``dig`` also reads archives, which is slow; it is meant for one story.
    """
    posts = [story.post for story in stories if story.post is not None]
    noted = read(session, [story.pk for story in stories], [post.pk for post in posts])
    rows = Airing.objects.filter(story__in=[story.pk for story in stories])
    airings = list(rows.select_related("run").order_by("pk"))
    if dig and stories and noted.archived(_begun(stories[0])):
        # The times at which events about the story itself were recorded.
        times = [stories[0].created_at]
        for airing in airings:
            times += [airing.aired_at, airing.finished_at or airing.aired_at]
        noted = dig_up(session, noted, stories[0], times)
    batch = Batch(
        session,
        noted,
        _steps(posts, airings),
        _runs(session, stories, airings),
        airings,
        _calls(stories),
        dug=dig,
    )
    return [batch.evidence(story) for story in stories]


def _begun(story: Story) -> datetime:
    """Returns the time before which no event of the story or its post can exist."""
    return min(story.created_at, story.post.created_at) if story.post else story.created_at


class Batch:
    """The rows of all stories of a batch, indexed by story."""

    def __init__(
        self,
        session: Session,
        noted: Record,
        steps: Iterable[Step],
        runs: Runs,
        airings: Iterable[Airing],
        calls: Iterable[TokenUsage],
        *,
        dug: bool,
    ) -> None:
        self._session, self._record, self._runs, self._dug = session, noted, runs, dug
        self._airings: dict[int, list[Airing]] = defaultdict(list)
        for airing in airings:
            self._airings[airing.story_id].append(airing)
        self._calls: dict[tuple[str, int | None], list[TokenUsage]] = defaultdict(list)
        for row in calls:
            for key in (("story", row.story_id), ("post", row.post_id), ("draft", row.draft_id)):
                self._calls[key].append(row)
        self._steps: dict[tuple[str, str], list[Step]] = defaultdict(list)
        for step in steps:
            self._steps[step.kind, step.subject].append(step)

    def evidence(self, story: Story) -> Evidence:
        events_of_story = self._record.stories.get(story.pk, [])
        moves = self._record.posts.get(story.post_id or 0, [])
        archived = not self._dug and self._record.archived(story.created_at)
        airings = self._airings[story.pk]
        return Evidence(
            story=story,
            events=events_of_story,
            moves=moves,
            calls=self._calls_for(story),
            poll=self._poll(story.post),
            airings=airings,
            ends=[
                next(reversed(self._steps[orchestrator.FINISH_AIRING, str(airing.pk)]), None)
                for airing in airings
            ],
            runs=self._runs,
            archived=archived,
            post_archived=not self._dug and self._record.archived(_begun(story)),
            copied=self._copied(story, events_of_story, archived),
        )

    def _calls_for(self, story: Story) -> list[TokenUsage]:
        """Returns the calls for a story, and those for its post or draft until it was stored."""
        rows = {row.pk: row for row in self._calls["story", story.pk]}
        for key in (("post", story.post_id), ("draft", story.draft_id)):
            if key[1] is not None:
                early = (row for row in self._calls[key] if row.created_at <= story.created_at)
                rows |= {row.pk: row for row in early}
        return [rows[key] for key in sorted(rows)]

    def _poll(self, post: SourcePost | None) -> Step | None:
        if post is None:
            return None
        polls = self._steps[orchestrator.POLL, str(post.source_id)]
        earlier = [step for step in polls if step.created_at <= post.created_at + SLACK]
        return earlier[-1] if earlier else None

    def _copied(self, story: Story, events: Sequence[Noted], archived: bool) -> bool:
        if not (self._session.made_from_id or self._session.imported_id):
            return False
        if story.post is not None:
            return story.post.step_id is None
        return not archived and not any(event.type == stories.WRITTEN for event in events)


def _calls(stories: Sequence[Story]) -> list[TokenUsage]:
    wanted = Q(story__in=[story.pk for story in stories])
    if posts := [story.post_id for story in stories if story.post_id is not None]:
        wanted |= Q(post__in=posts)
    if drafts := [story.draft_id for story in stories if story.draft_id is not None]:
        wanted |= Q(draft__in=drafts)
    return list(TokenUsage.objects.filter(wanted).select_related("link", "step").order_by("pk"))


def _steps(posts: Iterable[SourcePost], airings: Iterable[Airing]) -> list[Step]:
    """Returns the steps that read the sources and those that end the airings, oldest first."""
    polls = Q(kind=orchestrator.POLL, subject__in={str(post.source_id) for post in posts})
    finish = orchestrator.FINISH_AIRING
    ends = Q(kind=finish, subject__in=[str(airing.pk) for airing in airings])
    return list(Step.objects.filter(polls | ends).order_by("pk"))


def _runs(session: Session, stories: Iterable[Story], airings: Iterable[Airing]) -> Runs:
    """Returns the runs between the first and the last known time of the stories."""
    moments: list[datetime] = [story.created_at for story in stories]
    moments += [story.post.source.created_at for story in stories if story.post is not None]
    moments += [airing.finished_at or airing.aired_at for airing in airings]
    return between(session, min(moments), max(moments)) if moments else Runs()


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


def dig_up(session: Session, known: Record, story: Story, moments: Iterable[datetime]) -> Record:
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
