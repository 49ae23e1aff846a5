"""The host: claims the best post just in time, has it narrated, and stores the story.

The claim of the post, and the story with its events and the next airing, are one transaction each.
The narrator is called between them, outside any transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction
from django.db.models import Exists, Subquery

from broadcast import airing, next_story, orchestrator, recaps
from broadcast.host import claims, narration
from broadcast.host import memory as host_memory
from broadcast.host.narration import NarratedPost, Watch, brief_of, forget
from broadcast.models import Airing, Broadcast
from broadcast.narrators import grounding
from broadcast.narrators.anthropic import narrator_for
from sessions_app import context
from sessions_app.ai_chain import chain
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NeedsHuman, Retry, SmnbError, StaleClaim, WaitUntil
from sessions_app.events import recorder
from sessions_app.models import Message, Session
from stories import stories
from stories.llm import EXTRACTIVE, EmptyAnswer, Refused
from stories.models import SourcePost, Story
from stories.posts import queue, selection
from stories.posts.selection import Choice
from stories.quarantine import records
from stories.text.cleaning import cut
from stories.usage import budget
from stories.usage import ledger as usage_ledger
from stories.usage.ledger import Purpose

log = structlog.get_logger(__name__)

LEAD = timedelta(seconds=8)  # how long before the end of an airing the next story is begun
IDLE = timedelta(seconds=60)  # until the next round; a new post makes it due at once
MOST_HELD = 3  # stories that wait for the editor because of their check
HUMAN = timedelta(seconds=30)  # how often a hold that needs the user is tried again

BUDGET_SPENT = "The session's budget is spent. Raise the budget in the Session Manager to continue."
NO_KEY = (
    "No Anthropic key is set, so stories are narrated in the words of the posts. "
    "To have them narrated by a model, set a key under User Settings, or ANTHROPIC_API_KEY for all "
    "users."
)
OLDER = "“{title}” is older than the story “{story}”. It airs because you placed it."


def outlook(session: Session) -> tuple[datetime | None, bool]:
    """Returns when the story on air ends, and whether another one waits that no editor holds."""
    ends = Airing.objects.filter(session=session, finished_at=None).values("finish_at")
    waiting = Story.objects.filter(
        session=session, state__in=(Story.State.WRITTEN, Story.State.APPROVED), held=False
    )
    found = Session.objects.filter(pk=session.pk).values_list(Subquery(ends), Exists(waiting)).get()
    return found[0], found[1]


def narrate(claim: Claim) -> None:
    """Runs one round: airs a waiting story or narrates the best post, and schedules the next round."""
    run = orchestrator.attend(claim)
    # Before the run is checked: posts of a dead worker must not stay claimed after the run.
    claims.requeue_abandoned(claim)
    forget(claim.session)
    if run is None:
        return
    session = run.session
    # Checked before a post is claimed, so that a spent budget costs no attempt of a post.
    if session.budget is not None and budget.over_budget(session):
        _hold(run, claim, NeedsHuman(BUDGET_SPENT, code="budget"))
        return
    ends, waits = outlook(session)
    early = ends is not None and ends - LEAD > steps.now()
    # One story in advance is enough: an older one would be out of date when it airs. A run that is
    # about to stop needs none.
    if early or waits or run.ending is not None:
        with orchestrator.locked(run):
            claim.reschedule(_next_round(run))
            airing.air_next(run)
        return
    if recaps.may_be_due(run, steps.now()):
        with orchestrator.locked(run):
            if recaps.add(run, steps.now()) is not None:
                claim.reschedule(_next_round(run))
                airing.air_next(run)
                return
    choice = claim_post(run, claim)
    if choice is not None and choice.post is not None:
        _narrate_post(run, claim, choice.post, choice)


def claim_post(run: Broadcast, claim: Claim) -> Choice | None:
    """Claims the best waiting post for this step; reschedules the step if none waits."""
    with orchestrator.locked(run), recorder.together(run.session):
        # Under the lock of the run no post is added or moved, so what is chosen remains right.
        two_outlets = claims.required(run.session)
        choice = selection.choose(run.session, claims.must_wait if two_outlets else None)
        claims.notify(run.session, choice.unconfirmed)
        for skipped in choice.skipped:
            claims.skip(skipped.post, skipped.story, skipped.role)
        post = choice.post
        if post is None or not queue.claim(post, claim):
            claim.reschedule(IDLE if post is None else steps.AT_ONCE)
            return None
        if choice.against is not None:
            warning = OLDER.format(title=cut(post.title, 120), story=cut(choice.against.title, 120))
            recorder.add_message(run.session, "host", warning, "older_post")
        event = claims.record(post, queue=-1)
    # From the event, whose figures were read under the lock of the counters.
    choice.written = event.payload["figures"]["story_count"]
    log.info("claimed", post=post.pk, source=post.source_id, attempt=post.attempts)
    return choice


def _next_round(run: Broadcast) -> datetime:
    """Returns when the host works next: just before the airing ends, soon if none is on air."""
    ends, waits = outlook(run.session)
    soon = steps.now() + timedelta(seconds=1)
    if ends is None:
        return soon
    return max(ends - (timedelta() if waits else LEAD), soon)


def _narrate_post(run: Broadcast, claim: Claim, post: SourcePost, choice: Choice) -> None:
    """Calls the narrator for a claimed post and stores the story; settles the post if there is none."""
    session, memory = run.session, host_memory.of_session(run.session)
    purpose = Purpose(
        source=chain.Source.NARRATION, run_number=run.number, context_head=memory.head, post=post
    )
    ledger = usage_ledger.SessionLedger(claim, purpose)
    # The heartbeat asks this every two seconds and ends the request when the run has ended.
    claim.still_needed = partial(orchestrator.on_air, run)
    narrator = narrator_for(session, ledger, claim.lost)
    without_key = narrator.origin != Story.Origin.MODEL and session.model != EXTRACTIVE
    if without_key and not Message.objects.filter(session=session, code="no_key").exists():
        recorder.add_message(session, "host", NO_KEY, "no_key")
    try:
        with (
            context.span("narrate", environment="agent", post=post.pk),
            Watch(run, claim, post) as watch,
        ):
            log.info("asked", narrator=str(narrator.origin), model=session.model)
            brief = brief_of(post, choice.earlier, memory, choice)
            answer = narrator.narrate(brief, watch)
            log.info("answered", narrator=str(narrator.origin))
        checked = grounding.checked(answer, brief, may_wait=may_wait(session))
    except (Refused, EmptyAnswer) as error:
        _skip_post(run, claim, post, error)
    except (Retry, WaitUntil, NeedsHuman) as error:
        with transaction.atomic():
            # In a transaction of its own: the hold below may find that the run has ended, and
            # raise.
            claims.requeue(claim, post)
        _hold(run, claim, error)
    except StaleClaim:
        # The step may belong to another worker now; the post then stays with it, by its epoch.
        with transaction.atomic():
            claims.requeue(claim, post)
        raise
    else:
        origin = Story.Origin.EXTRACTIVE if checked.own_words else narrator.origin
        narrated = NarratedPost(post, checked, str(origin), choice.earlier, memory, choice)
        _store_story(run, claim, narrated, ledger)


def may_wait(session: Session) -> bool:
    """Whether a story that failed its check may wait for the editor: not if too many wait."""
    if session.control_mode == Session.ControlMode.HANDS_FREE:
        return False
    return stories.waiting(session).filter(held=True).count() < MOST_HELD


def _skip_post(run: Broadcast, claim: Claim, post: SourcePost, error: SmnbError) -> None:
    """Fails a post that the narrator answered without a story; the next round follows at once."""
    with transaction.atomic():
        try:
            with orchestrator.locked(run):
                claim.reschedule(steps.AT_ONCE)
        except StaleClaim:
            # The run has ended, but the post and its reason are still to be stored.
            claim.complete()
        claims.settle(claim, post, SourcePost.State.FAILED, error.sentence)
        sentence = f"“{post.title[:120]}”: {error.sentence}"
        recorder.add_message(run.session, "host", sentence, error.code)


def _hold(run: Broadcast, claim: Claim, error: SmnbError) -> None:
    """Puts narration on hold while the run stays live; tells the owner once why."""
    at = steps.now()
    if isinstance(error, WaitUntil):
        until, shown = max(error.until, at), error.until
    elif isinstance(error, NeedsHuman):
        until, shown = at + HUMAN, None
    else:
        until = at + steps.backoff(claim.step.attempts)
        shown = until
    hold: orchestrator.HoldPayload = {
        "code": error.code,
        "sentence": error.sentence,
        "until": recorder.timestamp(shown),
    }
    with orchestrator.locked(run):
        claim.reschedule(until, error=error.sentence)
        # Each reason is reported once, not at every attempt.
        if run.hold is None or run.hold["code"] != error.code:
            recorder.add_message(run.session, "host", error.sentence, error.code)
        orchestrator.set_hold(run, hold)


def _store_story(
    run: Broadcast, claim: Claim, narrated: NarratedPost, ledger: usage_ledger.SessionLedger
) -> None:
    """Stores the story and airs the next one; a late answer goes to the quarantine."""
    post, answer = narrated.post, narrated.checked.narration
    try:
        with orchestrator.locked(run), recorder.together(run.session):
            # The next round may come before the end of the story aired below; it then waits.
            claim.reschedule(_next_round(run) if run.session.pace else steps.AT_ONCE)
            # The post decides: of two workers that narrated it, one moves it to its final state.
            if not queue.settle(post, claim, SourcePost.State.PUBLISHED):
                raise StaleClaim("Another worker has claimed the post.")
            story = narration.store(run, narrated, ledger)
            if run.hold is not None:
                orchestrator.set_hold(run, None)
            airing.air_next(run, story)
            next_story.tell(story, run)
    except StaleClaim:
        # The answer has cost money, so it is stored for a person to decide.
        record = {
            "title": answer.title,
            "narrative": answer.narrative,
            "tone": answer.tone,
            "topics": list(answer.topics),
            "sentiment": answer.sentiment,
        }
        records.put(
            "story",
            record,
            old_session=str(claim.step.session_id),
            old_id=f"post-{post.pk}-epoch-{claim.epoch}",
            reason="A late answer: its step was taken over, or its run had ended.",
        )
        with transaction.atomic():
            claims.requeue(claim, post)
        raise
    log.info("stored", story=story.pk, post=post.pk, words=story.word_count)


def register() -> None:
    orchestrator.on_leaving_air.subscribe(claims.requeue_pending)
    steps.register(Kind(orchestrator.NARRATE, "host", narrate, claims.gave_up))
