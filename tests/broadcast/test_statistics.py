"""Live Stats: every figure equals the rows that a real flow made, in few and bounded queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext

from broadcast import figures, orchestrator, statistics
from broadcast.health import judgement
from broadcast.health.judgement import Stage
from broadcast.models import Airing, Broadcast
from broadcast.statistics import POINTS, Statistics
from broadcast.studio.stats import views
from sessions_app import commands
from sessions_app.background import steps, sweeper
from sessions_app.events import recorder
from sessions_app.events import statistics as events_statistics
from sessions_app.events.statistics import Share
from sessions_app.models import AILink, Bucket, Session, SessionStats, Step, Tally
from stories.llm import Credentials, credentials
from stories.models import Source, SourcePost, Story, TokenUsage
from tests.broadcast_runs import press
from tests.chain_links import lose_head
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once
from tests.markup import unbroken
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]
MODEL = "claude-haiku-4-5"
AT = datetime(2026, 11, 21, 7, 47, 12, tzinfo=UTC)


@pytest.fixture
@made_once
def on_air(make_session: MakeSession, go_live: GoLive) -> Session:
    """A session on air with some stories of the recording."""
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, most=16)
    return session


@pytest.fixture
@made_once
def modelled(make_session: MakeSession, go_live: GoLive) -> Session:
    """A session that a model narrated: two stories, of which one took a second attempt."""
    with AnthropicStandIn() as anthropic, pytest.MonkeyPatch.context() as monkeypatch:
        found = Credentials(api_key="key-of-the-stand-in", base_url=anthropic.url)
        monkeypatch.setattr(credentials, "anthropic_of", lambda _: found)
        session = make_session(model=MODEL)
        go_live(session)
        run_due_steps(session, "poll", most=1)
        anthropic.script.append("reset")
        for _ in range(3):
            Step.objects.filter(session=session, kind="narrate").update(due_at=steps.now())
            run_due_steps(session, "narrate", most=1)
    return session


def read(session: Session, size: int = 5) -> Statistics:
    return statistics.read(session, size)


def over_time(found: Statistics, name: str) -> int:
    return sum(point[name] for point in found.points)


@pytest.mark.parametrize("size", events_statistics.SIZES)
def test_the_series_sum_up_to_the_rows_at_every_size(on_air: Session, size: int) -> None:
    found = read(on_air, size)
    stories = Story.objects.filter(session=on_air)
    assert len(found.points) == POINTS
    assert over_time(found, "story_count") == stories.count() > 1
    assert over_time(found, "words") == stories.aggregate(n=Sum("word_count"))["n"]
    assert over_time(found, "feed") == SourcePost.objects.filter(session=on_air).count()


def test_tokens_cost_and_calls_sum_up_to_the_ledger(modelled: Session) -> None:
    found, rows = read(modelled), TokenUsage.objects.filter(session=modelled)
    for column in ("input_tokens", "output_tokens", "cost_lower", "cost_upper"):
        assert over_time(found, column) == rows.aggregate(n=Sum(column))["n"] > 0
    assert over_time(found, "calls") == rows.count() == 3
    assert over_time(found, "bounded") == rows.filter(state="bounded").count() == 1


def test_latency_is_the_mean_of_the_calls(modelled: Session) -> None:
    timed = [row.duration_ms for row in TokenUsage.objects.all() if row.duration_ms is not None]
    (point,) = [point for point in read(modelled, 60).points if point["calls"]]
    assert point.call_ms == sum(timed) / len(timed)
    assert point.first_token_ms is not None


def test_a_gap_is_zero_but_a_latency_that_was_not_measured_is_none(on_air: Session) -> None:
    first = read(on_air).points[0]
    assert first["story_count"] == 0
    assert (first.call_ms, first.first_token_ms) == (None, None)


def test_points_follow_each_other_up_to_now_while_on_air(on_air: Session) -> None:
    found = read(on_air)
    moments = [point.at for point in found.points]
    assert {b - a for a, b in pairwise(moments)} == {timedelta(minutes=5)}
    assert moments[-1] == events_statistics.start_of(found.at, 5)
    assert not found.window.frozen


def test_off_air_the_window_rests_at_what_happened_last(on_air: Session) -> None:
    press(on_air, "stop")
    old = events_statistics.start_of(AT, 5) - timedelta(days=9)
    Bucket.objects.filter(session=on_air, size=5).delete()
    events_statistics.add(on_air.pk, old, {"story_count": 2}, [])
    found = read(on_air)
    assert found.window.frozen
    assert (found.window.last, found.points[-1]["story_count"]) == (old, 2)


def test_figures_of_another_session_are_not_counted(
    on_air: Session, make_session: MakeSession
) -> None:
    found = read(make_session("Other"))
    assert over_time(found, "story_count") == 0
    assert found.empty
    assert all(one.parts == [] for one in found.breakdowns)


def test_the_totals_are_the_counters(modelled: Session) -> None:
    totals, stats = read(modelled).totals, SessionStats.objects.get(session=modelled)
    assert totals.figures == recorder.figures(stats)
    assert (totals.calls, totals.bounded, totals.exact) == (3, 1, 2)
    assert totals.uncertain == stats.cost_upper - stats.cost_lower > 0
    tokens = stats.input_tokens + stats.output_tokens
    assert totals.tokens_per_story == tokens / stats.story_count


def test_an_aired_story_costs_its_part_of_everything_spent(modelled: Session) -> None:
    found, stats = read(modelled), SessionStats.objects.get(session=modelled)
    assert found.totals.aired == Airing.objects.filter(session=modelled).count() > 0
    least, most = found.totals.cost_per_aired or (0, 0)
    assert least == round(stats.cost_lower / found.totals.aired)
    assert most == round(stats.cost_upper / found.totals.aired)


def test_stories_per_hour_count_the_time_on_air_of_all_runs(on_air: Session) -> None:
    run = Broadcast.objects.get(session=on_air)
    assert run.live_at is not None
    SessionStats.objects.filter(session=on_air).update(on_air_seconds=3000, story_count=4)
    stats = SessionStats.objects.get(session=on_air)
    at = run.live_at + timedelta(seconds=600)
    totals = statistics.totals_of(on_air, stats, run, at)
    assert totals.on_air_seconds == 3600
    assert totals.stories_per_hour == 4


def test_without_stories_there_is_nothing_to_divide_by(session: Session) -> None:
    totals = read(session).totals
    assert (totals.stories_per_hour, totals.tokens_per_story, totals.cost_per_aired) == (None,) * 3


def test_kinds_are_those_of_the_stories(on_air: Session) -> None:
    found = {one.dimension: one for one in read(on_air).breakdowns}
    stories = list(Story.objects.filter(session=on_air))
    for dimension in ("tone", "priority"):
        expected = [getattr(story, dimension) for story in stories]
        assert {part.key: part.count for part in found[dimension].parts} == {
            key: expected.count(key) for key in expected
        }
    assert [(part.key, part.count) for part in found["source"].parts] == [("demo", len(stories))]
    assert found["model"].parts == []


def test_calls_stand_by_model_and_operation(modelled: Session) -> None:
    found = {one.dimension: one.parts for one in read(modelled).breakdowns}
    (model,), (operation,) = found["model"], found["operation"]
    assert (model.key, model.count, model.bounded, model.share) == (MODEL, 3, 1, 1.0)
    stats = SessionStats.objects.get(session=modelled)
    assert model.tokens == operation.tokens == stats.input_tokens + stats.output_tokens


def test_beyond_twelve_the_rest_stands_together(session: Session) -> None:
    shares = [Share("source", f"r/{n}", {"count": 20 - n, "words": 1}) for n in range(15)]
    events_statistics.add(session.pk, AT, {}, shares)
    parts = statistics.breakdowns_of(Tally.objects.filter(session=session))[-1].parts
    assert len(parts) == 13
    assert (parts[0].key, parts[-1].key) == ("r/0", statistics.OTHER)
    assert (parts[-1].count, parts[-1].words) == (8 + 7 + 6, 3)
    assert sum(part.share for part in parts) == pytest.approx(1)


@pytest.mark.parametrize(("text", "size"), [("15", 15), ("", 5), ("7", 5), ("x", 5), ("-1", 5)])
def test_an_odd_size_is_the_default(text: str, size: int) -> None:
    assert statistics.size_of(text) == size


def queries(session: Session) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        found = read(session)
        views.all_charts(found)
        judgement.stages(session, found)
    return len(seen)


def test_five_stories_and_five_hundred_take_the_same_queries(on_air: Session) -> None:
    few = queries(on_air)
    for number in range(500):
        at = steps.now() - timedelta(minutes=number)
        share = Share("source", f"r/{number}", {"count": 1, "words": 9})
        events_statistics.add(on_air.pk, at, {"story_count": 1, "words": 9, "calls": 1}, [share])
    assert queries(on_air) == few <= 15


def test_no_query_counts_or_sums_the_stories_posts_or_ledger(on_air: Session) -> None:
    with CaptureQueriesContext(connection) as seen:
        judgement.stages(on_air, read(on_air))
    heavy = [
        each["sql"]
        for each in seen
        if ("COUNT(" in each["sql"] or "SUM(" in each["sql"]) and "LIMIT" not in each["sql"]
    ]
    assert all("sessions_app_bucket" in sql for sql in heavy)


def stage(session: Session, name: str) -> Stage:
    found = judgement.stages(session, read(session))
    assert [each.name for each in found] == [
        "Sources",
        "Producer",
        "Queue",
        "Host",
        "Ledger",
        "AI chain",
        "Airing",
        "Delivery",
    ]
    return next(each for each in found if each.name == name)


def states(session: Session) -> list[str]:
    return [each.state for each in judgement.stages(session, read(session))]


def test_a_session_on_air_is_in_order_throughout(on_air: Session) -> None:
    assert states(on_air) == ["ok"] * 8


def test_off_air_producer_host_and_airing_rest(on_air: Session) -> None:
    press(on_air, "stop")
    assert states(on_air) == ["ok", "stopped", "ok", "stopped", "ok", "ok", "stopped", "ok"]
    assert "Off air" in stage(on_air, "Host").sentence


def test_a_source_in_trouble_is_named_with_its_reason(on_air: Session) -> None:
    Source.objects.filter(session=on_air).update(health="failed", note="It is gone.")
    found = stage(on_air, "Sources")
    assert found.state == "stopped"
    assert "demo: It is gone." in found.sentence
    assert found.figure == "0 of 1 readable"


def test_a_session_without_sources_says_what_to_do(make_session: MakeSession) -> None:
    found = stage(make_session(recording=False), "Sources")
    assert (found.state, "Add one" in found.sentence) == ("stopped", True)


@pytest.mark.parametrize(("kind", "name"), [("poll", "Producer"), ("narrate", "Host")])
def test_work_that_nobody_takes_is_seen(on_air: Session, kind: str, name: str) -> None:
    late = steps.now() - timedelta(seconds=61)
    Step.objects.filter(session=on_air, kind=kind, state="pending").update(due_at=late)
    assert (stage(on_air, name).state, "No worker" in stage(on_air, name).sentence) == (
        "stopped",
        True,
    )


def test_a_lease_that_ran_out_long_ago_is_seen(on_air: Session) -> None:
    late = steps.now() - timedelta(seconds=61)
    open_ = Step.objects.filter(session=on_air, kind="narrate", state="pending")
    open_.update(state="leased", lease_until=late)
    assert stage(on_air, "Host").state == "stopped"


def test_a_hold_is_shown_with_its_sentence(on_air: Session) -> None:
    hold = {"code": "budget", "sentence": "The budget is spent.", "until": None}
    Broadcast.objects.filter(session=on_air).update(hold=hold)
    found = stage(on_air, "Host")
    assert (found.state, found.sentence) == ("attention", "On hold: The budget is spent.")


def test_the_chain_of_a_session_is_one_of_its_stages(on_air: Session, session: Session) -> None:
    links = AILink.objects.filter(session=on_air).count()
    assert stage(on_air, "AI chain").figure == f"{links} links"
    assert stage(session, "AI chain").figure == "0 links"
    lose_head(on_air)
    found = stage(on_air, "AI chain")
    assert (found.state, "Repair" in found.sentence) == ("attention", True)


def test_a_full_queue_wants_attention(on_air: Session) -> None:
    SessionStats.objects.filter(session=on_air).update(queue=200)
    assert stage(on_air, "Queue") == Stage(
        "Queue",
        "attention",
        "The queue is full, so sources are read more slowly.",
        "200 posts waiting",
    )


def test_calls_without_a_price_want_attention(on_air: Session) -> None:
    SessionStats.objects.filter(session=on_air).update(unpriced=3)
    assert stage(on_air, "Ledger").state == "attention"


def test_a_call_that_a_dead_worker_left_open_wants_attention(on_air: Session) -> None:
    row = TokenUsage.objects.create(session=on_air, operation="narrate", model="m", max_tokens=1)
    assert stage(on_air, "Ledger").state == "ok"
    TokenUsage.objects.filter(pk=row.pk).update(created_at=steps.now() - timedelta(minutes=5))
    assert stage(on_air, "Ledger").state == "attention"


def test_a_story_that_waits_for_approval_is_said(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=3)
    found = stage(session, "Airing")
    assert (found.state, "your approval" in found.sentence) == ("attention", True)


def test_a_story_that_should_have_ended_is_seen(make_session: MakeSession, go_live: GoLive) -> None:
    session = make_session(model="extractive", pace=180)
    go_live(session)
    run_due_steps(session, most=3)
    late = steps.now() - timedelta(seconds=61)
    Airing.objects.filter(session=session).update(finish_at=late)
    assert stage(session, "Airing").state == "attention"


def payload(session: Session) -> statistics.SeriesPayload:
    return statistics.series_payload(session, 60)


def test_the_payload_carries_money_as_strings_and_gaps_as_null(modelled: Session) -> None:
    points = payload(modelled)["points"]
    assert (points[0]["cost_lower"], points[0]["call_ms"]) == ("0", None)
    (busy,) = [point for point in points if point["calls"]]
    assert float(busy["cost_upper"]) > float(busy["cost_lower"]) > 0
    assert isinstance(busy["call_ms"], int)
    assert orchestrator.latest_payload(modelled)["state"] == "live"
    commands.run("broadcast.stop", modelled.owner, modelled, {})
    # The run is idle once its recap is made.
    run_due_steps(modelled)
    sweeper.sweep()
    assert payload(modelled)["frozen"]


def test_what_the_cache_saved_is_a_figure_of_its_own(
    session: Session, client_of: Callable[[User], Client]
) -> None:
    def shown() -> tuple[str, str, str]:
        points = statistics.series_payload(session, 60)["points"]
        answer = client_of(session.owner).get(f"/stats/?session={session.pk}")
        page = unbroken(answer.content.decode())
        figure = page.partition("Saved by the cache</dt><dd><strong>")[2].partition("</strong>")[0]
        return figures.stats(session)["cache_saved"], points[-1]["cache_saved"], figure

    with transaction.atomic():
        recorder.record(session, "usage.closed", {}, feed=1)
    assert shown() == ("0", "0", "")  # left out while it says nothing
    with transaction.atomic():
        call = events_statistics.Extra({"calls": 1})
        recorder.record(session, "usage.closed", {}, None, call, cache_saved=2_500_000_000)
    assert shown() == ("0.0025", "0.0025", "$0.0025")
