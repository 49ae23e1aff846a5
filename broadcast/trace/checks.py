"""The checks of a trace: each yields the broken hop and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from broadcast import airing
from broadcast.orchestrator import NARRATE
from broadcast.states import State as RunState
from broadcast.trace.evidence import SLACK, Evidence
from broadcast.trace.hops import Hop, Mark, Name
from stories import stories
from stories.models import SourcePost, Story, TokenUsage

Problem = tuple[Name, str]
Origin, State = Story.Origin, Story.State
NARRATED = (Origin.MODEL, Origin.EXTRACTIVE)


def judge(evidence: Evidence, hops: Sequence[Hop]) -> tuple[Hop, ...]:
    """Returns the hops, each with the first of its problems."""
    problems: dict[Name, str] = {}
    for check in CHECKS:
        for name, sentence in check(evidence):
            problems.setdefault(name, sentence)
    for name, sentence in order(hops):
        problems.setdefault(name, sentence)
    return tuple(
        replace(hop, mark=Mark.BROKEN, problem=problems[hop.name]) if hop.name in problems else hop
        for hop in hops
    )


def same_session(evidence: Evidence) -> Iterator[Problem]:
    """Every row of a story belongs to its session."""
    session_id, post = evidence.story.session_id, evidence.post
    rows: list[tuple[Name, str, object]] = []
    if post is not None:
        rows += [(Name.CHOSEN, "the source", post.source), (Name.FETCHED, "the post", post)]
        rows += [(Name.CLAIMED, "the step that claimed it", post.step)]
    rows += [(Name.FETCHED, "the step that read it", evidence.poll)]
    rows += [(Name.ASKED, f"ledger row {row.pk}", row) for row in evidence.calls]
    for aired in evidence.airings:
        rows += [(Name.AIRED, f"airing {aired.pk}", aired)]
        rows += [(Name.AIRED, f"run {aired.run.number}", aired.run)]
    for name, label, row in rows:
        if row is not None and getattr(row, "session_id", session_id) != session_id:
            yield name, f"{label.capitalize()} belongs to another session."


def fetched(evidence: Evidence) -> Iterator[Problem]:
    """A narrated story has a post, and a step read its source."""
    if evidence.story.origin not in NARRATED or evidence.copied:
        return
    session = evidence.story.session
    if evidence.post is None:
        yield Name.FETCHED, "The story has no post."
    # The posts of a copied or imported session were read by steps of the original.
    elif evidence.poll is None and not (session.made_from_id or session.imported_id):
        yield Name.FETCHED, "No step that read the source is on record."


def claimed(evidence: Evidence) -> Iterator[Problem]:
    """The post was claimed by a narration step under an epoch of that step, as its events say."""
    post = evidence.post
    if evidence.story.origin not in NARRATED or evidence.copied or post is None:
        return
    if post.state != SourcePost.State.PUBLISHED:
        yield Name.CLAIMED, f"Its post is {post.state}, not published."
    if post.step is None:
        yield Name.CLAIMED, "No step claimed its post."
    elif post.step.kind != NARRATE or not 1 <= post.epoch <= post.step.epoch:
        yield Name.CLAIMED, "It was claimed under an epoch that its step never had."
    claims = len(evidence.claims)
    if evidence.post_archived:
        return
    if not claims:
        yield Name.CLAIMED, "The event of its claim is missing."
    elif not 1 <= post.attempts <= claims:
        yield Name.CLAIMED, f"The post counts {post.attempts} attempts, its events {claims}."


def asked(evidence: Evidence) -> Iterator[Problem]:
    """A model's story has a booked call, made for its post and under the claim that was stored."""
    if evidence.story.origin != Origin.MODEL or evidence.copied:
        return
    row, post = evidence.winning, evidence.post
    if row is None:
        yield Name.ASKED, "No call of a model is booked for the story."
    elif post is not None and row.post_id != post.pk:
        yield Name.ASKED, f"Ledger row {row.pk} was asked for another post."
    elif post is not None and (row.step_id, row.epoch) != (post.step_id, post.epoch):
        yield Name.ASKED, "The call was made under another claim than the one that was stored."


def answered(evidence: Evidence) -> Iterator[Problem]:
    """Every call is closed, and its link of the AI chain agrees with the ledger."""
    for row in evidence.calls:
        if row.story_id == evidence.story.pk and row.state in TokenUsage.OPEN:
            yield Name.ANSWERED, f"Ledger row {row.pk} was never closed."
        if row.exact and row.link is not None and row.link.tokens != row.output_tokens:
            yield (
                Name.ANSWERED,
                f"Ledger row {row.pk} has {row.output_tokens} tokens of output, "
                f"its link {row.link.tokens}.",
            )


def published(evidence: Evidence) -> Iterator[Problem]:
    """The story has exactly one event of publication, unless that event cannot be here."""
    events = len(evidence.of_type(stories.WRITTEN))
    if events > 1:
        yield Name.PUBLISHED, f"It was published {events} times."
    excused = evidence.archived or evidence.copied or evidence.story.origin == Origin.LEGACY
    if not events and not excused:
        yield Name.PUBLISHED, "Its event is missing."


def aired(evidence: Evidence) -> Iterator[Problem]:
    """The state of the story agrees with its airings, and these with their events."""
    state, airings = evidence.story.state, evidence.airings
    unfinished = sum(row.finished_at is None for row in airings)
    has_aired = state in (State.AIRING, State.AIRED)
    excused = evidence.copied or evidence.story.origin == Origin.LEGACY
    if has_aired and not airings and not excused:
        yield Name.AIRED, f"The story is {state}, but was never put on air."
    if airings and state in (State.WRITTEN, State.APPROVED, State.VETOED):
        yield Name.AIRED, f"The story is {state}, but was on air."
    if airings and unfinished != int(state == State.AIRING):
        yield Name.AIRED, f"The story is {state}, but {unfinished} of its airings are open."
    if evidence.archived or not airings:
        return
    starts, ends = len(evidence.of_type(airing.AIRED)), len(evidence.of_type(airing.FINISHED))
    finished = len(airings) - unfinished
    if starts != len(airings):
        yield Name.AIRED, f"It was on air {len(airings)} times, but has {starts} events of it."
    elif ends != finished:
        yield Name.AIRED, f"It left the air {finished} times, but has {ends} events of it."


def during_live_run(evidence: Evidence) -> Iterator[Problem]:
    """A post is claimed, and a story aired, only while a run is live."""
    events = [(Name.AIRED, event) for event in evidence.of_type(airing.AIRED)]
    events += [(Name.CLAIMED, event) for event in evidence.claims]
    for name, event in events:
        _, state = evidence.runs.at_seq(event.seq)
        if state != RunState.LIVE:
            yield name, f"At event {event.seq} the run was {state}, not live."


def order(hops: Sequence[Hop]) -> Iterator[Problem]:
    """Each hop comes after the one before it, by its time and by its event."""
    last_with_time: Hop | None = None
    last_with_event: Hop | None = None
    for hop in hops:
        if hop.mark != Mark.SEEN:
            continue
        previous = last_with_time
        # The clocks of two machines differ a little.
        if previous is not None and previous.at and hop.at and hop.at < previous.at - SLACK:
            yield hop.name, f"It is recorded before the story was {previous.name}."
        previous = last_with_event
        if previous is not None and previous.seq and hop.seq and hop.seq <= previous.seq:
            yield hop.name, f"Event {hop.seq} came before event {previous.seq}, {previous.name}."
        last_with_time = hop if hop.at else last_with_time
        last_with_event = hop if hop.seq else last_with_event


CHECKS: tuple[Callable[[Evidence], Iterator[Problem]], ...] = (
    same_session,
    fetched,
    claimed,
    asked,
    answered,
    published,
    aired,
    during_live_run,
)
