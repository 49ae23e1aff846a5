"""The producer: one step a source; faults, back-pressure and notices, each reported once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from broadcast import orchestrator, producer
from broadcast.models import Broadcast
from sessions_app import audits, commands
from sessions_app.background import steps, sweeper
from sessions_app.errors import NeedsHuman, Retry, WaitUntil
from sessions_app.models import Message, Session, SessionEvent, Step
from stories.models import Source, SourcePost
from stories.posts import queue
from stories.sources import registry, service
from stories.sources.recording import recording
from stories.types import Fetched, FetchedPost
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]


class Scripted:
    """A feed that answers with the next entry of its script, then with nothing new."""

    kind = "rss"

    def __init__(self, *script: Fetched | Exception) -> None:
        self.script = list(script)
        self.cursors: list[dict[str, Any]] = []

    def clean_locator(self, locator: str) -> str:
        return locator

    def fetch(self, locator: str, sort: str, cursor: dict[str, Any]) -> Fetched:
        self.cursors.append(cursor)
        answer = self.script.pop(0) if self.script else Fetched([])
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def live(
    make_session: MakeSession, go_live: GoLive, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Source]:
    """A session on air with one feed that answers from a script; the host does not work."""

    def make(*script: Fetched | Exception) -> Source:
        feed = Scripted(*script)
        monkeypatch.setitem(registry._adapters(), "rss", feed)
        session = make_session(recording=False)
        source = service.add(session, service.SourceSpec(kind="rss", locator="https://x.test/f"))
        go_live(session)
        return source

    return make


def poll(source: Source) -> Source:
    """Let the source's next poll be due, and run it."""
    due = Step.objects.filter(kind="poll", subject=str(source.pk), state=Step.State.PENDING)
    due.update(due_at=steps.now() - timedelta(seconds=1))
    steps.run(due.get().pk)
    return Source.objects.get(pk=source.pk)


def due_at(source: Source) -> datetime:
    return Step.objects.get(kind="poll", subject=str(source.pk), state="pending").due_at


def messages_of(source: Source) -> list[str]:
    rows = Message.objects.filter(session=source.session, role="producer")
    return list(rows.order_by("id").values_list("text", flat=True))


def fetched(*titles: str, **more: Any) -> Fetched:
    return Fetched([FetchedPost(title, title) for title in titles], **more)


def events_of(source: Source, type_: str) -> int:
    return SessionEvent.objects.filter(session=source.session, type=type_).count()


A, B, C = (
    "A bridge closes for repairs in the harbour",
    "Seven owls were counted on the old mill",
    "The council postpones its vote on parking",
)


def test_a_poll_brings_posts_figures_and_one_event(live: Callable[..., Source]) -> None:
    source = poll(live(fetched(A, B)))
    assert set(SourcePost.objects.values_list("title", flat=True)) == {A, B}
    assert (source.health, source.posts) == ("ok", 2)
    assert events_of(source, "source.polled") == 1
    source.session.stats.refresh_from_db()
    assert (source.session.stats.feed, source.session.stats.queue) == (2, 2)
    assert list(audits.run()) == []


@pytest.mark.databases
def test_the_cursor_comes_back_at_the_next_poll(
    live: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = live(fetched(A, cursor={"etag": "1"}), fetched(B, cursor={"etag": "2"}))
    poll(source)
    poll(source)
    feed = registry._adapters()["rss"]
    assert isinstance(feed, Scripted)
    assert feed.cursors == [{}, {"etag": "1"}]


def test_what_was_read_before_is_not_read_again(live: Callable[..., Source]) -> None:
    source = live(fetched(A), fetched(A, B))
    poll(source)
    poll(source)
    assert SourcePost.objects.count() == 2
    assert list(audits.run()) == []


def test_a_poll_without_news_writes_no_event(live: Callable[..., Source]) -> None:
    source = live(fetched(A))
    poll(source)
    before = events_of(source, "source.polled")
    poll(source)
    assert events_of(source, "source.polled") == before


def test_a_waiting_post_that_its_source_removed_leaves_the_queue(
    live: Callable[..., Source],
) -> None:
    removed = Fetched([FetchedPost(A, "[deleted by user]", skip="Removed at the source.")])
    source = live(fetched(A, B), removed)
    poll(source)
    poll(source)
    assert SourcePost.objects.get(external_id=A).state == "skipped"
    source.session.stats.refresh_from_db()
    assert (source.session.stats.feed, source.session.stats.queue) == (2, 1)
    assert events_of(source, "source.polled") == 2
    assert list(audits.run()) == []


def test_a_poll_is_armed_anew_and_wakes_the_host(live: Callable[..., Source]) -> None:
    source = live(fetched(A))
    narrate = Step.objects.filter(kind="narrate")
    narrate.update(due_at=steps.now() + timedelta(minutes=1))
    poll(source)
    assert due_at(source) > steps.now() - timedelta(seconds=1)
    assert narrate.get().due_at <= steps.now()


def test_a_source_that_asks_to_be_left_alone_is(live: Callable[..., Source]) -> None:
    until = steps.now() + timedelta(minutes=10)
    source = live(fetched(A, not_before=until))
    poll(source)
    assert due_at(source) == until


def test_a_throttled_source_is_paused_until_its_moment_and_says_so_once(
    live: Callable[..., Source],
) -> None:
    until = steps.now() + timedelta(minutes=10)
    wait = WaitUntil("The source asks us to wait.", until=until)
    source = live(wait, wait)
    poll(source)
    source = poll(source)
    assert (source.health, source.paused_until) == ("paused", until)
    assert due_at(source) == until
    assert len(messages_of(source)) == 1
    assert "asks us to wait" in messages_of(source)[0]


def test_trouble_doubles_the_wait_up_to_an_hour(live: Callable[..., Source]) -> None:
    source = live(*[Retry("The source does not answer.")] * 20)
    waits = []
    for _ in range(20):
        source = poll(source)
        assert source.paused_until is not None
        assert source.last_polled_at is not None
        waits.append(source.paused_until - source.last_polled_at)
    assert waits == sorted(waits)
    assert waits[1] == 2 * waits[0]
    assert waits[-1] <= producer.LONGEST_PAUSE
    assert (source.health, source.failures) == ("paused", 20)
    assert len(messages_of(source)) == 1


def test_what_needs_a_person_is_shown_as_failed(live: Callable[..., Source]) -> None:
    source = poll(live(NeedsHuman("There is no such feed. Check its address.")))
    assert source.health == "failed"
    assert messages_of(source) == ["https://x.test/f: There is no such feed. Check its address."]


def test_a_source_that_answers_again_is_well_again(live: Callable[..., Source]) -> None:
    source = live(Retry("The source does not answer."), fetched(A))
    poll(source)
    source = poll(source)
    assert (source.health, source.note, source.failures) == ("ok", "", 0)
    assert source.paused_until is None


def test_trouble_with_one_source_leaves_the_run_live(live: Callable[..., Source]) -> None:
    source = live(Retry("The source does not answer."), fetched(A, B))
    spec = service.SourceSpec(kind="rss", locator="https://other.test/f")
    other = service.add(source.session, spec)
    steps.enqueue(source.session, "poll", other.pk)
    assert poll(source).health == "paused"
    assert orchestrator.latest_payload(source.session)["state"] == "live"
    # The others are read as if nothing had happened.
    assert poll(other).health == "ok"
    assert set(SourcePost.objects.values_list("title", "source")) == {(A, other.pk), (B, other.pk)}
    assert list(audits.run()) == []


def test_a_full_queue_slows_the_reading_and_drops_nothing(
    live: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "QUEUE_LIMIT", 2)
    source = live(fetched(A, B), fetched(C))
    poll(source)
    source = poll(source)
    assert source.health == "waiting"
    assert SourcePost.objects.count() == 2
    SourcePost.objects.filter(title=A).update(state="failed")
    source = poll(source)
    assert source.health == "ok"
    assert SourcePost.objects.filter(title=C).exists()


def test_a_full_queue_is_said_once(
    live: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "QUEUE_LIMIT", 1)
    source = live(fetched(A))
    for _ in range(3):
        poll(source)
    assert len(messages_of(source)) == 1


def test_a_notice_is_said_once(live: Callable[..., Source]) -> None:
    notice = "Without keys the public feed is read."
    source = live(*[fetched(title, notice=notice) for title in (A, B, C)])
    for _ in range(3):
        poll(source)
    assert messages_of(source) == [f"https://x.test/f: {notice}"]


def test_a_removed_source_is_read_no_more(live: Callable[..., Source]) -> None:
    source = live(fetched(A))
    commands.run("source.remove", source.session.owner, source.session, {"source": source.pk})
    run_due_steps(source.session, "poll")
    assert not SourcePost.objects.exists()
    assert not Step.objects.filter(kind="poll", state__in=Step.OPEN).exists()


def test_a_source_added_on_air_is_read_at_once(live: Callable[..., Source]) -> None:
    source = poll(live())
    commands.run("source.add", source.session.owner, source.session, {"kind": "recording"})
    run_due_steps(source.session, "poll", most=3)
    assert SourcePost.objects.filter(source__kind="recording").exists()


@pytest.mark.slow
def test_the_recording_ends_with_a_notice_and_no_further_step_and_its_duplicates_are_skipped(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = make_session()
    go_live(session)
    source = Source.objects.get(session=session)
    while Step.objects.filter(kind="poll", state="pending").exists():
        poll(source)
    source.refresh_from_db()
    assert source.health == "finished"
    assert SourcePost.objects.count() == len(recording()["posts"])
    assert len(messages_of(source)) == 1
    # Its duplicates alone: follow-ups are kept.
    skipped = SourcePost.objects.filter(session=session, state="skipped")
    assert set(skipped.values_list("external_id", flat=True)) == set(recording()["duplicates"])
    assert all(post.duplicate_of_id and post.reason for post in skipped)
    assert list(audits.run()) == []


def test_posts_of_a_poll_that_comes_after_stop_are_not_stored(
    live: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = live(fetched(A))
    feed = registry._adapters()["rss"]

    def stop_meanwhile(locator: str, sort: str, cursor: dict[str, Any]) -> Fetched:
        commands.run("broadcast.stop", source.session.owner, source.session, {})
        return fetched(A)

    monkeypatch.setattr(feed, "fetch", stop_meanwhile)
    poll(source)
    sweeper.sweep()
    assert not SourcePost.objects.exists()
    assert orchestrator.latest_payload(source.session)["state"] == "idle"
    assert list(audits.run()) == []


def test_a_fault_of_ours_while_reading_is_shown_and_reading_goes_on_later(
    live: Callable[..., Source],
) -> None:
    source = live(*[RuntimeError("a bug")] * 3, fetched(A))
    for _ in range(3):
        with pytest.raises(RuntimeError):
            poll(source)
    sweeper.sweep()
    source.refresh_from_db()
    assert source.health in {"failed", "paused"}
    poll(source)
    assert SourcePost.objects.filter(title=A).exists()


def test_an_empty_queue_makes_the_host_wait_and_not_fail(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = make_session()
    go_live(session)
    run_due_steps(session, "narrate")
    step = Step.objects.get(kind="narrate")
    assert step.state == Step.State.PENDING
    assert step.due_at > steps.now()
    assert not SourcePost.objects.exists()
