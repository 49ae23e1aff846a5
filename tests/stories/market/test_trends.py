"""Trends: figures that a poll adds, published posts, and the same figures after a rebuild."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from sessions_app import audits
from sessions_app.background import steps
from sessions_app.events import statistics
from sessions_app.models import Session
from stories.market import quotes, trends
from stories.models import Source, SourcePost, Trend, TrendBucket, TrendPost
from stories.posts import queue
from stories.types import FetchedPost
from tests.conftest import run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 21, 12, 2, tzinfo=UTC)
FERRY = "The ferry of Port Elowen is late"
BRIDGE = "A bridge in Port Elowen is closed to lorries"


def read(source: Source, *titles: str, **more: Any) -> list[SourcePost]:
    """A poll that brought these headlines."""
    start = SourcePost.objects.count()
    fetched = [FetchedPost(f"p{start + n}", title, **more) for n, title in enumerate(titles)]
    with transaction.atomic():
        added = queue.add(source, fetched, steps.now())
        trends.add_posts(source, added.posts)
    return added.posts


def keyword(session: Session, key: str) -> Trend:
    return Trend.objects.get(session=session, kind="keyword", key=key)


def place(*rows: SourcePost, minutes_ago: float) -> None:
    """Moves posts to another time and rebuilds the market."""
    at = NOW - timedelta(minutes=minutes_ago)
    SourcePost.objects.filter(pk__in=[row.pk for row in rows]).update(created_at=at)


def everything(session: Session) -> list[Any]:
    """All rows of the market without their keys."""
    return [
        sorted(
            Trend.objects.filter(session=session).values_list(
                "pk", "kind", "key", "label", "posts", "engagement", "told", "first_at", "last_at"
            )
        ),
        sorted(
            TrendBucket.objects.filter(session=session).values_list(
                "trend", "size", "start", "posts", "engagement"
            )
        ),
        sorted(TrendPost.objects.filter(session=session).values_list("trend", "post")),
    ]


@pytest.mark.databases
def test_a_poll_counts_its_source_and_its_keywords(session: Session, source: Source) -> None:
    read(source, FERRY, BRIDGE, score=10, comments=5)
    from_source = Trend.objects.get(session=session, kind="source", key=str(source.pk))
    assert (from_source.posts, from_source.engagement) == (2, 40)
    elowen = keyword(session, "port elowen")
    assert (elowen.posts, elowen.label) == (2, "Port Elowen")
    assert keyword(session, "ferry").posts == 1


@pytest.mark.databases
def test_later_polls_add_to_what_is_there(session: Session, source: Source) -> None:
    (first,) = read(source, FERRY)
    (second,) = read(source, BRIDGE)
    found = keyword(session, "port elowen")
    assert (found.posts, found.first_at, found.last_at) == (2, first.created_at, second.created_at)
    assert found.quality == pytest.approx(first.priority + second.priority)


@pytest.mark.databases
def test_buckets_of_all_sizes_hold_the_posts(session: Session, source: Source) -> None:
    read(source, FERRY, BRIDGE)
    rows = TrendBucket.objects.filter(trend=keyword(session, "port elowen"))
    by_size = {size: sum(r.posts for r in rows.filter(size=size)) for size in statistics.SIZES}
    assert by_size == dict.fromkeys(statistics.SIZES, 2)


def test_a_keyword_leads_to_its_posts(session: Session, source: Source) -> None:
    first, second = read(source, FERRY, BRIDGE)
    found = TrendPost.objects.filter(trend=keyword(session, "port elowen"))
    assert set(found.values_list("post_id", flat=True)) == {first.pk, second.pk}


def test_a_duplicate_counts_for_nothing(session: Session, source: Source) -> None:
    read(source, FERRY)
    (again,) = read(source, f"{FERRY}!")
    assert again.duplicate_of_id is not None
    assert keyword(session, "ferry").posts == 1
    assert Trend.objects.get(kind="source").posts == 1


def test_votes_against_take_nothing_away(session: Session, source: Source) -> None:
    read(source, FERRY, score=-50)
    assert keyword(session, "ferry").engagement == 0


def test_a_told_post_counts_for_its_source_and_its_keywords(
    session: Session, source: Source
) -> None:
    first, _ = read(source, FERRY, BRIDGE)
    trends.add_story(first)
    assert keyword(session, "port elowen").told == 1
    assert keyword(session, "bridge").told == 0
    assert Trend.objects.get(kind="source").told == 1


def test_the_number_of_statements_does_not_grow_with_the_posts(source: Source) -> None:
    few = queue.add(source, [FetchedPost("a", FERRY)], steps.now()).posts
    titles = [f"Thing{n} met Other{n} on Isle{n} before dawn" for n in range(60)]
    many = queue.add(source, [FetchedPost(t, t) for t in titles], steps.now()).posts
    counts = []
    for some in (few, many):
        with (
            transaction.atomic(),
            CaptureQueriesContext(
                connection,
            ) as found,
        ):
            trends.add_posts(source, some)
        counts.append(len(found))
    assert len(many) > 30
    assert counts[0] == counts[1] <= 4


@pytest.mark.databases
def test_what_is_more_than_a_statement_takes_is_split(
    session: Session, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trends, "_MOST_VALUES", 24)
    read(source, FERRY, BRIDGE)
    assert keyword(session, "port elowen").posts == 2
    assert list(audits.run("market")) == []


def test_the_posts_of_two_sessions_make_two_markets(
    session: Session, source: Source, make_session: Callable[..., Session]
) -> None:
    other = Source.objects.get(session=make_session("Evening"))
    read(source, FERRY)
    read(other, FERRY)
    assert [t.posts for t in Trend.objects.filter(key="ferry")] == [1, 1]


def test_going_live_fills_the_market(session: Session, go_live: Callable[[Session], Any]) -> None:
    go_live(session)
    run_due_steps(session, "poll")
    read_ = SourcePost.objects.filter(session=session, duplicate_of=None).count()
    assert Trend.objects.get(session=session, kind="source").posts == read_ > 0
    assert Trend.objects.filter(session=session, kind="keyword").exists()


@pytest.mark.databases
def test_counted_anew_the_market_is_the_same(session: Session, source: Source) -> None:
    first, _ = read(source, FERRY, BRIDGE, score=7)
    SourcePost.objects.filter(pk=first.pk).update(state=SourcePost.State.PUBLISHED)
    trends.add_story(first)
    before = everything(session)
    call_command("rebuild_market", str(session.pk))
    assert everything(session) == before


def test_posts_read_before_the_market_are_counted_by_the_command(
    session: Session, source: Source
) -> None:
    queue.add(source, [FetchedPost("old", FERRY)], steps.now())
    call_command("rebuild_market", "--all")
    assert keyword(session, "ferry").posts == 1


def test_the_command_drops_what_no_post_names(session: Session, source: Source) -> None:
    read(source, FERRY)
    SourcePost.objects.update(title="A quiet evening")
    assert trends.rebuild(session) == Trend.objects.count()
    assert not Trend.objects.filter(key="ferry").exists()


def test_the_command_refuses_a_session_that_does_not_exist(db: None) -> None:
    with pytest.raises(CommandError, match="no such session"):
        call_command("rebuild_market", "00000000-0000-0000-0000-000000000000")


@pytest.mark.databases
def test_the_audit_finds_a_volume_without_posts(session: Session, source: Source) -> None:
    read(source, FERRY)
    assert list(audits.run("market")) == []
    Trend.objects.filter(key="ferry").update(posts=9)
    assert {finding.session for finding in audits.run("market")} == {str(session.pk)}


def test_off_air_the_market_stands_at_the_last_reading(session: Session, source: Source) -> None:
    rows = read(source, FERRY, BRIDGE)
    place(*rows, minutes_ago=600)
    trends.rebuild(session)
    frozen = quotes.read_market(session, "keyword", 5, None)
    assert frozen.at == NOW - timedelta(minutes=600)
    assert quotes.read_market(session, "keyword", 5, NOW).at == NOW
    assert sum(frozen.quotes[0].buckets) == 2


def test_a_keyword_that_comes_more_often_than_before_rises(
    session: Session, source: Source
) -> None:
    old = read(source, FERRY, "Owls were counted at the old mill", "Rain is due on the hills")
    new = read(source, BRIDGE, "Divers in Port Elowen found bells", "Port Elowen votes on trams")
    place(*old, minutes_ago=55)
    place(*new, minutes_ago=1)
    trends.rebuild(session)
    (quote,) = quotes.read_market(session, "keyword", 5, NOW).quotes
    assert quote.trend.key == "port elowen"
    assert quote.score.phase == "rising"
    assert quote.score.momentum == 0.3333  # log2((3 + 1) / (1/3 * 3 + 1)) / 3
    assert [each.trend.key for each in quotes.rising(session, NOW, 5)] == ["port elowen"]


def test_a_keyword_named_once_is_not_on_the_market(session: Session, source: Source) -> None:
    read(source, FERRY)
    assert quotes.read_market(session, "keyword", 5, NOW).quotes == []
    assert len(quotes.read_market(session, "source", 5, NOW).quotes) == 1


def test_a_piece_of_a_longer_keyword_stands_aside(session: Session, source: Source) -> None:
    read(source, "Now interest rates fall again", "Here interest rates climb on Friday")
    found = [quote.trend.key for quote in quotes.read_market(session, "keyword", 5, NOW).quotes]
    assert found == ["interest rates"]


def test_a_young_session_is_looked_at_minute_by_minute(session: Session, source: Source) -> None:
    (row,) = read(source, FERRY)
    place(row, minutes_ago=10)
    trends.rebuild(session)
    assert quotes.read_market(session, "source", 0, NOW).size == 1
    assert quotes.read_market(session, "source", 0, NOW + timedelta(hours=1)).size == 5


def test_before_two_windows_were_read_it_is_too_early_for_momentum(
    session: Session, source: Source
) -> None:
    (row,) = read(source, FERRY)
    place(row, minutes_ago=1)
    trends.rebuild(session)
    found = quotes.read_market(session, "source", 5, NOW)
    assert found.early
    assert found.quotes[0].score.momentum == 0
