"""The host: claims the best post just in time, has it narrated, and stores the story.

The claim, the story with its events, and the next airing are one transaction each; the narrator is
asked between them, outside any transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction

from broadcast import airing, orchestrator
from broadcast.host import claims, narration
from broadcast.host import memory as host_memory
from broadcast.host.narration import Told, Watch, brief_of, forget
from broadcast.models import Broadcast
from broadcast.narrators.anthropic import narrator_for
from sessions_app import context
from sessions_app.ai_chain import chain
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NeedsHuman, Retry, SmnbError, StaleClaim, WaitUntil
from sessions_app.events import recorder
from sessions_app.models import Message
from stories import threads
from stories.llm import EXTRACTIVE, EmptyAnswer, Refused
from stories.models import SourcePost, Story
from stories.posts import queue
from stories.quarantine import records
from stories.types import Narration
from stories.usage import ledger as usage_ledger
from stories.usage.ledger import Purpose

log = structlog.get_logger(__name__)

LEAD = timedelta(seconds=8)  # how long before the end of an airing the next story is begun
IDLE = timedelta(seconds=60)  # a new post wakes the host earlier
HUMAN = timedelta(seconds=30)  # how often a hold that needs a person is tried again


def narrate(claim: Claim) -> None:
    """One round of the host: air what waits, or narrate the best post, then arm the next round."""
    run = orchestrator.attend(claim)
    claims.give_back_earlier(claim)
    forget(claim.session)
    if run is None:
        return
    if run.session.budget is not None and usage_ledger.over_budget(run.session):
        _hold(run, claim, NeedsHuman(_BUDGET, code="budget"))
        return
    if airing.waiting(run.session) is not None or not _time_for_next(run):
        with orchestrator.locked(run):
            claim.reschedule(_next_round(run))
            airing.air_next(run)
        return
    post = _claim_post(run, claim)
    if post is not None:
        _tell(run, claim, post)


_BUDGET = "The session's budget is spent. Raise the budget in the Session Manager to go on."


def _time_for_next(run: Broadcast) -> bool:
    on_air = airing.now_airing(run.session)
    return on_air is None or on_air.finish_at - LEAD <= steps.now()


def _next_round(run: Broadcast) -> datetime:
    """When the host has to look again: just before the air is free, or soon when a story waits."""
    at = steps.now()
    on_air = airing.now_airing(run.session)
    soon = at + timedelta(seconds=1)
    if on_air is None:
        return soon
    lead = LEAD if airing.waiting(run.session) is None else timedelta()
    return max(on_air.finish_at - lead, soon)


def _claim_post(run: Broadcast, claim: Claim) -> SourcePost | None:
    with orchestrator.locked(run):
        post = queue.claim_best(claim)
        if post is None:
            claim.reschedule(steps.now() + IDLE)
            return None
        claims.record(post, queue=-1)
    log.info("claimed", post=post.pk, source=post.source_id, attempt=post.attempts)
    return post


def _tell(run: Broadcast, claim: Claim, post: SourcePost) -> None:
    memory = host_memory.told(run.session)
    purpose = Purpose(
        source=chain.Source.NARRATION, run_number=run.number, context_head=memory.head, post=post
    )
    ledger = usage_ledger.SessionLedger(claim, purpose)
    claim.still_needed = partial(orchestrator.on_air, run)
    narrator = narrator_for(run.session, ledger, claim.lost)
    if narrator.origin != Story.Origin.MODEL and run.session.model != EXTRACTIVE:
        _say_once(run, "no_key", _NO_KEY)
    try:
        earlier = threads.find(run.session, post.title)
        with (
            context.span("narrate", environment="agent", post=post.pk),
            Watch(run, claim, post) as watch,
        ):
            log.info("asked", narrator=str(narrator.origin), model=run.session.model)
            narration = narrator.narrate(brief_of(post, earlier, memory), watch)
            log.info("answered", narrator=str(narrator.origin))
    except (Refused, EmptyAnswer) as error:
        _pass_over(run, claim, post, error)
    except (Retry, WaitUntil, NeedsHuman) as error:
        with transaction.atomic():
            claims.put_back(claim, post)
        _hold(run, claim, error)
    except StaleClaim:
        with transaction.atomic():
            claims.put_back(claim, post)
        raise
    else:
        told = Told(post, narration, narrator.origin, earlier, memory)
        _keep(run, claim, told, ledger)


_NO_KEY = (
    "No Anthropic key is set, so the stories are told in the posts' own words. "
    "Set one under User Settings, or ANTHROPIC_API_KEY for everybody, to have them narrated."
)


def _say_once(run: Broadcast, code: str, sentence: str) -> None:
    if not Message.objects.filter(session=run.session, code=code).exists():
        recorder.add_message(run.session, "host", sentence, code)


def _pass_over(run: Broadcast, claim: Claim, post: SourcePost, error: SmnbError) -> None:
    """The narrator had an answer, but no story: this post is skipped, the show goes on."""
    with transaction.atomic():
        try:
            with orchestrator.locked(run):
                claim.reschedule(steps.now())
        except StaleClaim:
            claim.complete()
        claims.settle(claim, post, SourcePost.State.FAILED, error.sentence)
        recorder.add_message(
            run.session, "host", f"“{post.title[:120]}”: {error.sentence}", error.code
        )


def _hold(run: Broadcast, claim: Claim, error: SmnbError) -> None:
    """Narration waits, the run stays live, and the owner is told why, once."""
    at = steps.now()
    if isinstance(error, WaitUntil):
        until, shown = max(error.until, at), error.until
    elif isinstance(error, NeedsHuman):
        until, shown = at + HUMAN, None
    else:
        until = at + steps.backoff(claim.step.attempts)
        shown = until
    hold = {"code": error.code, "sentence": error.sentence, "until": recorder.timestamp(shown)}
    with orchestrator.locked(run):
        claim.reschedule(until, error=error.sentence)
        if run.hold is None or run.hold["code"] != error.code:
            recorder.add_message(run.session, "host", error.sentence, error.code)
        orchestrator.set_hold(run, hold)


def _keep(run: Broadcast, claim: Claim, told: Told, ledger: usage_ledger.SessionLedger) -> None:
    """Store the story with all that belongs to it; a late answer goes to quarantine, not astray."""
    try:
        with orchestrator.locked(run):
            # The next round may come before the end of the story aired below; it then waits.
            claim.reschedule(_next_round(run) if run.session.pace else steps.now())
            if not queue.settle(told.post, claim, SourcePost.State.PUBLISHED):
                raise StaleClaim("The post was given to somebody else.")
            story = narration.store(run, told, ledger)
            if run.hold is not None:
                orchestrator.set_hold(run, None)
            airing.air_next(run)
    except StaleClaim:
        _too_late(claim, told.post, told.narration)
        raise
    log.info("stored", story=story.pk, post=told.post.pk, words=story.word_count)


def _too_late(claim: Claim, post: SourcePost, narration: Narration) -> None:
    """Keep what was narrated for nobody, for a person to decide, and free the post."""
    records.put(
        "story",
        {"title": narration.title, "narrative": narration.narrative, "tone": narration.tone,
         "topics": list(narration.topics), "sentiment": narration.sentiment},
        old_session=str(claim.step.session_id),
        old_id=f"post-{post.pk}-epoch-{claim.epoch}",
        reason="A late answer: its step was taken over, or its run had ended.",
    )  # fmt: skip
    with transaction.atomic():
        claims.put_back(claim, post)


def register() -> None:
    orchestrator.on_leaving_air.subscribe(claims.free_waiting)
    steps.register(Kind(orchestrator.NARRATE, "host", narrate, claims.gave_up))
