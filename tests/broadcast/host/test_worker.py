"""The host: one story from one post, just in time; holds, deaths and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from broadcast import orchestrator
from broadcast.host import claims, narration, worker
from broadcast.models import Broadcast
from sessions_app import audits, commands, sessions
from sessions_app.background import steps, sweeper
from sessions_app.errors import NeedsHuman, Retry, SmnbError, WaitUntil
from sessions_app.models import Message, Session, SessionEvent, Step
from sessions_app.realtime import checkpoints
from stories.llm import EmptyAnswer, Refused
from stories.models import SourcePost, Story, TokenUsage
from stories.types import Brief, Narration, OnText
from tests.broadcast_runs import hold_code
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]
MODEL = "claude-haiku-4-5"
ARM, HOLD = 'UPDATE "sessions_app_step"', 'UPDATE "broadcast_broadcast" SET "epoch"'


@pytest.fixture
@made_once
def live(make_session: MakeSession, go_live: GoLive) -> Session:
    """A session on air whose first six posts wait in the queue."""
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, "poll", most=1)
    return session


def narrate(session: Session, times: int = 1) -> None:
    """Let the host have its next rounds, whenever they are due."""
    for _ in range(times):
        step = Step.objects.get(session=session, kind="narrate", state="pending")
        Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
        steps.run(step.pk)


def air(session: Session) -> orchestrator.AirPayload:
    return orchestrator.latest_payload(session)


def messages_with(session: Session, code: str) -> int:
    return Message.objects.filter(session=session, code=code).count()


class Trouble:
    """A narrator that fails with the given errors, then narrates."""

    origin = "extractive"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.briefs: list[Brief] = []

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        self.briefs.append(brief)
        if self.errors:
            raise self.errors.pop(0)
        on_text("All is")
        return Narration(brief.title, "All is well.", "developing", "neutral", ["harbour"])


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trouble]:
    def set_(*errors: Exception) -> Trouble:
        narrator = Trouble(*errors)
        monkeypatch.setattr(worker, "narrator_for", lambda *_: narrator)
        return narrator

    return set_


def test_the_demo_on_air_fills_the_feed_with_stories_of_its_own(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session)
    stories = Story.objects.filter(session=session).select_related("post")
    assert stories.count() >= 6
    assert all(each.post and each.post.session_id == session.pk for each in stories)
    assert {each.post.state for each in stories if each.post} == {"told"}
    assert {each.state for each in stories} <= {"aired", "airing", "written"}
    assert sum(each.state != "aired" for each in stories) <= 2
    assert list(audits.run()) == []


def test_the_best_post_is_told_first(live: Session) -> None:
    best = SourcePost.objects.filter(session=live, state="queued").order_by("-rank", "id")[0]
    narrate(live)
    assert Story.objects.get().post == best


@pytest.mark.databases
def test_no_post_is_told_twice_over_stop_and_start(live: Session, go_live: GoLive) -> None:
    narrate(live, 3)
    commands.run("broadcast.stop", live.owner, live, {})
    go_live(live)
    run_due_steps(live)
    posts = Story.objects.values_list("post_id", flat=True)
    assert len(posts) == len(set(posts)) > 3
    assert list(audits.run()) == []


def test_the_brief_holds_the_post_and_the_settings_and_nothing_secret(
    live: Session, trouble: Callable[..., Trouble]
) -> None:
    sessions.change(live, personality="formal", instructions="Be brief.")
    narrator = trouble()
    narrate(live)
    (brief,) = narrator.briefs
    post = Story.objects.get().post
    assert post is not None
    assert (brief.title, brief.body) == (post.title, post.body)
    assert (brief.personality, brief.instructions) == ("formal", "Be brief.")
    assert str(live.pk) not in str(brief)
    assert live.watch_token not in str(brief)


def test_the_next_brief_knows_what_was_told_before(
    live: Session, trouble: Callable[..., Trouble]
) -> None:
    narrator = trouble()
    narrate(live, 2)
    assert narrator.briefs[1].recent_titles == (narrator.briefs[0].title,)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Retry("It is tried again.", code="overloaded"), "overloaded"),
        (NeedsHuman("The key was refused.", code="anthropic_key"), "anthropic_key"),
    ],
)
def test_trouble_holds_the_narration_keeps_the_run_live_and_the_post_waiting(
    live: Session, trouble: Callable[..., Trouble], error: SmnbError, code: str
) -> None:
    trouble(error, error)
    narrate(live, 2)
    assert (air(live)["state"], hold_code(live)) == ("live", code)
    assert messages_with(live, code) == 1
    assert not SourcePost.objects.exclude(state__in=["queued", "skipped"]).exists()
    assert set(SourcePost.objects.values_list("attempts", flat=True)) == {0}
    assert list(audits.run()) == []


def test_a_throttle_is_waited_out_to_its_moment(
    live: Session, trouble: Callable[..., Trouble]
) -> None:
    until = steps.now() + timedelta(minutes=3)
    trouble(WaitUntil("The rate is limited.", until=until))
    narrate(live)
    assert Step.objects.get(kind="narrate").due_at == until
    assert hold_code(live) == "throttled"


def test_the_first_story_after_a_hold_releases_it(
    live: Session, trouble: Callable[..., Trouble]
) -> None:
    trouble(Retry("It is tried again."))
    narrate(live)
    assert air(live)["hold"] is not None
    narrate(live)
    assert air(live)["hold"] is None
    assert Story.objects.count() == 1
    assert list(audits.run()) == []


@pytest.mark.parametrize("error", [Refused("It would not."), EmptyAnswer("Not a word.")])
def test_a_post_that_the_narrator_refuses_is_passed_over(
    live: Session, trouble: Callable[..., Trouble], error: SmnbError
) -> None:
    trouble(error)
    narrate(live, 2)
    failed = SourcePost.objects.get(state="failed")
    assert failed.reason == error.sentence
    assert messages_with(live, error.code) == 1
    assert Story.objects.count() == 1
    assert list(audits.run()) == []


def test_a_spent_budget_holds_the_narration_until_it_is_raised(live: Session) -> None:
    sessions.change(live, budget=0)
    narrate(live, 2)
    assert (air(live)["state"], hold_code(live)) == ("live", "budget")
    assert messages_with(live, "budget") == 1
    assert not Story.objects.exists()
    sessions.change(live, budget=None)
    narrate(live)
    assert air(live)["hold"] is None
    assert Story.objects.count() == 1
    assert list(audits.run()) == []


def die(session: Session, with_post: bool = True) -> None:
    """A worker takes the narrate step, claims a post, and is killed; its lease runs out."""
    step = Step.objects.get(session=session, kind="narrate", state__in=Step.OPEN)
    Step.objects.filter(pk=step.pk, state="pending").update(
        due_at=steps.now() - timedelta(seconds=1)
    )
    held = steps.claim(step.pk)
    assert held is not None
    claims.requeue_abandoned(held)
    run = orchestrator.attend(held)
    assert run is not None
    if with_post:
        assert worker.claim_post(run, held) is not None
    Step.objects.filter(pk=step.pk).update(lease_until=steps.now() - timedelta(seconds=1))


def revive(session: Session) -> None:
    """What the sweeper and the next worker do."""
    for step in Step.objects.filter(session=session, kind="narrate", state="leased"):
        steps.run(step.pk)
    sweeper.sweep()


def test_the_post_of_a_killed_worker_is_told_by_the_next_one(live: Session) -> None:
    die(live)
    revive(live)
    assert Story.objects.count() == 1
    assert not SourcePost.objects.filter(state="claimed").exists()
    assert list(audits.run()) == []


def test_a_post_that_kills_its_worker_three_times_fails_and_the_show_goes_on(
    live: Session,
) -> None:
    for _ in range(3):
        die(live)
    worn = SourcePost.objects.get(state="claimed")
    revive(live)
    worn.refresh_from_db()
    assert worn.state == "failed"
    assert worn.reason
    assert list(audits.run()) == []
    narrate(live)
    assert Story.objects.exists()


def test_a_fault_of_ours_leaves_no_post_behind_when_it_is_given_up(
    live: Session, trouble: Callable[..., Trouble]
) -> None:
    trouble(*[RuntimeError("a bug")] * 3)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            narrate(live)
    sweeper.sweep()
    assert not SourcePost.objects.filter(state="claimed").exists()
    assert list(audits.run()) == []
    narrate(live)
    assert Story.objects.exists()


def test_stop_after_a_fault_of_ours_leaves_no_post_behind(
    live: Session, trouble: Callable[..., Trouble]
) -> None:
    trouble(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        narrate(live)
    commands.run("broadcast.stop", live.owner, live, {})
    assert air(live)["state"] == "idle"
    assert not SourcePost.objects.filter(state="claimed").exists()
    assert list(audits.run()) == []


def test_a_fault_of_ours_after_two_holds_does_not_cost_a_post_its_tries(
    live: Session, trouble: Callable[..., Trouble]
) -> None:
    trouble(Retry("It is tried again."), Retry("It is tried again."), RuntimeError("a bug"))
    narrate(live, 2)
    with pytest.raises(RuntimeError):
        narrate(live)
    assert Step.objects.get(kind="narrate").state == "failed"
    assert SourcePost.objects.get(attempts=1).state == "queued"
    assert messages_with(live, "post_failed") == 0
    assert list(audits.run()) == []


@pytest.mark.parametrize(("attempts", "state"), [(1, "queued"), (3, "failed")])
def test_a_post_left_behind_by_a_step_that_is_over_is_freed_by_the_next(
    live: Session, attempts: int, state: str
) -> None:
    die(live)
    left = SourcePost.objects.get(state="claimed")
    SourcePost.objects.filter(pk=left.pk).update(attempts=attempts)
    Step.objects.filter(kind="narrate").update(state="cancelled", lease_until=None)
    sweeper.sweep()
    held = steps.claim(Step.objects.get(kind="narrate", state="pending").pk)
    assert held is not None
    claims.requeue_abandoned(held)
    left.refresh_from_db()
    assert left.state == state
    changed = SessionEvent.objects.filter(type="post.changed").latest("seq")
    assert changed.payload["post"]["state"] == state
    assert list(audits.run()) == []


def stopping(session: Session, then: Exception) -> Callable[[Brief, OnText], Narration]:
    """A narrator in whose middle the owner stops, and which then fails."""

    def narrate_(_brief: Brief, _on_text: OnText) -> Narration:
        commands.run("broadcast.stop", session.owner, session, {})
        raise then

    return narrate_


@pytest.mark.parametrize(
    ("error", "state"), [(Refused("It would not."), "failed"), (Retry("Busy."), "queued")]
)
def test_a_round_that_fails_while_the_run_stops_arms_no_step(
    live: Session,
    trouble: Callable[..., Trouble],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    state: str,
) -> None:
    best = SourcePost.objects.filter(state="queued").order_by("-rank", "id")[0]
    monkeypatch.setattr(trouble(), "narrate", stopping(live, error))
    narrate(live)
    sweeper.sweep()
    best.refresh_from_db()
    assert (best.state, air(live)["state"]) == (state, "idle")
    left = Step.objects.filter(state__in=Step.OPEN).exclude(kind__in=steps.outliving_kinds())
    assert not left.exists()
    assert list(audits.run()) == []


@pytest.mark.parametrize("error", [None, Retry("Busy."), Refused("It would not.")])
def test_each_round_holds_the_run_before_it_arms_the_next(
    live: Session, trouble: Callable[..., Trouble], error: Exception | None
) -> None:
    """Else a stop between the two cancels what is pending, and misses the step armed last."""
    if error is None:
        sessions.change(live, control_mode="full-control")
        narrate(live)
    else:
        trouble(error)
    with CaptureQueriesContext(connection) as queries:
        narrate(live)
    asked = [each["sql"] for each in queries.captured_queries]
    armed = max(n for n, sql in enumerate(asked) if sql.startswith(ARM) and '"due_at" =' in sql)
    held = max(n for n, sql in enumerate(asked[:armed]) if sql.startswith(HOLD))
    assert not any(sql.startswith("BEGIN") for sql in asked[held:armed])


def test_a_story_waits_for_approval_if_its_owner_asks_for_it_while_it_is_written(
    live: Session, trouble: Callable[..., Trouble], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrator = trouble()
    answer = narrator.narrate

    def narrate_(brief: Brief, on_text: OnText) -> Narration:
        sessions.change(Session.objects.get(), control_mode="full-control")
        return answer(brief, on_text)

    monkeypatch.setattr(narrator, "narrate", narrate_)
    narrate(live)
    assert Story.objects.get().state == "written"


def test_a_story_is_stored_after_the_next_round_is_armed(live: Session) -> None:
    """The counters are everybody's, so they are taken last and held for the shortest time."""
    with CaptureQueriesContext(connection) as queries:
        narrate(live)
    asked = [each["sql"] for each in queries.captured_queries]
    armed = max(n for n, sql in enumerate(asked) if sql.startswith(ARM) and '"due_at" =' in sql)
    stored = next(n for n, sql in enumerate(asked) if 'INSERT INTO "stories_story"' in sql)
    counted = [
        n for n, sql in enumerate(asked) if sql.startswith("UPDATE sessions_app_sessionstats")
    ]
    assert armed < stored < counted[-1]
    assert not any(sql.startswith("BEGIN") for sql in asked[armed : counted[-1]])


def test_without_a_key_a_session_that_wants_a_model_says_so_once(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = make_session(model=MODEL)
    go_live(session)
    run_due_steps(session)
    assert messages_with(session, "no_key") == 1
    assert Story.objects.exists()
    assert set(Story.objects.values_list("origin", flat=True)) == {"extractive"}


@pytest.fixture
def modelled(
    make_session: MakeSession,
    go_live: GoLive,
    anthropic: AnthropicStandIn,
) -> Session:
    """A session on air that is narrated by a model."""
    session = make_session(model=MODEL)
    go_live(session)
    run_due_steps(session, "poll", most=1)
    return session


def test_a_story_by_a_model_is_booked_to_the_token(
    modelled: Session, anthropic: AnthropicStandIn
) -> None:
    narrate(modelled)
    story, usage = Story.objects.get(), TokenUsage.objects.get()
    assert (story.origin, story.model, usage.story_id) == ("model", MODEL, story.pk)
    assert usage.post_id == story.post_id
    assert (usage.input_tokens, usage.output_tokens) == (
        anthropic.total.input,
        anthropic.total.output,
    )
    modelled.stats.refresh_from_db()
    assert modelled.stats.input_tokens == anthropic.total.input
    assert modelled.stats.cost_lower == modelled.stats.cost_upper == usage.cost_lower > 0
    assert list(audits.run()) == []


def test_an_answer_that_breaks_off_is_booked_with_bounds_and_asked_again(
    modelled: Session, anthropic: AnthropicStandIn
) -> None:
    anthropic.script.append("reset")
    narrate(modelled)
    broken = TokenUsage.objects.get()
    assert broken.state == "bounded"
    assert broken.cost_lower < broken.cost_upper
    assert not Story.objects.exists()
    narrate(modelled)
    assert Story.objects.count() == 1
    assert TokenUsage.objects.filter(state="final").count() == 1
    assert list(audits.run()) == []


def test_a_refused_key_is_a_hold_that_names_no_key(
    modelled: Session, anthropic: AnthropicStandIn
) -> None:
    anthropic.mode = "bad_key"
    narrate(modelled)
    assert hold_code(modelled) == "anthropic_key"
    text_of_events = str(list(SessionEvent.objects.values_list("payload", flat=True)))
    assert "key-of-the-stand-in" not in text_of_events
    assert list(audits.run()) == []


class Peeking(Trouble):
    """A narrator that looks, in the middle, at what a page loaded now would show."""

    seen: Any = None

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        answer = super().narrate(brief, on_text)
        self.seen = narration.so_far(Session.objects.get())
        return answer


def test_what_is_being_written_is_kept_until_the_story_is_there(
    live: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrator = Peeking()
    monkeypatch.setattr(worker, "narrator_for", lambda *_: narrator)
    narrate(live)
    assert narrator.seen == {"title": narrator.briefs[0].title, "text": "All is"}
    assert narration.so_far(live) is None


def test_what_a_killed_worker_was_writing_is_forgotten_by_the_next(live: Session) -> None:
    die(live)
    checkpoints.save(live.pk, narration.NARRATION, {"title": "A", "text": "All"})
    commands.run("broadcast.stop", live.owner, live, {})
    revive(live)
    assert narration.so_far(live) is None
