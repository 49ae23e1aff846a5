"""Commands on drafts (start, stop, resume, advise, edit, restore), and their expiry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessions_app import commands
from sessions_app.background import steps, sweeper
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session, SessionEvent, Step
from stories.drafting import boards, drafts, versions, workflow
from stories.drafting.versions import Outdated
from stories.models import BoardKeyword, Draft, DraftVersion
from tests.conftest import MakeSession
from tests.stories.drafting.draft_factory import finished, press, read_posts, started, turn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def studio(make_session: MakeSession) -> Session:
    session = make_session(model="extractive")
    read_posts(session)
    return session


def kinds(session: Session) -> list[str]:
    rows = SessionEvent.objects.filter(session=session, type__startswith="draft.")
    return list(rows.order_by("seq").values_list("type", flat=True))


def age(draft: Draft, minutes: int) -> None:
    rows = Draft.objects.filter(pk=draft.pk)
    rows.update(active_at=steps.now() - timedelta(minutes=minutes))


def save(draft: Draft, base: int, text: str = "A person wrote this, word by word.") -> Any:
    return press(draft.session, "save", draft=draft.pk, version=base, title="By hand", text=text)


def test_a_turn_tells_of_itself_its_version_and_its_milestone(studio: Session) -> None:
    draft = started(studio)
    turn(draft, 4)
    assert kinds(studio) == [
        "draft.changed",
        "draft.message",
        "draft.changed",
        "draft.message",
        "draft.changed",
        "draft.message",
        "draft.progress",
        "draft.changed",
        "draft.message",
        "draft.version",
        "draft.changed",
    ]


def test_the_milestones_are_a_third_and_two_thirds(studio: Session) -> None:
    finished(started(studio))
    rows = SessionEvent.objects.filter(session=studio, type=drafts.PROGRESS).order_by("seq")
    assert [each.payload["milestone"] for each in rows] == [33, 67]
    assert rows[1].payload["checks"]["wanted"] == 60


def test_a_keyword_of_a_board_moves_to_research(studio: Session) -> None:
    commands.run("board.add", studio.owner, studio, {"text": "Ferry"})
    started(studio, keywords=["ferry", "pier"])
    assert BoardKeyword.objects.get(session=studio).board == boards.Board.RESEARCH


@pytest.mark.parametrize(
    "wrong",
    [
        {"keywords": []},
        {"keywords": ["!?"]},
        {"words": 49},
        {"words": 3001},
        {"style": "poem"},
        {"keywords": ["x" * 81]},
        {"language": "no language"},
    ],
)
def test_an_order_that_cannot_be_met_is_refused(studio: Session, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        started(studio, **wrong)
    assert not Draft.objects.exists()


def test_a_session_has_three_open_drafts_at_most(studio: Session) -> None:
    first, *_ = [started(studio) for _ in range(3)]
    with pytest.raises(Conflict, match="3 open drafts"):
        started(studio)
    finished(first)
    started(studio)


def test_a_stopped_draft_rests_until_it_is_resumed(studio: Session) -> None:
    draft = turn(started(studio), 2)
    press(studio, "stop", draft=draft.pk)
    assert turn(draft, 5).turns == 2
    assert press(studio, "resume", draft=draft.pk).state == "running"
    assert finished(draft).turns > 2


def test_a_stop_in_the_middle_of_a_turn_drops_the_turn(
    studio: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = turn(started(studio), 2)
    ask = workflow.ask_agent

    def stop_while_asking(work: workflow.Work) -> workflow.Result:
        done = ask(work)
        press(studio, "stop", draft=draft.pk)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(workflow, "ask_agent", stop_while_asking)
        stopped = turn(draft)
    assert (stopped.state, stopped.note_code, stopped.turns) == ("waiting", "stopped", 2)
    press(studio, "resume", draft=draft.pk)
    assert finished(draft).note == ""


def test_an_edit_in_the_middle_of_a_turn_is_never_written_over(
    studio: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = turn(started(studio), 3)
    ask, edits = workflow.ask_agent, [1]

    def edit_while_asking(work: workflow.Work) -> workflow.Result:
        done = ask(work)
        if edits:
            save(draft, edits.pop() - 1)
        return done

    monkeypatch.setattr(workflow, "ask_agent", edit_while_asking)
    assert (turn(draft).turns, turn(draft).turns) == (3, 4)
    authors = DraftVersion.objects.filter(draft=draft).order_by("number")
    assert list(authors.values_list("author", flat=True)) == ["human", "writer"]
    assert "A person wrote this, word by word." in authors[1].text


def test_what_a_person_wrote_is_not_dropped_for_want_of_a_source(studio: Session) -> None:
    draft = turn(started(studio), 4)
    text = f"{versions.latest(draft).text}\n\nThe whole town came to the pier."  # type: ignore[union-attr]
    save(draft, 1, text)
    finished(draft)
    assert "The whole town came to the pier." in versions.latest(draft).text  # type: ignore[union-attr]


def test_a_wish_is_kept_for_the_next_turn(studio: Session) -> None:
    draft = turn(started(studio), 2)
    press(studio, "advise", draft=draft.pk, text="Stress the engines.")
    assert Draft.objects.get().wishes == [{"text": "Stress the engines.", "turn": 2}]
    finished(draft)
    with pytest.raises(Conflict, match="finished"):
        press(studio, "advise", draft=draft.pk, text="Too late.")


def test_who_edits_an_older_version_is_shown_the_latest(studio: Session) -> None:
    draft = turn(started(studio), 4)
    save(draft, 1)
    with pytest.raises(Outdated) as caught:
        save(draft, 1, "Another person wrote this.")
    assert (caught.value.latest.number, caught.value.state) == (2, "2")
    assert caught.value.latest.text == "A person wrote this, word by word."


def test_an_earlier_version_is_restored_as_a_new_one(studio: Session) -> None:
    draft = finished(started(studio))
    found = press(studio, "restore", draft=draft.pk, version=1)
    assert (found.number, found.reason) == (draft.version + 1, "Restored from version 1")
    assert found.text == DraftVersion.objects.get(draft=draft, number=1).text
    with pytest.raises(Conflict, match="latest version already"):
        press(studio, "restore", draft=draft.pk, version=found.number)


def test_an_idle_draft_expires_once_and_is_resumed_by_its_id(studio: Session) -> None:
    draft = turn(started(studio), 2)
    age(draft, 121)
    sweeper.sweep()
    sweeper.sweep()
    expired = Draft.objects.get()
    assert (expired.state, expired.note_code) == ("expired", "idle")
    assert kinds(studio)[-1] == "draft.changed"
    assert turn(draft).turns == 2
    press(studio, "resume", draft=draft.pk)
    assert finished(draft).turns > 2


@pytest.mark.parametrize("command", ["advise", "save"])
def test_activity_keeps_a_draft_from_expiring(studio: Session, command: str) -> None:
    draft = turn(started(studio), 4)
    age(draft, 121)
    if command == "advise":
        press(studio, "advise", draft=draft.pk, text="Go on.")
    else:
        save(draft, 1)
    sweeper.sweep()
    assert Draft.objects.get().state == "running"


def test_a_finished_text_never_expires(studio: Session) -> None:
    draft = finished(started(studio))
    age(draft, 10_000)
    sweeper.sweep()
    assert Draft.objects.get().state == "finished"


def test_a_running_draft_without_its_step_gets_it_back(studio: Session) -> None:
    draft = turn(started(studio))
    Step.objects.filter(kind=workflow.TURN).update(state="cancelled")
    age(draft, 1)
    sweeper.sweep()
    assert finished(draft).state == "finished"


@pytest.mark.parametrize("command", ["stop", "resume"])
def test_a_draft_of_another_session_does_not_exist(
    studio: Session, make_session: MakeSession, command: str
) -> None:
    other = make_session("Evening")
    draft = started(studio)
    with pytest.raises(NotFound):
        press(other, command, draft=draft.pk)
