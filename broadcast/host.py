"""The host: claims the best post just in time, has it narrated, and stores the story.

The claim, the story with its events, and the next airing are one transaction each; the narrator is
asked between them, outside any transaction.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction
from django.utils import timezone

from broadcast import airing, custody, memories, orchestrator
from broadcast.memories import Memory
from broadcast.models import Broadcast
from broadcast.narrators.choice import EXTRACTIVE, narrator_for
from sessions_app import chain, events, steps
from sessions_app.chain import Operation
from sessions_app.errors import NeedsHuman, Retry, SmnbError, StaleClaim, WaitUntil
from sessions_app.models import Message
from sessions_app.series import Extra
from sessions_app.steps import Claim, Kind
from stories import booking, feed, posts, quarantine, threads, usage
from stories.llm import EmptyAnswer, Refused
from stories.market import trends
from stories.models import SourcePost, Story, TokenUsage
from stories.text import tokens_of, word_count
from stories.threads import Earlier
from stories.types import Brief, Narration
from stories.usage import Purpose

log = structlog.get_logger(__name__)

NARRATION = "narration.delta"

LEAD = timedelta(seconds=8)  # how long before the end of an airing the next story is begun
IDLE = timedelta(seconds=60)  # a new post wakes the host earlier
HUMAN = timedelta(seconds=30)  # how often a hold that needs a person is tried again
FRAMES_EVERY = 0.2
SHOWN = 4000  # characters of a growing narration: whatever they are, the frame stays below 32 kB
CHECK_EVERY = 1.0


def narrate(claim: Claim) -> None:
    """One round of the host: air what waits, or narrate the best post, then arm the next round."""
    run = orchestrator.attend(claim)
    custody.give_back_earlier(claim)
    if run is None:
        return
    if run.session.budget is not None and usage.over_budget(run.session):
        _hold(run, claim, NeedsHuman(_BUDGET, code="budget"))
        return
    if airing.waiting(run.session) is not None or not _time_for_next(run):
        with transaction.atomic():
            # Before the step is armed: a stop that came first has cancelled what was pending.
            orchestrator.hold_fast(run)
            claim.again(_next_round(run))
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
    with transaction.atomic():
        orchestrator.hold_fast(run)
        post = posts.claim_best(claim)
        if post is None:
            claim.again(steps.now() + IDLE)
            return None
        custody.record(post, queue=-1)
        return post


def _tell(run: Broadcast, claim: Claim, post: SourcePost) -> None:
    memory = memories.told(run.session)
    purpose = Purpose(
        source=chain.Source.NARRATION, run_number=run.number, context_head=memory.head, post=post
    )
    ledger = usage.SessionLedger(claim, purpose)
    claim.wanted = partial(orchestrator.on_air, run)
    narrator = narrator_for(run.session, ledger, claim.lost)
    if narrator.origin != Story.Origin.MODEL and run.session.model != EXTRACTIVE:
        _say_once(run, "no_key", _NO_KEY)
    watch = Watch(run, claim, post)
    try:
        earlier = threads.find(run.session, post.title)
        narration = narrator.narrate(_brief(post, earlier, memory), watch)
    except (Refused, EmptyAnswer) as error:
        _pass_over(run, claim, post, error)
    except (Retry, WaitUntil, NeedsHuman) as error:
        with transaction.atomic():
            custody.put_back(claim, post)
        _hold(run, claim, error)
    except StaleClaim:
        with transaction.atomic():
            custody.put_back(claim, post)
        raise
    else:
        _keep(run, claim, Told(post, narration, narrator.origin, earlier, memory), ledger)


_NO_KEY = (
    "No Anthropic key is set, so the stories are told in the posts' own words. "
    "Set one under User Settings, or ANTHROPIC_API_KEY for everybody, to have them narrated."
)


def _say_once(run: Broadcast, code: str, sentence: str) -> None:
    if not Message.objects.filter(session=run.session, code=code).exists():
        events.say(run.session, "host", sentence, code)


class Watch:
    """Follows a narration as it grows: shows it to the owner, and stops it when the run has ended."""

    def __init__(self, run: Broadcast, claim: Claim, post: SourcePost) -> None:
        self._run, self._claim, self._post, self._text = run, claim, post, ""
        self._shown = self._checked = time.monotonic() - CHECK_EVERY

    def __call__(self, text: str) -> None:
        at = time.monotonic()
        self._claim.check()
        if at - self._checked >= CHECK_EVERY:
            self._checked = at
            orchestrator.hold_fast(self._run)
        if text != self._text and at - self._shown >= FRAMES_EVERY:
            self._shown, self._text = at, text
            frame = {"title": self._post.title, "text": text[-SHOWN:]}
            events.publish_ephemeral(self._run.session_id, NARRATION, frame)


def _brief(post: SourcePost, earlier: Earlier | None, memory: Memory) -> Brief:
    session = post.session
    return Brief(
        title=post.title,
        body=post.body,
        author=post.author,
        source=_credit(post),
        url=post.url,
        published_at=post.published_at,
        score=post.score,
        comments=post.comments,
        priority=post.priority,
        personality=session.personality,
        verbosity=session.verbosity,
        language=session.language,
        instructions=session.instructions,
        recent_titles=memory.titles,
        so_far=memory.summary,
        earlier=threads.told_before(earlier),
        relation=earlier.relation if earlier else "",
    )


def _credit(post: SourcePost) -> str:
    if post.source.kind == "recording":
        return "the demo recording"
    if post.source.kind == "reddit":
        return post.source.locator
    return feed.credit(post.source.locator)


def _pass_over(run: Broadcast, claim: Claim, post: SourcePost, error: SmnbError) -> None:
    """The narrator had an answer, but no story: this post is skipped, the show goes on."""
    with transaction.atomic():
        try:
            orchestrator.hold_fast(run)
        except StaleClaim:
            claim.done()
        else:
            claim.again(steps.now())
        custody.settle(claim, post, SourcePost.State.FAILED, error.sentence)
        events.say(run.session, "host", f"“{post.title[:120]}”: {error.sentence}", error.code)


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
    hold = {"code": error.code, "sentence": error.sentence, "until": events.stamp(shown)}
    with transaction.atomic():
        # The run before the step and the counters, as everywhere: no two writers can block each
        # other, and no step is armed behind the back of a stop.
        orchestrator.hold_fast(run)
        claim.again(until, error=error.sentence)
        if run.hold is None or run.hold["code"] != error.code:
            events.say(run.session, "host", error.sentence, error.code)
        orchestrator.set_hold(run, hold)


@dataclass(frozen=True, slots=True)
class Told:
    """A post, what was made of it and by whom, and the story it goes on from."""

    post: SourcePost
    narration: Narration
    origin: str
    earlier: Earlier | None
    memory: Memory


def _keep(run: Broadcast, claim: Claim, told: Told, ledger: usage.SessionLedger) -> None:
    """Store the story with all that belongs to it; a late answer goes to quarantine, not astray."""
    try:
        with transaction.atomic():
            # The run, then the step, then the counters, as everywhere. The round may come too early
            # for what is put on air below; it then waits for its end.
            orchestrator.hold_fast(run)
            claim.again(_next_round(run) if run.session.pace else steps.now())
            if not posts.settle(told.post, claim, SourcePost.State.TOLD):
                raise StaleClaim("The post was given to somebody else.")
            story = _store(run, told, ledger)
            if run.hold is not None:
                orchestrator.set_hold(run, None)
            airing.air_next(run)
    except StaleClaim:
        _too_late(claim, told.post, told.narration)
        raise
    log.info("story_stored", story=story.pk, words=story.word_count)


def _store(run: Broadcast, told: Told, ledger: usage.SessionLedger) -> Story:
    session, narration = run.session, told.narration
    words = word_count(narration.narrative)
    used = TokenUsage.objects.filter(attempt__in=ledger.attempts)
    model = used.order_by("-id").values_list("model", flat=True).first() or ""
    at = timezone.now()
    story = Story.objects.create(
        session=session, post=told.post, origin=told.origin, title=narration.title[:300],
        narrative=narration.narrative, summary=narration.summary, tone=narration.tone,
        priority=told.post.label, sentiment=narration.sentiment, topics=list(narration.topics),
        model=model, note=narration.note[:300], word_count=words,
        duration=airing.seconds_on_air(words, session.pace), completed_at=at,
    )  # fmt: skip
    used.update(story=story)
    if not ledger.attempts:
        _link(run, told)
    opened = threads.join(story, told.earlier) if told.earlier else None
    airing.changed(story)
    trends.told(told.post)
    events.record(
        session, feed.WRITTEN,
        {"story": feed.payload(story), "queue": posts.queue_payload(session),
         "joined": airing.shown(opened) if opened else None},
        at, Extra(shares=booking.story_shares(story, ledger.attempts)),
        story_count=1, words=words, narration_seconds=story.duration,
    )  # fmt: skip
    return story


def _link(run: Broadcast, told: Told) -> None:
    """A narrator that asks no model is an operation of the session like any other."""
    operation = Operation(
        source=chain.Source.NARRATION, provider_id=chain.offline_id(), model=told.origin,
        run_number=run.number, context_head=told.memory.head,
        tokens=tokens_of(told.narration.narrative),
    )  # fmt: skip
    chain.join(run.session, operation)


def _too_late(claim: Claim, post: SourcePost, narration: Narration) -> None:
    """Keep what was narrated for nobody, for a person to decide, and free the post."""
    quarantine.put(
        "story",
        {"title": narration.title, "narrative": narration.narrative, "tone": narration.tone,
         "topics": list(narration.topics), "sentiment": narration.sentiment},
        old_session=str(claim.step.session_id),
        old_id=f"post-{post.pk}-epoch-{claim.epoch}",
        reason="A late answer: its step was taken over, or its run had ended.",
    )  # fmt: skip
    with transaction.atomic():
        custody.put_back(claim, post)


def register() -> None:
    airing.register()
    orchestrator.on_leaving_air(custody.free_waiting)
    steps.register(Kind(orchestrator.NARRATE, "host", narrate, custody.gave_up))
