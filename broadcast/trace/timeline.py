"""Turns the evidence on a story into its nine hops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from broadcast import airing
from broadcast.trace.evidence import Evidence
from broadcast.trace.hops import Hop, Mark, Name
from stories import stories
from stories.models import SourcePost, Story, TokenUsage

Origin, State = Story.Origin, Story.State
BEFORE_STORED = tuple(Name)[: list(Name).index(Name.STORED)]
COPIED = "The story was copied or imported with its session."
WITHOUT_POST: Mapping[str, str] = {
    Origin.MANUAL: "A person wrote it in the Broadcast Center.",
    Origin.RECAP: "The headlines of the past hour, summed up by rule.",
    Origin.LEGACY: "The old system made it; the steps before are not known.",
}


def hops_of(evidence: Evidence) -> tuple[Hop, ...]:
    """Returns the nine hops of a story, each with the state of the session's run at its time."""
    origin = Origin(evidence.story.origin)
    if evidence.copied:
        first = apart(BEFORE_STORED, COPIED)
    elif origin in WITHOUT_POST:
        first = apart(BEFORE_STORED, WITHOUT_POST[origin])
    else:
        first = from_draft(evidence) if origin == Origin.DRAFT else from_post(evidence)
    return tuple(
        with_run(evidence, hop)
        for hop in (*first, stored(evidence), published(evidence), aired(evidence))
    )


def with_run(evidence: Evidence, hop: Hop) -> Hop:
    """Adds the run at the time of a hop; the event decides where there is one."""
    if hop.seq is not None:
        run, state = evidence.runs.at_seq(hop.seq)
    elif hop.at is not None:
        run, state = evidence.runs.at(hop.at)
    else:
        return hop
    return replace(hop, run=run, air=state)


def apart(names: Sequence[Name], note: str) -> Iterator[Hop]:
    """Returns hops that are not on this story's way."""
    for name in names:
        yield Hop(name=name, mark=Mark.APART, note=note)


def from_draft(evidence: Evidence) -> Iterator[Hop]:
    draft, calls = evidence.story.draft, evidence.calls
    if draft is None:
        yield from apart(BEFORE_STORED, "Its draft is not known.")
        return
    words = ", ".join(map(str, draft.keywords))
    yield Hop(name=Name.CHOSEN, at=draft.created_at, note=f"Keywords for a draft: {words}.")
    yield from apart((Name.FETCHED, Name.QUEUED, Name.CLAIMED), "A draft is not made from a post.")
    if not calls:
        yield from apart((Name.ASKED, Name.ANSWERED), "The draft was written without a model.")
        return
    yield Hop(
        name=Name.ASKED,
        at=calls[0].created_at,
        attempts=len(calls),
        step=calls[-1].step,
        epoch=calls[-1].epoch,
        note="Asked for the turns of the draft.",
    )
    yield Hop(
        name=Name.ANSWERED,
        at=max((row.closed_at for row in calls if row.closed_at is not None), default=None),
        usage=tuple(calls),
        note=tokens_note(calls),
    )


def from_post(evidence: Evidence) -> Iterator[Hop]:
    post = evidence.post
    if post is None:
        yield from apart(BEFORE_STORED, "Its post is not known.")
        return
    source = post.source
    # A source that was removed and added again has a later ``added_at`` than its first posts.
    chosen_at = source.added_at if source.added_at <= post.created_at else source.created_at
    yield Hop(name=Name.CHOSEN, at=chosen_at, note=f"{source.get_kind_display()}: {source.locator}")
    yield Hop(
        name=Name.FETCHED, at=post.created_at, step=evidence.poll, note=f"As {post.external_id}."
    )
    claims = evidence.claims
    requeued = sum(event.state == SourcePost.State.QUEUED for event in evidence.moves)
    note = f"With {post.label} priority ({post.priority:.2f})."
    if requeued:
        times = "once" if requeued == 1 else f"{requeued} times"
        note += f" It was moved or requeued {times}."
    yield Hop(
        name=Name.QUEUED, at=post.created_at, until=claims[0].at if claims else None, note=note
    )
    yield claimed(evidence, post)
    yield from narrated(evidence)


def claimed(evidence: Evidence, post: SourcePost) -> Hop:
    claims = [event for event in evidence.claims if event.at <= evidence.story.created_at]
    last = claims[-1] if claims else None
    note = "At the first attempt."
    if last is None:
        note = "Its event is archived." if evidence.post_archived else ""
    elif evidence.post_archived:
        note = "Earlier events are archived."
    elif len(claims) > 1:
        times = ", ".join(f"{event.at:%H:%M:%S}" for event in claims[:-1])
        note = f"Claimed before at {times} UTC, and requeued each time."
    return Hop(
        name=Name.CLAIMED,
        at=last.at if last else None,
        seq=last.seq if last else None,
        attempts=max(len(claims), post.attempts),
        step=post.step,
        epoch=post.epoch,
        note=note,
    )


def narrated(evidence: Evidence) -> Iterator[Hop]:
    calls, winning = tuple(evidence.calls), evidence.winning
    if winning is not None:
        yield Hop(
            name=Name.ASKED,
            at=winning.created_at,
            attempts=len(calls),
            step=winning.step,
            epoch=winning.epoch,
            note=f"{winning.model}, {winning.operation}.",
        )
        yield Hop(name=Name.ANSWERED, at=winning.closed_at, usage=calls, note=tokens_note(calls))
    elif evidence.story.origin == Origin.EXTRACTIVE:
        note = "Narrated in the post's own words, without a model."
        if calls:
            note = "Narrated in the post's own words, after the calls of a model failed."
        yield Hop(name=Name.ASKED, mark=Mark.APART, note=note, usage=calls)
        yield Hop(name=Name.ANSWERED, mark=Mark.APART, note=note)
    else:
        yield Hop(name=Name.ASKED, usage=calls)
        yield Hop(name=Name.ANSWERED)


def tokens_note(calls: Sequence[TokenUsage]) -> str:
    read = sum(row.input_tokens for row in calls)
    written = sum(row.output_tokens for row in calls)
    return f"{read:,} tokens in, {written:,} out."


def stored(evidence: Evidence) -> Hop:
    story = evidence.story
    note = f"{story.word_count:,} words."
    if story.version > 1:
        note = f"{story.word_count:,} words now, in version {story.version}."
    return Hop(name=Name.STORED, at=story.created_at, note=note)


def published(evidence: Evidence) -> Hop:
    events = evidence.of_type(stories.WRITTEN)
    if events:
        return Hop(
            name=Name.PUBLISHED,
            at=events[0].at,
            seq=events[0].seq,
            attempts=len(events),
            note="To every open page of the owner.",
        )
    if evidence.archived:
        return Hop(name=Name.PUBLISHED, note="Its event is archived.")
    if evidence.copied or evidence.story.origin == Origin.LEGACY:
        note = "It was added together with others, under one event."
        return Hop(name=Name.PUBLISHED, mark=Mark.APART, note=note)
    return Hop(name=Name.PUBLISHED)


NOT_ON_AIR: Mapping[str, tuple[Mark, str]] = {
    State.WRITTEN: (Mark.WAITING, "It waits for airing."),
    State.APPROVED: (Mark.WAITING, "It is approved and waits for airing."),
    State.VETOED: (Mark.APART, "A person vetoed it."),
    State.KILLED: (Mark.APART, "A person pulled it before it aired."),
}


def aired(evidence: Evidence) -> Hop:
    state = State(evidence.story.state)
    if not evidence.airings:
        if state in NOT_ON_AIR:
            mark, note = NOT_ON_AIR[state]
            return Hop(name=Name.AIRED, mark=mark, note=note)
        if evidence.copied or evidence.story.origin == Origin.LEGACY:
            note = "It was on air before it was copied or imported."
            return Hop(name=Name.AIRED, mark=Mark.APART, note=note)
        return Hop(name=Name.AIRED)
    latest, end = evidence.airings[-1], evidence.ends[-1]
    events = evidence.of_type(airing.AIRED)
    note = f"In run {latest.run.number}."
    if state == State.KILLED:
        note += " A person pulled it later."
    return Hop(
        name=Name.AIRED,
        at=latest.aired_at,
        until=latest.finished_at or latest.finish_at,
        seq=events[-1].seq if events else None,
        attempts=len(evidence.airings),
        step=end,
        epoch=end.epoch if end else None,
        note=note,
    )
