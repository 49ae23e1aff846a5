"""The story that comes next, as the audience learns of it, and why none is on air."""

from __future__ import annotations

from typing import Annotated, NotRequired

from django.db.models import Exists, QuerySet
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.models import Broadcast
from broadcast.schedule import calendar, slots
from broadcast.states import State
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent, Step
from stories import stories
from stories.models import SourcePost, Story
from stories.stories import PublicThread


class NextStory(TypedDict):
    """A story that is released and waits for its airing, as the audience may see it."""

    id: Annotated[int, Field(description="Id of the story.")]
    title: Annotated[str, Field(description="Headline.")]
    tone: Annotated[str, Field(description="Tone of the story.")]
    topics: Annotated[list[str], Field(description="Up to five topics.")]
    thread: Annotated[PublicThread | None, Field(description="Its thread, or null.")]
    cuts_in: Annotated[bool, Field(description="Whether it airs before those without this mark.")]


class PulledStory(TypedDict):
    id: Annotated[int, Field(description="Id of the story.")]


class PublicRelease(TypedDict):
    """What the audience gets when a waiting story is released, vetoed or pulled."""

    story: Annotated[NextStory | PulledStory, Field(description="Its id alone if removed.")]
    retracts: NotRequired[Annotated[int, Field(description="Id of a story that will not air.")]]
    undecided: NotRequired[Annotated[bool, Field(description="Whether an editor decides first.")]]


class Released(TypedDict):
    public: Annotated[PublicRelease, Field(description="The part that the audience gets.")]


RELEASED = recorder.declare("story.released", "A story will air, or not.", Released, public=True)
MOST_TOLD = 20  # waiting stories; pages show three


class Pause(TypedDict):
    """Why nothing is on air, for the audience; ``until`` is when that changes, if it is known.

    ``reason`` is off, paused, editor, next (a story is being prepared), check, or end.
    """

    reason: str
    until: str | None


def pause(session: Session) -> Pause:
    """Returns why no story of the session is on air."""
    run = orchestrator.latest(session)
    if run is None or run.state != State.LIVE:
        turns = [slot["next"] for slot in slots.all_payload(session) if slot["next"]]
        begins = [turn["at"] for turn in turns if turn["turn"] == calendar.ON]
        return {"reason": "off", "until": min(begins, default=None)}
    if run.hold:
        return {"reason": "paused", "until": run.hold["until"]}
    waiting = stories.next_up(session)
    if waiting.exists() and not released(session).exists():
        return {"reason": "editor", "until": None}
    posts = SourcePost.objects.filter(session=session, state=SourcePost.State.QUEUED)
    if waiting.exists() or posts.exists():
        return {"reason": "next", "until": None}
    checks = Step.objects.filter(session=session, kind=orchestrator.POLL, state=Step.State.PENDING)
    due = checks.order_by("due_at").values_list("due_at", flat=True).first()
    return {"reason": "check" if due else "end", "until": recorder.timestamp(due)}


def released(session: Session) -> QuerySet[Story]:
    """Returns the waiting stories that the audience may know of, in the order of their airing.

    An editor has approved them, or the session is hands-free and the check has not held them.
    """
    rows = stories.next_up(session).filter(held=False)
    hands_free = session.control_mode == Session.ControlMode.HANDS_FREE
    return rows if hands_free else rows.filter(state=Story.State.APPROVED)


def payload(story: Story) -> NextStory:
    thread = story.thread
    return {
        "id": story.pk,
        "title": story.title,
        "tone": story.tone,
        "topics": story.topics,
        "thread": {"id": thread.pk, "relation": story.relation} if thread else None,
        "cuts_in": story.cuts_in,
    }


def tell(story: Story, run: Broadcast | None) -> None:
    """Tells open watch pages that a waiting story will air, or without headline that it will not.

    Without a live run no story is named: ``tell_all`` does that when one goes live.
    """
    approved, waits = story.state == Story.State.APPROVED, story.state == Story.State.WRITTEN
    gone = story.state in (Story.State.VETOED, Story.State.KILLED)
    listed = named = False
    if waits or gone:
        earlier = SessionEvent.objects.filter(session=story.session, at__gte=story.created_at)
        earlier = earlier.filter(type=RELEASED, payload__public__story__id=story.pk)
        # The stored mode, which may be newer than that of the caller's copy of the session.
        asked = Session.objects.filter(pk=story.session_id)
        mode, named = asked.values_list("control_mode", Exists(earlier)).get()
        listed = mode == Session.ControlMode.HANDS_FREE and not story.held
    if approved or (waits and listed):
        if run is None:
            return
        public: PublicRelease = {"story": payload(story)}
    elif waits and named:
        public = {"story": {"id": story.pk}, "undecided": True}
    elif gone and (listed or story.approved_at or named):  # or listed without an event
        public = {"story": {"id": story.pk}, "retracts": story.pk}
    else:
        return
    recorder.record(story.session, RELEASED, {"public": public})


def tell_all(run: Broadcast) -> None:
    """Tells what comes next when a run goes live, or an editor decides about more or fewer."""
    for story in stories.next_up(run.session)[:MOST_TOLD]:
        story.session = run.session
        tell(story, run)
