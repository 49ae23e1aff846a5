"""What breaks a story's way: each check yields the hop and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from broadcast import airing
from broadcast.orchestrator import NARRATE
from broadcast.states import State as Air
from broadcast.trace.evidence import SLACK, Evidence
from broadcast.trace.hops import Hop, Mark, Name
from stories import stories
from stories.models import SourcePost, Story, TokenUsage

Problem = tuple[Name, str]
Origin, State = Story.Origin, Story.State
NARRATED = (Origin.MODEL, Origin.EXTRACTIVE)


def judge(found: Evidence, hops: Sequence[Hop]) -> tuple[Hop, ...]:
    """The hops, each with the first of its problems."""
    problems: dict[Name, str] = {}
    for check in CHECKS:
        for name, sentence in check(found):
            problems.setdefault(name, sentence)
    for name, sentence in _disorder(hops):
        problems.setdefault(name, sentence)
    return tuple(
        replace(hop, mark=Mark.BROKEN, problem=problems[hop.name]) if hop.name in problems else hop
        for hop in hops
    )


def _sessions(found: Evidence) -> Iterator[Problem]:
    """Whatever belongs to a story is of its session."""
    mine, post = found.story.session_id, found.post
    rows: list[tuple[Name, str, object]] = []
    if post is not None:
        rows += [(Name.CHOSEN, "the source", post.source), (Name.FETCHED, "the post", post)]
        rows += [(Name.CLAIMED, "the step that claimed it", post.step)]
    rows += [(Name.FETCHED, "the step that read it", found.poll)]
    rows += [(Name.ASKED, f"ledger row {row.pk}", row) for row in found.calls]
    rows += [(Name.AIRED, f"airing {each.pk}", each) for each in found.airings]
    rows += [(Name.AIRED, f"run {each.run.number}", each.run) for each in found.airings]
    for name, what, row in rows:
        if row is not None and getattr(row, "session_id", mine) != mine:
            yield name, f"{what.capitalize()} belongs to another session."


def _fetching(found: Evidence) -> Iterator[Problem]:
    if found.story.origin not in NARRATED or found.brought:
        return
    if found.post is None:
        yield Name.FETCHED, "The story has no post."
    elif found.poll is None and not _elsewhere(found):
        yield Name.FETCHED, "No step that read the source is on record."


def _elsewhere(found: Evidence) -> bool:
    session = found.story.session
    return bool(session.made_from_id or session.imported_id)


def _claiming(found: Evidence) -> Iterator[Problem]:
    post = found.post
    if found.story.origin not in NARRATED or found.brought or post is None:
        return
    if post.state != SourcePost.State.PUBLISHED:
        yield Name.CLAIMED, f"Its post is {post.state}, not told."
    if post.step is None:
        yield Name.CLAIMED, "No step claimed its post."
    elif post.step.kind != NARRATE or not 1 <= post.epoch <= post.step.epoch:
        yield Name.CLAIMED, "It was claimed under an epoch that its step never had."
    claims = len(found.claims)
    if found.post_archived:
        return
    if not claims:
        yield Name.CLAIMED, "The event of its claim is missing."
    elif not 1 <= post.attempts <= claims:
        yield Name.CLAIMED, f"The post counts {post.attempts} attempts, its events {claims}."


def _asking(found: Evidence) -> Iterator[Problem]:
    if found.story.origin != Origin.MODEL or found.brought:
        return
    row = found.winning
    if row is None:
        yield Name.ASKED, "No call of a model is booked for the story."
        return
    if found.post is not None and row.post_id != found.post.pk:
        yield Name.ASKED, f"Ledger row {row.pk} was asked for another post."
    elif found.post is not None and (row.step_id, row.epoch) != (
        found.post.step_id, found.post.epoch,
    ):  # fmt: skip
        yield Name.ASKED, "The call was made under another claim than the one that was stored."


def _answering(found: Evidence) -> Iterator[Problem]:
    """What was asked is closed, and its link of the AI chain says the same as the ledger."""
    for row in found.calls:
        if row.story_id == found.story.pk and row.state in TokenUsage.OPEN:
            yield Name.ANSWERED, f"Ledger row {row.pk} was never closed."
        if row.exact and row.link is not None and row.link.tokens != row.output_tokens:
            yield (
                Name.ANSWERED,
                (
                    f"Ledger row {row.pk} has {row.output_tokens} tokens of output, "
                    f"its link {row.link.tokens}."
                ),
            )


def _publishing(found: Evidence) -> Iterator[Problem]:
    written = len(found.of_type(stories.WRITTEN))
    if written > 1:
        yield Name.PUBLISHED, f"It was published {written} times."
    apart = found.archived or found.brought or found.story.origin == Origin.LEGACY
    if not written and not apart:
        yield Name.PUBLISHED, "Its event is missing."


def _airing(found: Evidence) -> Iterator[Problem]:
    state, open_ = found.story.state, [one for one in found.airings if one.finished_at is None]
    told = state in (State.AIRING, State.AIRED)
    if told and not found.airings and not found.brought and found.story.origin != Origin.LEGACY:
        yield Name.AIRED, f"The story is {state}, but was never put on air."
    if found.airings and state in (State.WRITTEN, State.APPROVED, State.VETOED):
        yield Name.AIRED, f"The story is {state}, but was on air."
    if len(open_) != int(state == State.AIRING) and found.airings:
        yield Name.AIRED, f"The story is {state}, but {len(open_)} of its airings are open."
    yield from _airing_events(found, len(open_))


def _airing_events(found: Evidence, open_: int) -> Iterator[Problem]:
    if found.archived or not found.airings:
        return
    aired, finished = (len(found.of_type(each)) for each in (airing.AIRED, airing.FINISHED))
    wanted = len(found.airings)
    if aired != wanted:
        yield Name.AIRED, f"It was on air {wanted} times, of which {aired} events speak."
    elif finished != wanted - open_:
        yield (
            Name.AIRED,
            f"It left the air {wanted - open_} times, of which {finished} events speak.",
        )


def _on_air(found: Evidence) -> Iterator[Problem]:
    """A post is claimed, and a story aired, while a run is live."""
    live = [(Name.AIRED, event) for event in found.of_type(airing.AIRED)]
    live += [(Name.CLAIMED, event) for event in found.claims]
    for name, event in live:
        _, state = found.runs.at_seq(event.seq)
        if state != Air.LIVE:
            yield name, f"At event {event.seq} the run was {state}, not live."


def _disorder(hops: Sequence[Hop]) -> Iterator[Problem]:
    """A hop comes after the one before it, by its moment and by its event."""
    before: Hop | None = None
    noted: Hop | None = None
    for hop in hops:
        if hop.mark != Mark.SEEN:
            continue
        if before is not None and before.at and hop.at and hop.at < before.at - SLACK:
            yield hop.name, f"It is recorded before the story was {before.name}."
        if noted is not None and noted.seq and hop.seq and hop.seq <= noted.seq:
            yield hop.name, f"Event {hop.seq} came before event {noted.seq}, {noted.name}."
        before = hop if hop.at else before
        noted = hop if hop.seq else noted


CHECKS: tuple[Callable[[Evidence], Iterator[Problem]], ...] = (
    _sessions, _fetching, _claiming, _asking, _answering, _publishing, _airing, _on_air,
)  # fmt: skip
