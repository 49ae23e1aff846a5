"""On air: which story may air next, when its airing began, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Annotated, Literal

from django.contrib.auth.models import User
from django.db.models import Exists, Q
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import next_story, orchestrator
from broadcast.models import Airing, Broadcast
from broadcast.speech import recorder as speech
from broadcast.speech import sounds
from broadcast.speech.sounds import AudibleStory
from sessions_app import preferences
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.models import Session
from stories import stories
from stories.models import Story
from stories.stories import StoryDecided, StoryPayload


class PublicStoryEvent(TypedDict):
    story: Annotated[AudibleStory, Field(description="The story as the audience gets it.")]


class AiringEvent(TypedDict):
    """Payload of story.aired and story.finished."""

    story: Annotated[StoryPayload, Field(description="The story with this airing.")]
    public: Annotated[PublicStoryEvent, Field(description="The part that the audience gets.")]


AIRED = recorder.declare("story.aired", "A story went on air.", AiringEvent, public=True)
FINISHED = recorder.declare(
    "story.finished", "A story's time on air ended.", AiringEvent, public=True
)
# Time to undo a stop.
UNDO = timedelta(seconds=5)
# Time for the owner to see a story and react; without waiting on air (pace 0) there is none.
VETO_WINDOW = timedelta(seconds=5)


def now_airing(session: Session) -> Airing | None:
    """Returns the airing of the story on air."""
    return (
        Airing.objects.filter(session=session, finished_at=None)
        .select_related("story__post__source", "story__thread")
        .first()
    )


def air_next(run: Broadcast, written: Story | None = None) -> Airing | None:
    """Puts the next story on air if none is and one may be. The caller has locked the run.

    ``written`` is a story that was stored in this transaction.
    """
    session, at = run.session, steps.now()
    # The mode is compared by the database, as the caller's copy of the session may be from before the
    # lock: its owner may have asked for approval while the narrator was at work.
    hands_free = Q(session__control_mode=Session.ControlMode.HANDS_FREE)
    balanced = Q(session__control_mode=Session.ControlMode.BALANCED)
    # By the clock of the database, so that all workers agree.
    not_vetoed = Q(session__pace=0) | Q(created_at__lte=at - VETO_WINDOW)
    unapproved = Q(state=Story.State.WRITTEN) & (hands_free | (balanced & not_vetoed))
    may_air = Q(state=Story.State.APPROVED) | unapproved
    # Sentences that failed the check wait for an editor in every mode, even if it changed since.
    on_air = Airing.objects.filter(session=session, finished_at=None)
    rows = stories.next_up(session).filter(may_air, ~Exists(on_air), held=False)
    is_written = written is not None and written.pk == rows.values_list("pk", flat=True).first()
    story = written if is_written else rows.first()
    if story is None:
        return None
    # A veto that began before the run was live has locked only the story, so look once more.
    ungrounded = stories.unsupported(story)
    unchanged = Story.objects.filter(pk=story.pk, state=story.state, held=False)
    if not unchanged.update(state=Story.State.AIRING, ungrounded_aired=ungrounded):
        return None
    story.state, story.ungrounded_aired = Story.State.AIRING, ungrounded
    length = timedelta(seconds=speech.seconds_on_air(story) if session.pace else 0)
    airing = Airing.objects.create(
        session=session, run=run, story=story, aired_at=at, finish_at=at + length
    )
    # In the transaction of the airing: without this step the story would stay on air forever.
    due_at = airing.finish_at if length else None
    steps.enqueue(session, orchestrator.FINISH_AIRING, airing.pk, due_at)
    stories.on_change.send(story)
    _record(AIRED, airing, may_have_sound=not is_written)
    return airing


def payload(airing: Airing) -> StoryPayload:
    """Returns the story for its owner, with the times of this airing."""
    return payload_of(airing.story, airing)


def story_payload(story: Story) -> StoryPayload:
    """Returns a story for its owner, with the times of its latest airing."""
    return payload_of(story, Airing.objects.filter(story=story).order_by("-id").first())


def payload_of(story: Story, airing: Airing | None) -> StoryPayload:
    """Returns a story for its owner, with the times of this airing if there is one."""
    if airing is None:
        return stories.payload(story)
    return stories.payload(
        story, recorder.timestamp(airing.aired_at), recorder.timestamp(airing.finish_at)
    )


def _record(type_: str, airing: Airing, *, may_have_sound: bool = True) -> None:
    story = payload(airing)
    heard = sounds.of_stories([airing.story_id]) if may_have_sound else {}
    public: AudibleStory = {**stories.public_payload(story), "sound": heard.get(airing.story_id)}
    event: AiringEvent = {"story": story, "public": {"story": public}}
    aired = int(type_ == AIRED)
    ungrounded = airing.story.ungrounded_aired if aired else 0
    extra = Extra({"aired": aired})
    recorder.record(airing.session, type_, event, None, extra, ungrounded_aired=ungrounded)


def _end(airing: Airing, at: datetime) -> None:
    """Ends an airing, once; in the caller's transaction."""
    # Conditional, because a break-in, a stop and the airing's own step may all try to end it.
    if not Airing.objects.filter(pk=airing.pk, finished_at=None).update(finished_at=at):
        return
    # Only a story that is still airing: one that was pulled meanwhile must not become aired.
    rows = Story.objects.filter(pk=airing.story_id, state=Story.State.AIRING)
    rows.update(state=Story.State.AIRED)
    airing.story.state = Story.State.AIRED
    _record(FINISHED, airing)


def finish(claim: Claim) -> None:
    """Ends an airing at its time, and airs the next story if one waits."""
    rows = Airing.objects.select_related("story__post__source", "story__thread")
    airing = rows.get(pk=int(claim.subject))
    airing.session = claim.session
    with orchestrator.locked_live_run(claim.session) as run:
        claim.complete()
        # The event of a stop has a seq of its own, so it cannot wait for the others.
        continues = run is None or run.ending is None
        with recorder.together(claim.session) if continues else nullcontext():
            _end(airing, steps.now())
            advance_or_stop(run)


def end_current(run: Broadcast, at: datetime | None = None) -> None:
    """Takes the story on air off it: another one breaks in, or the run leaves the air."""
    airing = now_airing(run.session)
    if airing is not None:
        _end(airing, at or steps.now())


@contextmanager
def locked_story(session: Session, story_id: int) -> Iterator[tuple[Broadcast | None, Story]]:
    """Opens a transaction that locks the live run, if there is one, and then the story."""
    with orchestrator.locked_live_run(session) as run:
        yield run, stories.find(session, story_id, lock=True)


def decide(session: Session, story_id: int, approve: bool, editor: User) -> Story:
    """Approves or vetoes a waiting story; Conflict if it does not wait any more.

    An approval is recorded in the story with the editor and the time, a veto removes it.
    """
    verdict = Story.State.APPROVED if approve else Story.State.VETOED
    with locked_story(session, story_id) as (run, story):
        # Checked under the lock: until then the story may have gone on air.
        if story.state not in (Story.State.WRITTEN, Story.State.APPROVED):
            raise Conflict("The story does not wait any more.", state=story.state)
        story.state = verdict
        story.approved_by = editor if approve else None
        story.approved_at = timezone.now() if approve else None
        story.approved_as = preferences.of(editor).byline if approve else ""
        story.label_off = approve and session.ai_label == Session.AILabel.UNREVIEWED
        if approve and story.held:
            story.held = False
            story.passages = [
                {**sentence, "support": "editor"} if sentence["support"] == "none" else sentence
                for sentence in story.passages
            ]
        story.save(
            update_fields=[
                "state",
                "approved_by",
                "approved_at",
                "approved_as",
                "label_off",
                "held",
                "passages",
            ]
        )
        event: StoryDecided = {"story": stories.payload(story), "by": editor.get_username()}
        recorder.record(session, stories.DECIDED, event)
        next_story.tell(story, run)
        advance(run)
    return story


def advance(run: Broadcast | None) -> None:
    """Airs the next story if one may air now, and runs the host's step; nothing without a run.

    The caller has locked the run.
    """
    if run is not None:
        air_next(run)
        steps.run_now(run.session, orchestrator.NARRATE, run.pk)


def advance_or_stop(run: Broadcast | None) -> None:
    """Continues after a story has left the air, or stops if an editor asked for that.

    The caller has locked the run.
    """
    after_story = run is not None and run.ending is not None and run.ending["when"] == "story"
    if run is not None and after_story and now_airing(run.session) is None:
        _stop(run)
    else:
        advance(run)


class StopTime(Payload):
    """When to stop: after the story on air, or now."""

    when: Literal["story", "now"]


def ask_to_stop(call: Call) -> Broadcast:
    """Stops the run after the story on air, or in ``UNDO``; what is not live stops at once."""
    session, actor = call.target, call.actor
    with orchestrator.locked_live_run(session) as run:
        if run is None:
            return orchestrator.stop(session, actor)
        at = None
        # Without a story on air there is none to wait for.
        if call.payload.when == "now" or now_airing(session) is None:
            at = steps.now() + UNDO
            # A stop that was asked before has this step already, which finds the new time.
            steps.enqueue(session, orchestrator.STOP_RUN, run.pk, at)
        ending: orchestrator.EndingPayload = {
            "when": "now" if at else "story",
            "at": recorder.timestamp(at),
            "by": actor.get_username(),
        }
        orchestrator.set_ending(run, ending)
    return run


def undo_stop(call: Call) -> Broadcast:
    """Withdraws the stop that was asked for; Conflict once the run has stopped."""
    with orchestrator.locked_live_run(call.target) as run:
        if run is None or run.ending is None:
            raise Conflict("There is no stop to undo.")
        orchestrator.set_ending(run, None)
        advance(run)
    return run


def stop_when_due(claim: Claim) -> None:
    """Stops the run at the time that an editor asked for, unless that was undone."""
    with orchestrator.locked_live_run(claim.session) as run:
        ending = run.ending if run is not None and str(run.pk) == claim.subject else None
        at = datetime.fromisoformat(ending["at"]) if ending and ending["at"] else None
        # Undone and asked again while this step waited for the lock.
        if at is not None and at > steps.now():
            claim.reschedule(at)
            return
        claim.complete()
        if run is not None and at is not None:
            _stop(run)


def _stop(run: Broadcast) -> None:
    """Stops a run in the name of the editor who asked for it."""
    editor = User.objects.filter(username=run.ending["by"]).first() if run.ending else None
    orchestrator.stop(run.session, editor, run)


def register() -> None:
    steps.register(Kind(orchestrator.FINISH_AIRING, "control", finish))
    steps.register(Kind(orchestrator.STOP_RUN, "control", stop_when_due))
    orchestrator.on_going_live.subscribe(next_story.tell_all)
    orchestrator.on_leaving_air.subscribe(end_current)
