"""On air: one story at a time, at the session's pace, as the control mode allows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.utils import timezone

from broadcast import airing, orchestrator
from broadcast.host import worker
from broadcast.models import Airing, Broadcast, StateChange
from broadcast.states import State
from sessions_app import audits, commands, preferences, sessions
from sessions_app.background import steps, sweeper
from sessions_app.errors import Conflict, NotFound
from sessions_app.models import Session, SessionEvent, Step
from stories import stories
from stories.models import Story
from tests.broadcast_runs import press, run_in, state_of
from tests.concurrency import together
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import past

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]
Live = Callable[..., Session]


@pytest.fixture
def live(owner: User, make_session: MakeSession, go_live: GoLive) -> Live:
    """A session on air with posts in its queue and no story yet."""

    def make(mode: str, pace: int) -> Session:
        session = make_session(model="extractive", control_mode=mode, pace=pace)
        go_live(session)
        run_due_steps(session, "poll", most=1)
        return session

    def recall(mode: str = "hands-free", pace: int = 6000) -> Session:
        return past(f"on air {mode} {pace}", owner, lambda: make(mode, pace))

    return recall


def turn(session: Session, kind: str = "narrate") -> None:
    """The pending step of this kind runs now, whenever it is due."""
    for step in Step.objects.filter(session=session, kind=kind, state="pending"):
        Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
        steps.run(step.pk)


def older(session: Session, seconds: float) -> None:
    """The session's stories were written so long ago."""
    for story in Story.objects.filter(session=session):
        written = story.created_at - timedelta(seconds=seconds)
        Story.objects.filter(pk=story.pk).update(created_at=written)


def states(session: Session) -> list[str]:
    rows = Story.objects.filter(session=session).order_by("id")
    return list(rows.values_list("state", flat=True))


def decide(session: Session, verdict: str, story: Story | None = None) -> Story:
    chosen = story or Story.objects.get(session=session, state="written")
    found: Story = commands.run(f"story.{verdict}", session.owner, session, {"story": chosen.pk})
    return found


def test_hands_free_airs_a_story_as_soon_as_it_is_written(live: Live) -> None:
    session = live()
    turn(session)
    assert states(session) == ["airing"]
    found = Airing.objects.get()
    assert found.finish_at - found.aired_at == timedelta(seconds=found.story.duration)
    assert list(audits.run()) == []


def test_without_waiting_stories_follow_one_another_at_once(live: Live) -> None:
    session = live(pace=0)
    run_due_steps(session)
    run_due_steps(session, "finish_airing")
    assert len(states(session)) >= 6
    assert set(states(session)) <= {"aired", "airing"}
    assert list(audits.run()) == []


def test_nothing_is_written_long_before_it_is_needed(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    turn(session)
    assert len(states(session)) == 1
    Airing.objects.update(finish_at=steps.now() + worker.LEAD - timedelta(seconds=1))
    turn(session)
    assert states(session) == ["airing", "written"]


def test_the_next_story_follows_when_one_has_ended(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    Airing.objects.update(finish_at=steps.now() + timedelta(seconds=1))
    turn(session)
    turn(session, "finish_airing")
    assert states(session) == ["aired", "airing"]
    assert list(audits.run()) == []


@pytest.mark.databases
def test_the_database_allows_one_story_on_air_at_a_time(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    first = Airing.objects.get()
    with pytest.raises(DatabaseError), transaction.atomic():
        Airing.objects.create(
            session=session,
            run=first.run,
            story=first.story,
            aired_at=first.aired_at,
            finish_at=first.finish_at,
        )


def test_balanced_airs_only_after_the_time_to_object(live: Live) -> None:
    session = live("balanced")
    turn(session)
    turn(session)
    assert states(session) == ["written"]
    older(session, airing.VETO_WINDOW.total_seconds() + 1)
    turn(session)
    assert states(session) == ["airing"]


def test_a_vetoed_story_never_airs_and_the_next_is_written(live: Live) -> None:
    session = live("balanced")
    turn(session)
    decide(session, "veto")
    older(session, 60)
    turn(session)
    assert states(session)[0] == "vetoed"
    assert len(states(session)) == 2
    assert not Airing.objects.filter(story__state="vetoed").exists()
    assert list(audits.run()) == []


def test_an_approved_story_airs_without_waiting(live: Live) -> None:
    session = live("balanced")
    turn(session)
    decide(session, "approve")
    assert states(session) == ["airing"]


def test_full_control_waits_for_as_long_as_it_takes(live: Live) -> None:
    session = live("full-control")
    turn(session)
    older(session, 3600)
    for _ in range(3):
        turn(session)
    assert states(session) == ["written"]
    decide(session, "approve")
    assert states(session) == ["airing"]
    assert list(audits.run()) == []


def test_changing_the_control_mode_holds_for_the_next_story(live: Live) -> None:
    session = live("full-control")
    turn(session)
    sessions.change(session, control_mode="hands-free")
    turn(session)
    assert states(session) == ["airing"]


def test_a_mode_that_changes_after_the_step_was_claimed_decides_what_airs(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    Airing.objects.update(finish_at=steps.now() + timedelta(seconds=1))
    turn(session)
    Step.objects.filter(kind="finish_airing").update(due_at=steps.now() - timedelta(seconds=1))
    claimed = steps.claim(Step.objects.get(kind="finish_airing").pk)
    assert claimed is not None
    sessions.change(Session.objects.get(), control_mode="full-control")
    assert claimed.session.control_mode == "hands-free"
    airing.finish(claimed)
    assert states(session) == ["aired", "written"]


def test_what_is_on_air_cannot_be_decided_any_more(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    with pytest.raises(Conflict) as refused:
        decide(session, "veto", Story.objects.get())
    assert refused.value.state == "airing"


def test_a_story_of_another_session_is_not_there_to_decide(
    live: Live, make_session: MakeSession
) -> None:
    session = live("full-control")
    turn(session)
    other = make_session("Evening")
    with pytest.raises(NotFound):
        decide(other, "approve", Story.objects.get())


@pytest.mark.databases
def test_veto_and_approval_at_once_have_one_outcome(live: Live) -> None:
    session = live("full-control")
    turn(session)
    story = Story.objects.get()
    together(8, lambda index: decide(session, "veto" if index % 2 else "approve", story))
    story.refresh_from_db()
    aired = Airing.objects.filter(story=story).count()
    assert (story.state, aired) in {("vetoed", 0), ("airing", 1)}
    assert list(audits.run()) == []


def test_a_decision_is_an_event_with_the_story_as_it_is_now(live: Live) -> None:
    session = live("full-control")
    turn(session)
    decide(session, "veto")
    event = SessionEvent.objects.get(session=session, type="story.decided")
    assert event.payload["story"]["state"] == "vetoed"
    assert event.payload["by"] == "olga"


def test_an_approval_is_on_record_with_the_editor_and_the_time(live: Live) -> None:
    session = live("full-control")
    preferences.rename(session.owner, "Olga", "Nowak", "", "Olga N.")
    turn(session)
    before = timezone.now()
    decide(session, "approve")
    story = Story.objects.get(session=session)
    assert story.approved_by == session.owner
    assert story.approved_at is not None
    assert before <= story.approved_at <= timezone.now()
    assert (story.approved_as, story.label_off) == ("Olga N.", False)
    event = SessionEvent.objects.get(session=session, type="story.decided")
    assert (event.payload["by"], event.payload["story"]["state"]) == ("olga", "approved")
    aired = SessionEvent.objects.get(session=session, type="story.aired")
    assert aired.payload["public"]["story"]["disclosure"]["approved"] is True
    assert aired.payload["public"]["story"]["disclosure"]["editor"] == "Olga N."


def test_a_later_public_name_changes_no_earlier_approval(live: Live) -> None:
    session = live("full-control")
    turn(session)
    decide(session, "approve")
    preferences.rename(session.owner, "", "", "", "Olga N.")
    assert Story.objects.get(session=session).approved_as == ""


def test_a_veto_after_an_approval_removes_it(live: Live) -> None:
    session = live("full-control", pace=60)
    turn(session)
    decide(session, "approve")
    # The first story is on air, so the second one waits although it is approved.
    Airing.objects.update(finish_at=steps.now() + timedelta(seconds=1))
    turn(session)
    second = Story.objects.get(session=session, state="written")
    decide(session, "approve", second)
    decide(session, "veto", second)
    second.refresh_from_db()
    assert (second.state, second.approved_by, second.approved_at) == ("vetoed", None, None)


@pytest.mark.parametrize(("setting", "off"), [("always", False), ("unreviewed", True)])
def test_the_label_is_off_only_where_the_session_says_so_and_an_editor_approved(
    live: Live, setting: str, off: bool
) -> None:
    session = sessions.change(live("full-control"), ai_label=setting)
    turn(session)
    assert Story.objects.get(session=session).label_off is False
    decide(session, "approve")
    assert Story.objects.get(session=session).label_off is off


def test_a_break_in_is_recorded_as_its_authors(live: Live) -> None:
    session = live("full-control")
    data = {"title": "The ferry is late", "text": "It is late again."}
    story = commands.run("story.break_in", session.owner, session, data)
    assert story.approved_by == session.owner
    made = stories.payload(story)["disclosure"]
    assert (made["writer"], made["approved"]) == ("editor", False)
    assert made["text"] == "Written by an editor and read by a synthetic voice."


def test_airing_and_its_end_are_public_events_without_secrets(live: Live) -> None:
    session = live(pace=0)
    run_due_steps(session, most=4)
    aired = SessionEvent.objects.filter(session=session, type="story.aired").first()
    assert aired is not None
    assert set(aired.payload["public"]) == {"story"}
    assert not {"model", "note", "origin", "created_at"} & set(aired.payload["public"]["story"])


@pytest.mark.databases
def test_the_end_of_an_airing_that_comes_twice_is_written_once(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    turn(session, "finish_airing")
    step = Step.objects.get(kind="finish_airing")
    assert not steps.run(step.pk)
    assert SessionEvent.objects.filter(session=session, type="story.finished").count() == 1


def test_an_airing_whose_last_step_was_given_up_still_ends(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    Step.objects.filter(kind="finish_airing").update(state="failed")
    Airing.objects.update(finish_at=steps.now() - timedelta(seconds=1))
    sweeper.sweep()
    for _ in range(3):
        turn(session, "finish_airing")
        turn(session)
    assert "aired" in states(session)
    assert list(audits.run()) == []


def ask_to_stop(session: Session, when: str) -> None:
    commands.run("broadcast.ask_to_stop", session.owner, session, {"when": when})


def undo_stop(session: Session) -> None:
    commands.run("broadcast.undo_stop", session.owner, session, {})


def ending(session: Session) -> tuple[str, bool, str] | None:
    found = orchestrator.latest_payload(session)["ending"]
    return (found["when"], found["at"] is not None, found["by"]) if found else None


def causes(session: Session) -> list[str]:
    rows = SessionEvent.objects.filter(session=session, type="broadcast.state").order_by("seq")
    return [event.payload["cause"] for event in rows][-2:]


def last_change(session: Session) -> StateChange:
    return StateChange.objects.filter(session=session, cause="stop").get()


@pytest.mark.databases
def test_a_run_stops_after_the_story_on_air(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    ask_to_stop(session, "story")
    assert (state_of(session), ending(session)) == ("live", ("story", False, "olga"))
    # The next story would never air, so it is not written.
    Airing.objects.update(finish_at=steps.now() + worker.LEAD - timedelta(seconds=1))
    turn(session)
    assert states(session) == ["airing"]
    turn(session, "finish_airing")
    assert (state_of(session), states(session), ending(session)) == ("idle", ["aired"], None)
    assert last_change(session).actor == session.owner
    assert list(audits.run()) == []


def test_a_stop_that_is_undone_in_time_never_happens(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    ask_to_stop(session, "now")
    assert ending(session) == ("now", True, "olga")
    undo_stop(session)
    assert causes(session) == ["stop asked", "stop undone"]
    turn(session, "stop_run")
    turn(session, "finish_airing")
    assert (state_of(session), states(session)) == ("live", ["aired"])
    with pytest.raises(Conflict, match="no stop to undo"):
        undo_stop(session)
    # Asked again, its time counts from then.
    ask_to_stop(session, "now")
    turn(session, "stop_run")
    assert state_of(session) == "live"
    assert Step.objects.get(kind="stop_run", state="pending").due_at > steps.now()


@pytest.mark.databases
def test_a_stop_happens_when_it_is_due_also_if_its_step_is_lost(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    ask_to_stop(session, "now")
    Step.objects.filter(kind="stop_run").delete()
    sweeper.sweep()
    assert Step.objects.get(kind="stop_run").due_at > steps.now() + timedelta(seconds=3)
    past = (steps.now() - timedelta(seconds=1)).isoformat()
    due = {"when": "now", "at": past, "by": "olga"}
    Broadcast.objects.filter(session=session).update(ending=due)
    turn(session, "stop_run")
    assert (state_of(session), states(session)) == ("idle", ["aired"])
    assert last_change(session).actor == session.owner


def test_a_break_in_airs_before_the_stop_and_a_pulled_story_is_the_last(live: Live) -> None:
    session = live(pace=60)
    turn(session)
    ask_to_stop(session, "story")
    text = {"title": "Harbour closed", "text": "The harbour is closed.", "now": True}
    commands.run("story.break_in", session.owner, session, text)
    assert (state_of(session), states(session)) == ("live", ["aired", "airing"])
    on_air = Story.objects.get(session=session, state="airing")
    commands.run("story.kill", session.owner, session, {"story": on_air.pk})
    assert (state_of(session), states(session)) == ("idle", ["aired", "killed"])
    assert list(audits.run()) == []


def test_with_nothing_to_wait_for_a_stop_is_soon_or_at_once(live: Live, session: Session) -> None:
    on_air = live("full-control")
    ask_to_stop(on_air, "story")
    assert ending(on_air) == ("now", True, "olga")
    press(on_air, "stop")
    assert (state_of(on_air), ending(on_air)) == ("idle", None)
    run_in(session, State.ERROR)
    ask_to_stop(session, "now")
    assert state_of(session) == "idle"
    with pytest.raises(Conflict):
        ask_to_stop(session, "now")
