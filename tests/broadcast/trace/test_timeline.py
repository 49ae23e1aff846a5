"""The flow inspector: the way of every story is traced, and what breaks it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from broadcast import editorial
from broadcast.editorial import BreakIn
from broadcast.models import Airing, StateChange
from broadcast.trace import queries
from broadcast.trace.hops import Hop, Mark, Name, Trace, payload
from sessions_app import commands
from sessions_app.background import steps
from sessions_app.errors import NotFound
from sessions_app.events import archive as events_archive
from sessions_app.models import Archive, Session, SessionEvent, Step
from sessions_app.models.events import AboutPost, AboutStory
from stories.llm import Credentials, credentials
from stories.models import Source, SourcePost, Story, TokenUsage
from stories.quarantine import decisions, records
from tests.broadcast.test_management_commands import unguarded
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once
from tests.standins.anthropic import AnthropicStandIn
from tests.stories.drafting.draft_factory import finished, read_posts, started

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicStandIn]:
    with AnthropicStandIn() as stand_in:
        stand_in.mode = "compose"
        found = Credentials("sk-test-0123456789", stand_in.url)
        monkeypatch.setattr(credentials, "anthropic_of", lambda _: found)
        yield stand_in


@pytest.fixture
@made_once
def modelled(make_session: MakeSession, api: AnthropicStandIn) -> Session:
    """The same with a model; its first question met an overload."""
    session = make_session()
    api.script.append("overloaded")
    commands.run("broadcast.start", session.owner, session, {})
    while Story.objects.filter(session=session).count() < 2:
        Step.objects.filter(state="pending").update(due_at=steps.now() - timedelta(seconds=1))
        for kind in ("poll", "narrate", "finish_airing"):
            run_due_steps(session, kind, most=1)
    return session


def latest(session: Session) -> Trace:
    return next(queries.latest(session, 1))


def hop(session: Session, name: Name) -> Hop:
    """A hop of the latest story."""
    return next(each for each in latest(session).hops if each.name == name)


def broken(session: Session) -> tuple[str, str]:
    """The hop at which the latest story is broken, and why."""
    found = latest(session).broken
    assert found is not None
    return str(found.name), found.problem


def marks(session: Session) -> dict[str, str]:
    return {str(each.name): str(each.mark) for each in latest(session).hops}


def test_what_was_told_from_a_post_is_intact(traced: Session) -> None:
    traces = list(queries.latest(traced, 99))
    assert len(traces) == Story.objects.count() >= 3
    assert {trace.verdict for trace in traces} == {"INTACT"}
    assert [each.name for each in traces[0].hops] == list(Name)


def test_hops_have_their_moments_events_and_steps(traced: Session) -> None:
    story = latest(traced).story
    claimed, published, aired = (
        hop(traced, each) for each in (Name.CLAIMED, Name.PUBLISHED, Name.AIRED)
    )
    types = dict(SessionEvent.objects.values_list("seq", "type"))
    seqs = [each.seq or 0 for each in (claimed, published, aired)]
    assert [types[seq] for seq in seqs] == ["post.changed", "story.written", "story.aired"]
    assert story.post is not None
    assert claimed.step == story.post.step
    assert claimed.epoch == story.post.epoch
    assert hop(traced, Name.FETCHED).step == Step.objects.get(kind="poll")
    airing = Airing.objects.get(story=story)
    assert (aired.at, aired.until) == (airing.aired_at, airing.finished_at)
    assert aired.step == Step.objects.get(kind="finish_airing", subject=str(airing.pk))


def test_the_state_of_the_run_is_folded_at_each_hop(traced: Session) -> None:
    states = {str(each.name): (each.run, each.air) for each in latest(traced).hops if each.at}
    assert states["chosen"] == (None, "idle")
    assert {states[name] for name in ("fetched", "claimed", "stored", "aired")} == {(1, "live")}


def test_who_asked_no_model_says_so(traced: Session) -> None:
    asked = hop(traced, Name.ASKED)
    assert (asked.mark, asked.at) == (Mark.APART, None)
    assert "without a model" in asked.note


def test_what_was_asked_of_a_model_stands_with_its_tokens(modelled: Session) -> None:
    found = {each.name: each for each in latest(modelled).hops}
    row = found[Name.ANSWERED].usage[-1]
    assert row.story == latest(modelled).story
    assert (found[Name.ASKED].at, found[Name.ANSWERED].at) == (row.created_at, row.closed_at)
    assert (found[Name.ASKED].step, found[Name.ASKED].epoch) == (row.step, row.epoch)
    assert f"{row.input_tokens:,} tokens in" in found[Name.ANSWERED].note
    assert latest(modelled).verdict == "INTACT"


def test_a_call_that_came_to_nothing_belongs_to_the_way(modelled: Session) -> None:
    lost = TokenUsage.objects.get(error="overloaded")
    story = Story.objects.get(post=lost.post)
    found = {each.name: each for each in queries.find(modelled, story.pk).hops}
    assert [row.error for row in found[Name.ANSWERED].usage] == ["overloaded", ""]
    assert (found[Name.CLAIMED].attempts, found[Name.ASKED].attempts) == (2, 2)
    assert "requeued" in found[Name.CLAIMED].note


def test_what_caused_a_step_is_told(traced: Session) -> None:
    origin = {"request": "abc123", "user": "7", "operation": "broadcast.start", "traceparent": "x"}
    Step.objects.filter(kind="narrate").update(origin=origin)
    shown = {each["name"]: each for each in payload(latest(traced), int)["hops"]}
    del origin["traceparent"]
    claimed, fetched = shown["claimed"]["step"], shown["fetched"]["step"]
    assert claimed is not None
    assert claimed["caused_by"] == origin
    assert fetched is not None
    assert fetched["caused_by"] == {}


def test_a_story_by_hand_begins_with_being_stored(session: Session) -> None:
    editorial.break_in(session, BreakIn(title="Now", text="It is so."), session.owner)
    assert latest(session).verdict == "INTACT"
    assert list(marks(session).values()) == ["apart"] * 6 + ["seen", "seen", "waiting"]
    assert "by" not in hop(session, Name.CHOSEN).air
    assert "in the Broadcast Center" in hop(session, Name.CHOSEN).note


def test_a_story_from_quarantine_is_said_to_come_from_before(session: Session) -> None:
    lost = records.put("story", {"narrative": "x y"}, old_session="", old_id="1", reason="Late.")
    decisions.adopt(lost, session, session.owner)
    assert latest(session).verdict == "INTACT"
    assert marks(session)["published"] == "seen"
    assert marks(session)["aired"] == "apart"
    assert "old system" in hop(session, Name.FETCHED).note


def test_a_story_of_a_draft_has_the_hops_of_its_room(session: Session) -> None:
    read_posts(session)
    draft = finished(started(session))
    commands.run("draft.air", session.owner, session, {"draft": draft.pk})
    assert latest(session).verdict == "INTACT"
    assert hop(session, Name.CHOSEN).note == "Keywords for a draft: ferry."
    assert marks(session)["fetched"] == "apart"
    assert "without a model" in hop(session, Name.ASKED).note


def test_what_came_with_a_copy_has_no_way_here(traced: Session, session: Session) -> None:
    Story.objects.create(
        session=session,
        origin="manual",
        state="aired",
        title="Kept",
        narrative="It is so.",
        tone="analysis",
        priority="low",
        word_count=3,
        duration=1,
        completed_at=steps.now(),
    )
    assert broken(session) == ("published", "Its event is missing.")
    session.made_from = traced
    session.save()
    assert latest(session).verdict == "INTACT"
    assert list(marks(session).values()) == ["apart"] * 6 + ["seen", "apart", "apart"]


@pytest.mark.parametrize(("state", "mark"), [("vetoed", "apart"), ("killed", "apart")])
def test_a_story_that_was_kept_off_the_air_is_not_broken(
    session: Session, state: str, mark: str
) -> None:
    editorial.break_in(session, BreakIn(title="Now", text="It is so."), session.owner)
    Story.objects.update(state=state)
    assert latest(session).verdict == "INTACT"
    assert marks(session)["aired"] == mark


def _lose(type_: str) -> Callable[[], object]:
    return lambda: SessionEvent.objects.filter(type=type_).delete()


def _later(**fields: int) -> dict[str, Any]:
    return {name: F(name) + timedelta(seconds=each) for name, each in fields.items()}


DAMAGE: dict[str, tuple[Callable[[], object], str, str]] = {
    "no poll step": (
        lambda: Step.objects.filter(kind="poll").delete(),
        "fetched",
        "No step that read",
    ),
    "a post not told": (
        lambda: SourcePost.objects.filter(state="told").update(state="queued"),
        "claimed",
        "Its post is queued",
    ),
    "an epoch from nowhere": (
        lambda: SourcePost.objects.filter(state="told").update(epoch=999),
        "claimed",
        "epoch",
    ),
    "attempts that disagree": (
        lambda: SourcePost.objects.filter(state="told").update(attempts=5),
        "claimed",
        "The post counts 5 attempts, its events 1.",
    ),
    "no event of the claim": (_lose("post.changed"), "claimed", "event of its claim is missing"),
    "not published": (_lose("story.written"), "published", "Its event is missing."),
    "never heard of on air": (_lose("story.aired"), "aired", "but has 0 events of it"),
    "never heard of its end": (_lose("story.finished"), "aired", "It left the air 1 times"),
    "never on air": (
        lambda: Airing.objects.all().delete(),
        "aired",
        "was never put on air",
    ),
    "aired, but waiting": (
        lambda: Story.objects.update(state="approved"),
        "aired",
        "is approved, but was on air",
    ),
    "fetched before it was chosen": (
        lambda: Source.objects.update(
            **_later(added_at=999), created_at=F("created_at") + timedelta(seconds=999)
        ),
        "fetched",
        "before the story was chosen",
    ),
    "aired before it was stored": (
        lambda: Airing.objects.update(**_later(aired_at=-600)),
        "aired",
        "before the story was published",
    ),
    "off the air": (
        lambda: StateChange.objects.filter(to_state="live").update(to_state="ready"),
        "claimed",
        "the run was ready, not live",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_each_damage_is_named_with_its_hop(traced: Session, damage: str) -> None:
    harm, name, reason = DAMAGE[damage]
    harm()
    found = broken(traced)
    assert found[0] == name
    assert reason in found[1]


MONEY: dict[str, tuple[dict[str, Any], str, str]] = {
    "no call is booked": ({"story": None}, "asked", "No call of a model is booked"),
    "another claim": ({"epoch": 999}, "asked", "under another claim"),
    "another post": ({"post": None}, "asked", "for another post"),
    "never closed": ({"state": "started"}, "answered", "was never closed"),
    "tokens that disagree": ({"output_tokens": 7}, "answered", "has 7 tokens of output"),
}


@pytest.mark.parametrize("damage", MONEY)
def test_each_damage_of_the_ledger_is_named(modelled: Session, damage: str) -> None:
    changes, name, reason = MONEY[damage]
    TokenUsage.objects.filter(story__isnull=False).update(**changes)
    found = broken(modelled)
    assert found[0] == name
    assert reason in found[1]


@pytest.mark.parametrize(
    ("table", "name", "reason"),
    [
        ("stories_sourcepost", "fetched", "The post belongs to another session."),
        ("stories_source", "chosen", "The source belongs to another session."),
        ("broadcast_airing", "aired", "belongs to another session."),
    ],
)
def test_a_row_of_another_session_breaks_the_way(
    traced: Session, make_session: MakeSession, table: str, name: str, reason: str
) -> None:
    other = make_session("Evening", recording=False)
    key = other.pk.hex if connection.vendor == "sqlite" else str(other.pk)
    with unguarded() as cursor:
        cursor.execute(f'UPDATE "{table}" SET session_id = %s', [key])
        found = broken(traced)
        mine = traced.pk.hex if connection.vendor == "sqlite" else str(traced.pk)
        cursor.execute(f'UPDATE "{table}" SET session_id = %s', [mine])
    assert found[0] == name
    assert reason in found[1]


def archive(session: Session, last: int) -> None:
    """Take the events up to ``last`` out of the table, as if a file had them."""
    Archive.objects.create(
        session=session, kind="events", first=1, last=last, count=last, packed=b"x"
    )
    SessionEvent.objects.filter(session=session, seq__lte=last).delete()


def test_what_is_archived_is_not_taken_for_lost(traced: Session) -> None:
    archive(traced, SessionEvent.objects.latest("seq").seq - 1)
    found = list(queries.latest(traced, 9))
    assert {trace.verdict for trace in found} == {"INTACT"}
    published = next(each for each in found[0].hops if each.name == Name.PUBLISHED)
    assert published.note == "Its event is archived."


def test_an_attempt_that_is_archived_is_not_denied(modelled: Session) -> None:
    lost = TokenUsage.objects.get(error="overloaded")
    claims = SessionEvent.objects.filter(
        type="post.changed", payload__post__id=lost.post_id, payload__post__state="claimed"
    )
    archive(modelled, claims.earliest("seq").seq)
    found = queries.find(modelled, Story.objects.get(post=lost.post).pk)
    claimed = next(each for each in found.hops if each.name == Name.CLAIMED)
    assert (found.verdict, claimed.seq) == ("INTACT", claims.latest("seq").seq)
    assert claimed.note == "Earlier events are archived."


def test_of_one_story_the_archive_is_read_too(
    traced: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = list(SessionEvent.objects.order_by("seq"))
    last = kept[-2].seq
    archive(traced, last)

    def between(_session: Session, first: int, last: int) -> Iterator[SessionEvent]:
        return iter([event for event in kept if first <= event.seq <= last])

    monkeypatch.setattr(events_archive, "events_between", between)
    story = Story.objects.earliest("pk")
    seqs = {each.name: each.seq for each in queries.find(traced, story.pk).hops}
    written = next(each for each in kept if each.type == "story.written")
    assert seqs[Name.PUBLISHED] == written.seq
    assert seqs[Name.CLAIMED] is not None


def test_a_batch_costs_the_same_at_any_size(
    traced: Session, django_assert_num_queries: Any
) -> None:
    for most in (1, 3):
        with django_assert_num_queries(8):
            queries.page(traced, None, most)


@pytest.mark.databases
def test_events_are_found_by_their_index(traced: Session) -> None:
    if connection.vendor == "sqlite":
        rows = SessionEvent.objects.filter(session=traced).alias(about=AboutStory("payload"))
        assert "event_of_story" in rows.filter(about__in=["1"]).order_by().explain()
        posts = SessionEvent.objects.filter(session=traced).alias(about=AboutPost("payload"))
        assert "event_of_post" in posts.filter(about__in=["1"]).order_by().explain()


@pytest.mark.databases
def test_the_broken_ones_are_found_among_the_next_two_hundred(
    traced: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOOKED_AT", 2)
    first = Story.objects.earliest("pk")
    SourcePost.objects.filter(story=first).update(attempts=9)
    found, before = queries.broken(traced, None), None
    while not found.traces:
        assert found.looked == 2
        before = found.older
        found = queries.broken(traced, before)
    assert [trace.story for trace in found.traces] == [first]


def test_a_story_of_another_session_has_no_trace_here(traced: Session, session: Session) -> None:
    with pytest.raises(NotFound):
        queries.find(session, Story.objects.earliest("pk").pk)
