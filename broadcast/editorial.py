"""The copy desk: users break in with a story, correct, pull and bookmark stories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NotRequired

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import airing, next_story, orchestrator, recaps, recordings
from broadcast.airing import PublicStoryEvent
from broadcast.models import Broadcast
from broadcast.narrators import grounding
from broadcast.narrators.base import spoken
from broadcast.narrators.statements import Context
from broadcast.next_story import PulledStory
from broadcast.speech import sounds
from sessions_app import commands, preferences, sessions
from sessions_app.ai_chain import chain
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.commands import Command, Payload
from sessions_app.errors import Conflict, Invalid, Retry
from sessions_app.events import archive, recorder
from sessions_app.events.statistics import Extra
from sessions_app.models import Archive, Session
from stories import corrections, stories
from stories.corrections import Replacement, Withdrawn
from stories.models import Story
from stories.sources.registry import credit_of
from stories.stories import StoryPayload
from stories.text.cleaning import clean_line, clean_text
from stories.text.sentences import sentences, word_count
from stories.types import GroundedSentence, Tone
from stories.usage import accounting

log = structlog.get_logger(__name__)


class StoryCorrected(TypedDict):
    """Payload of story.corrected."""

    story: Annotated[StoryPayload, Field(description="The story after the change.")]
    public: Annotated[PublicStoryEvent, Field(description="The part that the audience gets.")]


class PublicStoryPulled(TypedDict):
    """What the audience gets of a pulled story."""

    story: Annotated[PulledStory, Field(description="The story, without its text.")]
    retracts: Annotated[
        int, Field(description="Id of the story that the pages of the audience remove.")
    ]


class StoryPulled(TypedDict):
    """Payload of story.killed."""

    story: Annotated[StoryPayload, Field(description="The story after the change.")]
    public: Annotated[PublicStoryPulled, Field(description="The part that the audience gets.")]


class StoryChanged(TypedDict):
    """Payload of story.changed."""

    story: Annotated[StoryPayload, Field(description="The story after the change.")]
    public: NotRequired[
        Annotated[PublicStoryEvent, Field(description="The part that the audience gets.")]
    ]


RECAP_REASON = "A headline in it was corrected."
PULLED_REASON = "It repeated the headline of a story that was withdrawn."
# What a correction changes in the events about a story.
CORRECTED_FIELDS = frozenset(
    {
        "title",
        "narrative",
        "summary",
        "passages",
        "word_count",
        "duration",
        "version",
        "corrected_at",
        "correction",
        "disclosure",
    }
)

CORRECTED = recorder.declare(
    "story.corrected", "A published story got a new version.", StoryCorrected, public=True
)
PULLED = recorder.declare("story.killed", "A published story was pulled.", StoryPulled, public=True)
CREDITED = recorder.declare(
    "story.credited", "A published story got another source.", StoryCorrected, public=True
)
CHANGED = recorder.declare(
    "story.changed", "A story was bookmarked, or edited or pulled before its airing.", StoryChanged
)

State = Story.State
MOST_TITLE, MOST_TEXT, MOST_REASON = 300, 5000, 300  # characters


class BreakIn(Payload):
    """A story in the user's own words; ``now`` ends the story on air for it."""

    title: str = Field(min_length=1, max_length=MOST_TITLE, description="The headline.")
    text: str = Field(min_length=1, max_length=MOST_TEXT, description="The narrative.")
    tone: Tone = Field("breaking", description="The tone of the story.")
    now: bool = Field(False, description="Whether it ends the story on air; else it airs next.")


class Correction(Payload):
    """A new text; ``version`` is the one that was read, so that a later one is not overwritten."""

    story: int
    version: int | None = None
    title: str = Field(min_length=1, max_length=MOST_TITLE)
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    reason: str = Field(min_length=1, max_length=MOST_REASON)


class StoryId(Payload):
    story: int


class Bookmark(Payload):
    story: int
    on: bool


def _clean(title: str, text: str) -> tuple[str, str]:
    """Returns title and text without invisible characters; Invalid if nothing is left."""
    title, text = clean_line(title, MOST_TITLE), clean_text(text, MOST_TEXT)
    if not (title.strip() and word_count(text)):
        raise Invalid("title and text must not be empty.")
    return title, text


def break_in(session: Session, new: BreakIn, author: User) -> Story:
    """Creates a story that airs before all waiting ones; off air, in the next run."""
    sessions.require_open(session)
    title, text = _clean(new.title, new.text)
    # The run comes first in the lock order; the new story is last.
    with orchestrator.locked_live_run(session) as run:
        story = stories.create(
            Story(
                session=session,
                origin=Story.Origin.MANUAL,
                state=State.APPROVED,
                cuts_in=True,
                title=title,
                narrative=text,
                tone=new.tone,
                priority=Story.Priority.HIGH,
                agent_type="human",
                approved_by=author,
                approved_at=timezone.now(),
                approved_as=preferences.of(author).byline,
            )
        )
        # Before the next story is aired, because a session has at most one airing.
        if run is not None and new.now:
            airing.end_current(run)
        airing.advance(run)
        # The story may have gone on air in the same transaction, or one that waited longer.
        story.refresh_from_db(fields=["state"])
        if story.state == State.APPROVED:
            next_story.tell(story, run)
    return story


def _compared_with_sources(story: Story) -> Callable[[str], GroundedSentence]:
    """Returns what compares an editor's sentence with the passages and the posts of a story."""
    rows = [passage for row in story.passages for passage in row["passages"]]
    posts = [story.post] if story.post else []
    posts += [report.post for report in story.reports.select_related("post__source")]
    for report, post in enumerate(posts):
        texts = [post.title, *sentences(spoken(post.body))]
        other: Any = {"source": credit_of(post)} if report else {}
        rows += [{"text": text, "report": report, **other} for text in texts]
    unique = list({row["text"]: row for row in reversed(rows)}.values())[::-1]
    credits_ = ". ".join(credit_of(post) for post in posts)
    everything = " ".join(row["text"] for row in unique)
    published = story.post.published_at if story.post else None
    return grounding.compared_with(
        unique, Context(story.title, credits_, everything, published, everything)
    )


def correct(session: Session, correction: Correction, author: User) -> Story:
    """Gives a story a new version, marked as a correction if the story was published."""
    with airing.locked_story(session, correction.story) as (run, story):
        if story.state not in Story.OPEN:
            raise Conflict("A vetoed or pulled story cannot be corrected.", state=story.state)
        # Two editors may have the same story open; the later one has to see the other's text.
        if correction.version not in (None, story.version):
            raise Conflict(
                f"This story was changed meanwhile: its version is now {story.version}. "
                "Read it before you save yours."
            )
        title, text = _clean(correction.title, correction.text)
        reason = clean_line(correction.reason, MOST_REASON)
        if not reason.strip():
            raise Invalid("reason must not be empty.")
        # Hourly recaps have the old headline, too. They are locked before the counters are.
        rows = stories.of_session(session).filter(origin=Story.Origin.RECAP, state__in=Story.OPEN)
        rows = rows.filter(created_at__gte=story.created_at).exclude(pk=story.pk).order_by("id")
        hourly = list(rows.select_for_update(of=("self",), no_key=True))
        replacement = _store(story, title, text, reason, author)
        for recap in hourly:
            if (narrative := replacement.text(recap.narrative)) != recap.narrative:
                _store(recap, recap.title, narrative, RECAP_REASON, author)
        next_story.tell(story, run)
    return story


def _store(
    story: Story,
    title: str,
    text: str,
    reason: str,
    author: User | None,
    gone: Withdrawn | None = None,
) -> Replacement:
    """Stores a corrected text, replaces the old one where it was repeated, and records the event."""
    session, old = story.session, (story.title, story.narrative)
    compared = None if gone else _compared_with_sources(story)
    growth = corrections.correct(story, title, text, reason, author, session.pace, compared, gone)
    stories.on_change.send(story)
    payload = airing.story_payload(story)
    published = story.state in corrections.PUBLISHED
    replacement = Replacement.of(story, *old)
    current = {name: value for name, value in payload.items() if name in CORRECTED_FIELDS}
    corrections.replace_everywhere(replacement, current)
    recaps.replace(session, replacement)
    # After the events, so that an archive which was written meanwhile is seen.
    if archives_since(story).exists():
        steps.enqueue(session, corrections.ARCHIVES, story.pk)
    recordings.renew(session, story.created_at)
    # Read again: the headline of its thread may have been the old one.
    payload = airing.story_payload(stories.find(session, story.pk))
    event: StoryChanged = {"story": payload}
    if published:
        event["public"] = {"story": sounds.public(payload)}
    recorder.record(
        session,
        CORRECTED if published else CHANGED,
        event,
        None,
        # Only the words: the number of stories by tone and source does not change.
        Extra(shares=tuple(accounting.shares_of(story, {"words": growth.words}))),
        words=growth.words,
        narration_seconds=growth.seconds,
    )
    return replacement


def archives_since(story: Story) -> QuerySet[Archive]:
    """Returns the archives of events that may name the story."""
    rows = archive.of_session(story.session, archive.EVENTS)
    return rows.filter(created_at__gte=story.created_at)


def correct_archives(claim: Claim) -> None:
    """Replaces the earlier texts of a corrected story in the archived events of its session."""
    story = stories.find(claim.session, int(claim.subject))
    payload = airing.story_payload(story)
    current = {name: value for name, value in payload.items() if name in CORRECTED_FIELDS}
    replacements = corrections.of_all_corrections(story)

    def corrected(line: archive.Line) -> archive.Line:
        data = line["data"]
        for replacement in replacements:
            data = replacement.event(line["type"], data, current)
        return {**line, "data": data}

    for one in archives_since(story):
        claim.check()
        try:
            archive.rewrite(one, corrected)
        # Nothing is shown of an archive that cannot be read.
        except archive.Damaged as error:
            log.warning("archive_not_corrected", first=one.first, reason=error.code)
        except OSError as error:
            raise Retry("The archived events could not be written.") from error
    with transaction.atomic():
        claim.complete()


def pull(session: Session, story_id: int, author: User | None = None) -> Story:
    """Removes a story from air, rundown and public pages; it stays in the session.

    Later stories leave out the sentences that repeat its headline.
    """
    with airing.locked_story(session, story_id) as (run, story):
        if story.state not in Story.OPEN:
            raise Conflict("This story was vetoed or pulled already.", state=story.state)
        _withdraw(run, story)
        _leave_out(run, story, author)
        airing.advance_or_stop(run)
    return story


def _withdraw(run: Broadcast | None, story: Story) -> None:
    """Takes a locked story off the air and the public pages, and records it."""
    session, published = story.session, story.state in corrections.PUBLISHED
    # First, so that the airing ends while the story is still airing, and its end is recorded.
    if story.state == State.AIRING and run is not None:
        airing.end_current(run)
    Story.objects.filter(pk=story.pk).update(state=State.KILLED)
    story.state = State.KILLED
    stories.on_change.send(story)
    payload = airing.story_payload(story)
    if published:
        # The id alone, as the audience must not get the text once more.
        public: PublicStoryPulled = {"story": {"id": story.pk}, "retracts": story.pk}
        recorder.record(session, PULLED, {"story": payload, "public": public})
        return
    recorder.record(session, CHANGED, {"story": payload})
    next_story.tell(story, run)


def _leave_out(run: Broadcast | None, story: Story, author: User | None) -> None:
    """Takes the headline of a pulled story out of recaps, follow-ups and the memory of the host."""
    withdrawn = Withdrawn.of(story)
    rows = stories.of_session(story.session).filter(state__in=Story.OPEN, pk__gt=story.pk)
    repeating = Q(origin=Story.Origin.RECAP)
    if len(withdrawn.words) >= corrections.SHORTEST:
        repeating |= Q(narrative__contains=withdrawn.words)
    rows = rows.filter(repeating).exclude(title=story.title).order_by("id")
    for later in rows.select_for_update(of=("self",), no_key=True):
        text = withdrawn.without(later.narrative)
        # Of a recap its first sentence is no story, and of another one nothing may be left.
        left = len(sentences(text)) - int(later.origin == Story.Origin.RECAP)
        if text != later.narrative and left > 0:
            _store(later, later.title, text, PULLED_REASON, author, withdrawn)
        elif text != later.narrative:
            _withdraw(run, later)
    chain.rewrite_summaries(story.session_id, story.created_at, withdrawn.without)


def record_source(story: Story) -> None:
    """Records that a story got another source, in the caller's transaction."""
    payload = airing.story_payload(story)
    event: StoryChanged = {"story": payload}
    published = story.state in corrections.PUBLISHED
    if published:
        event["public"] = {"story": sounds.public(payload)}
    recorder.record(story.session, CREDITED if published else CHANGED, event)


def bookmark(session: Session, story_id: int, on: bool) -> Story:
    with airing.locked_story(session, story_id) as (_, story):
        story.bookmarked_at = timezone.now() if on else None
        story.save(update_fields=["bookmarked_at"])
        recorder.record(session, CHANGED, {"story": airing.story_payload(story)})
    return story


BREAK_IN = Command(
    "story.break_in",
    BreakIn,
    lambda call: break_in(call.target, call.payload, call.actor),
    "Airs a story in the user's own words before all waiting stories.",
)
CORRECT = Command(
    "story.correct",
    Correction,
    lambda call: correct(call.target, call.payload, call.actor),
    "Gives a story a new version, marked as a correction.",
)
PULL = Command(
    "story.kill",
    StoryId,
    lambda call: pull(call.target, call.payload.story, call.actor),
    "Removes a story from air, rundown and public pages.",
)
BOOKMARK = Command(
    "story.bookmark",
    Bookmark,
    lambda call: bookmark(call.target, call.payload.story, call.payload.on),
    "Adds or removes a bookmark on a story.",
)


def register() -> None:
    steps.register(Kind(corrections.ARCHIVES, "producer", correct_archives, outlives_run=True))
    commands.register(BREAK_IN)
    commands.register(CORRECT)
    commands.register(PULL)
    commands.register(BOOKMARK)
