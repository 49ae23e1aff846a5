"""From evidence to hops: what happened at each, or why it is not on this story's way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from broadcast import airing
from broadcast.trace.evidence import Evidence
from broadcast.trace.hops import Hop, Mark, Name
from stories import stories
from stories.models import SourcePost, Story, TokenUsage

Origin, State = Story.Origin, Story.State
BEFORE_STORED = tuple(Name)[: list(Name).index(Name.STORED)]


def hops_of(found: Evidence) -> tuple[Hop, ...]:
    """The nine hops of a story, each with the state of the session's run at its moment."""
    first = _brought(found) if found.brought else _ways[Origin(found.story.origin)](found)
    every = (*first, _stored(found), _published(found), _aired(found))
    return tuple(_on_air(found, hop) for hop in every)


def _on_air(found: Evidence, hop: Hop) -> Hop:
    if hop.seq is not None:
        run, state = found.runs.at_seq(hop.seq)
    elif hop.at is not None:
        run, state = found.runs.at(hop.at)
    else:
        return hop
    return replace(hop, run=run, air=state)


def _apart(names: Sequence[Name], why: str) -> Iterator[Hop]:
    for name in names:
        yield Hop(name=name, mark=Mark.APART, note=why)


def _brought(found: Evidence) -> Iterator[Hop]:
    return _apart(BEFORE_STORED, "It came with the session that this one was made from.")


def _by_hand(found: Evidence) -> Iterator[Hop]:
    return _apart(BEFORE_STORED, "A person wrote it at the desk.")


def _from_before(found: Evidence) -> Iterator[Hop]:
    return _apart(BEFORE_STORED, "The old system made it; what it kept of the way is not known.")


def _from_draft(found: Evidence) -> Iterator[Hop]:
    draft = found.story.draft
    if draft is None:
        yield from _apart(BEFORE_STORED, "Its draft is not known.")
        return
    words = ", ".join(map(str, draft.keywords))
    yield Hop(name=Name.CHOSEN, at=draft.created_at, note=f"Keywords for a draft: {words}.")
    yield from _apart(
        (Name.FETCHED, Name.QUEUED, Name.CLAIMED), "A draft is written to order, not from a post."
    )
    if not found.calls:
        yield from _apart((Name.ASKED, Name.ANSWERED), "The writers' room worked without a model.")
        return
    closed = [row.closed_at for row in found.calls if row.closed_at is not None]
    last = found.calls[-1]
    yield Hop(
        name=Name.ASKED, at=found.calls[0].created_at, attempts=len(found.calls), step=last.step,
        epoch=last.epoch, note="Asked for the turns of the draft.",
    )  # fmt: skip
    yield Hop(name=Name.ANSWERED, at=max(closed, default=None), usage=tuple(found.calls),
              note=_spent(found.calls))  # fmt: skip


def _from_post(found: Evidence) -> Iterator[Hop]:
    post = found.post
    if post is None:
        yield from _apart(BEFORE_STORED, "Its post is not known.")
        return
    yield _chosen(post)
    yield _fetched(found, post)
    yield _queued(found, post)
    yield _claimed(found, post)
    yield from _narrated(found)


_ways: Mapping[str, Callable[[Evidence], Iterator[Hop]]] = {
    Origin.MODEL: _from_post,
    Origin.EXTRACTIVE: _from_post,
    Origin.MANUAL: _by_hand,
    Origin.DRAFT: _from_draft,
    Origin.LEGACY: _from_before,
}


def _chosen(post: SourcePost) -> Hop:
    source = post.source
    # A source that was removed and added again has a later ``added_at`` than its first posts.
    again = source.added_at <= post.created_at
    at = source.added_at if again else source.created_at
    return Hop(name=Name.CHOSEN, at=at, note=f"{source.get_kind_display()}: {source.locator}")


def _fetched(found: Evidence, post: SourcePost) -> Hop:
    return Hop(
        name=Name.FETCHED, at=post.created_at, step=found.poll, note=f"As {post.external_id}."
    )  # fmt: skip


def _queued(found: Evidence, post: SourcePost) -> Hop:
    claims = found.claims
    back = sum(event.state == SourcePost.State.QUEUED for event in found.moves)
    note = f"With {post.label} priority ({post.priority:.2f})."
    if back:
        note += f" It changed its place or came back {_times(back)}."
    return Hop(
        name=Name.QUEUED, at=post.created_at, until=claims[0].at if claims else None, note=note
    )  # fmt: skip


def _claimed(found: Evidence, post: SourcePost) -> Hop:
    claims = [event for event in found.claims if event.at <= found.story.created_at]
    last = claims[-1] if claims else None
    note = "At the first attempt."
    if last is None:
        note = "Its event is archived." if found.post_archived else ""
    elif found.post_archived:
        note = "What came before is archived."
    elif len(claims) > 1:
        moments = ", ".join(f"{event.at:%H:%M:%S}" for event in claims[:-1])
        note = f"Taken before at {moments} UTC, and given back each time."
    return Hop(
        name=Name.CLAIMED, at=last.at if last else None, seq=last.seq if last else None,
        attempts=max(len(claims), post.attempts), step=post.step, epoch=post.epoch, note=note,
    )  # fmt: skip


def _narrated(found: Evidence) -> Iterator[Hop]:
    winning = found.winning
    if winning is None and found.story.origin == Origin.EXTRACTIVE:
        why = "Told in the post's own words: no model was asked."
        if found.calls:
            why = "Told in the post's own words, after what was asked of a model came to nothing."
        yield Hop(name=Name.ASKED, mark=Mark.APART, note=why, usage=tuple(found.calls))
        yield Hop(name=Name.ANSWERED, mark=Mark.APART, note=why)
        return
    if winning is None:
        yield Hop(name=Name.ASKED, usage=tuple(found.calls))
        yield Hop(name=Name.ANSWERED)
        return
    yield Hop(
        name=Name.ASKED, at=winning.created_at, attempts=len(found.calls), step=winning.step,
        epoch=winning.epoch, note=f"{winning.model}, {winning.operation}.",
    )  # fmt: skip
    yield Hop(
        name=Name.ANSWERED, at=winning.closed_at, usage=tuple(found.calls), note=_spent(found.calls)
    )


def _spent(calls: Sequence[TokenUsage]) -> str:
    read = sum(row.input_tokens for row in calls)
    written = sum(row.output_tokens for row in calls)
    return f"{read:,} tokens in, {written:,} out."


def _stored(found: Evidence) -> Hop:
    story = found.story
    note = f"{story.word_count:,} words."
    if story.version > 1:
        note = f"{story.word_count:,} words by now, in version {story.version}."
    return Hop(name=Name.STORED, at=story.created_at, note=note)


def _published(found: Evidence) -> Hop:
    events = found.of_type(stories.WRITTEN)
    if events:
        return Hop(
            name=Name.PUBLISHED,
            at=events[0].at,
            seq=events[0].seq,
            attempts=len(events),
            note="To every open page of the owner.",
        )
    if found.archived:
        return Hop(name=Name.PUBLISHED, note="Its event is archived.")
    if found.brought or found.story.origin == Origin.LEGACY:
        why = "It came with many others, of which one event speaks."
        return Hop(name=Name.PUBLISHED, mark=Mark.APART, note=why)
    return Hop(name=Name.PUBLISHED)


_NOT_YET: Mapping[str, str] = {
    State.WRITTEN: "It waits for the air.",
    State.APPROVED: "It is approved and waits for the air.",
}
_NEVER: Mapping[str, str] = {
    State.VETOED: "A person vetoed it.",
    State.KILLED: "A person pulled it before it was told.",
}


def _aired(found: Evidence) -> Hop:
    state = State(found.story.state)
    if found.airings:
        return _on_the_air(found)
    if state in _NOT_YET:
        return Hop(name=Name.AIRED, mark=Mark.WAITING, note=_NOT_YET[state])
    if state in _NEVER:
        return Hop(name=Name.AIRED, mark=Mark.APART, note=_NEVER[state])
    if found.brought or found.story.origin == Origin.LEGACY:
        return Hop(
            name=Name.AIRED, mark=Mark.APART, note="It was on air elsewhere, before it came here."
        )
    return Hop(name=Name.AIRED)


def _on_the_air(found: Evidence) -> Hop:
    latest, end = found.airings[-1], found.ends[-1]
    events = found.of_type(airing.AIRED)
    note = f"In run {latest.run.number}."
    if found.story.state == State.KILLED:
        note += " A person pulled it later."
    return Hop(
        name=Name.AIRED, at=latest.aired_at, until=latest.finished_at or latest.finish_at,
        seq=events[-1].seq if events else None, attempts=len(found.airings), step=end,
        epoch=end.epoch if end else None,
        note=note,
    )  # fmt: skip


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
