"""What rows and events say of each story of a batch, read in a constant number of queries.

In which state the run of a session was at any moment: its changes, folded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from broadcast import orchestrator
from broadcast.models import Airing, StateChange
from broadcast.states import State
from broadcast.trace import events
from broadcast.trace.events import Noted, Record
from sessions_app.models import Session, Step
from stories import stories
from stories.models import SourcePost, Story, TokenUsage

Change = tuple[datetime, int, int, str]  # at, seq, number of the run, state


class Runs:
    """The changes of a session's runs in their order."""

    def __init__(self, changes: Sequence[Change] = ()) -> None:
        self._changes = changes
        self._seqs = [seq for _, seq, _, _ in changes]
        self._moments = [at for at, _, _, _ in changes]

    def at(self, moment: datetime) -> tuple[int | None, str]:
        """Number of the run and its state; off air there is no run."""
        return self._after(bisect_right(self._moments, moment))

    def at_seq(self, seq: int) -> tuple[int | None, str]:
        """The same as the event of this seq was recorded."""
        return self._after(bisect_right(self._seqs, seq))

    def _after(self, number: int) -> tuple[int | None, str]:
        if number == 0:
            return None, str(State.IDLE)
        _, _, run, state = self._changes[number - 1]
        return (None if state == State.IDLE else run), state


def between(session: Session, low: datetime, high: datetime) -> Runs:
    """The runs of the session that were not over by ``low`` and had begun by ``high``; one query."""
    # A run that is not over has been in its state since whenever, weeks before ``low`` maybe.
    there = Q(run__since__gte=low) | ~Q(run__state=State.IDLE)
    rows = StateChange.objects.filter(there, session=session, run__created_at__lte=high)
    return Runs(list(rows.order_by("seq").values_list("created_at", "seq", "run__number",
                                                      "to_state")))  # fmt: skip


# Clocks of several machines agree as far as that.
SLACK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of one story.

    ``told`` are the events about it, ``moves`` those about its post; ``calls`` is what was asked
    of models for it, ``poll`` is the latest step that can have read its post, ``ends`` are the
    steps that end its airings. ``archived`` says that its events are in an archive that was not
    read, ``post_archived`` the same of its post's, which are older; ``brought`` that it came with
    the copy of a session, or with an import.
    """

    story: Story
    told: Sequence[Noted]
    moves: Sequence[Noted]
    calls: Sequence[TokenUsage]
    poll: Step | None
    airings: Sequence[Airing]
    ends: Sequence[Step | None]
    runs: Runs
    archived: bool
    post_archived: bool
    brought: bool

    @property
    def post(self) -> SourcePost | None:
        return self.story.post

    @property
    def winning(self) -> TokenUsage | None:
        """The call whose answer became the story."""
        return next((row for row in reversed(self.calls) if row.story_id == self.story.pk), None)

    @property
    def claims(self) -> list[Noted]:
        return [event for event in self.moves if event.state == SourcePost.State.CLAIMED]

    def of_type(self, type_: str) -> list[Noted]:
        return [event for event in self.told if event.type == type_]


def gather(session: Session, stories: Sequence[Story], *, dig: bool = False) -> list[Evidence]:
    """The evidence on stories of one session, which come with post, step, source and draft.

    ``dig`` reads archives too, which takes its time; it is for one story.
    """
    posts = [story.post for story in stories if story.post is not None]
    noted = events.read(session, [story.pk for story in stories], [post.pk for post in posts])
    airings = _airings(stories)
    if dig and stories and noted.archived(_begun(stories[0])):
        noted = events.dig(session, noted, stories[0], _moments(stories[0], airings))
    batch = Batch(
        session, noted, _steps(posts, airings), _runs(session, stories, airings), airings,
        _calls(stories), dig,
    )  # fmt: skip
    return [batch.evidence(story) for story in stories]


def _begun(story: Story) -> datetime:
    """Before this nothing was recorded of the story or its post."""
    return min(story.created_at, story.post.created_at) if story.post else story.created_at


def _moments(story: Story, airings: Iterable[Airing]) -> list[datetime]:
    """When events about the story were recorded, but for those of its post."""
    found = [story.created_at]
    for airing in airings:
        found += [airing.aired_at, airing.finished_at or airing.aired_at]
    return found


class Batch:
    """What was read for all stories of a batch, to be found by story."""

    def __init__(
        self, session: Session, noted: Record, steps: Iterable[Step], runs_: Runs,
        airings: Iterable[Airing], calls: Iterable[TokenUsage], dug: bool,
    ) -> None:  # fmt: skip
        self._session, self._record, self._runs, self._dug = session, noted, runs_, dug
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
        told = self._record.stories.get(story.pk, [])
        moves = self._record.posts.get(story.post_id or 0, [])
        archived = not self._dug and self._record.archived(story.created_at)
        airings = self._airings[story.pk]
        return Evidence(
            story=story,
            told=told,
            moves=moves,
            calls=self._asked(story),
            poll=self._poll(story.post),
            airings=airings,
            ends=[self._end(airing) for airing in airings],
            runs=self._runs,
            archived=archived,
            post_archived=not self._dug and self._record.archived(_begun(story)),
            brought=self._brought(story, told, archived),
        )

    def _asked(self, story: Story) -> list[TokenUsage]:
        """What was asked for a story, its post or its draft, until it was stored."""
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

    def _end(self, airing: Airing) -> Step | None:
        steps = self._steps[orchestrator.FINISH_AIRING, str(airing.pk)]
        return steps[-1] if steps else None

    def _brought(self, story: Story, told: Sequence[Noted], archived: bool) -> bool:
        if not (self._session.made_from_id or self._session.imported_id):
            return False
        if story.post is not None:
            return story.post.step_id is None
        return not archived and not any(event.type == stories.WRITTEN for event in told)


def _calls(stories: Sequence[Story]) -> list[TokenUsage]:
    mine = Q(story__in=[story.pk for story in stories])
    if posts := [story.post_id for story in stories if story.post_id is not None]:
        mine |= Q(post__in=posts)
    if drafts := [story.draft_id for story in stories if story.draft_id is not None]:
        mine |= Q(draft__in=drafts)
    return list(TokenUsage.objects.filter(mine).select_related("link", "step").order_by("pk"))


def _airings(stories: Sequence[Story]) -> list[Airing]:
    rows = Airing.objects.filter(story__in=[story.pk for story in stories])
    return list(rows.select_related("run").order_by("pk"))


def _steps(posts: Iterable[SourcePost], airings: Iterable[Airing]) -> list[Step]:
    """The steps that read the sources and those that ended the airings, oldest first."""
    polls = Q(kind=orchestrator.POLL, subject__in={str(post.source_id) for post in posts})
    finish = orchestrator.FINISH_AIRING
    ends = Q(kind=finish, subject__in=[str(airing.pk) for airing in airings])
    return list(Step.objects.filter(polls | ends).order_by("pk"))


def _runs(session: Session, stories: Iterable[Story], airings: Iterable[Airing]) -> Runs:
    """The runs of the time between the first and the last thing that is known of the stories."""
    moments: list[datetime] = [story.created_at for story in stories]
    moments += [story.post.source.created_at for story in stories if story.post is not None]
    moments += [airing.finished_at or airing.aired_at for airing in airings]
    return between(session, min(moments), max(moments)) if moments else Runs()
