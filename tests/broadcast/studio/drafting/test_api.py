"""The writers' room by the API, and a finished draft on its way to the air."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from broadcast.models import Airing, Broadcast
from sessions_app import audits, commands
from sessions_app.background import steps, sweeper
from sessions_app.errors import Conflict
from sessions_app.models import Session
from stories.models import Draft, DraftMessage, DraftVersion, Story
from tests.api_clients import Api
from tests.conftest import MakeSession, run_due_steps
from tests.stories.drafting.draft_factory import finished, press, read_posts, started, turn

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]
ORDER = {"keywords": ["ferry"], "words": 60}


@pytest.fixture
def studio(make_session: MakeSession) -> Session:
    session = make_session(model="extractive")
    read_posts(session)
    return session


@pytest.fixture
def api(studio: Session) -> Api:
    return Api(studio.owner)


def air(draft: Draft) -> Story:
    found: Story = press(draft.session, "air", draft=draft.pk)
    return found


def test_a_draft_is_started_followed_and_read(studio: Session, api: Api) -> None:
    status, made = api.post(f"/sessions/{studio.pk}/drafts", ORDER)
    assert (status, made["state"], made["words"], made["language"]) == (201, "running", 60, "en")
    finished(Draft.objects.get())
    draft = api.get(f"/drafts/{made['id']}")
    versions = api.get(f"/drafts/{made['id']}/versions")
    assert (draft["state"], draft["progress"]) == ("finished", 100)
    assert draft["text"] == versions["items"][0]["text"] != ""
    assert versions["next"] is None
    roles = [each["role"] for each in api.get(f"/drafts/{made['id']}/messages")["items"]]
    assert (roles[0], roles[-1]) == ("expert", "researcher")
    assert [each["id"] for each in api.get(f"/sessions/{studio.pk}/drafts")["items"]] == [
        made["id"]
    ]


def test_pages_of_turns_are_walked_by_key(studio: Session, api: Api) -> None:
    draft = finished(started(studio))
    pages = list(api.walk(f"/drafts/{draft.pk}/messages", 3))
    turns = [each["turn"] for page in pages for each in page]
    assert turns == list(range(draft.turns, 0, -1))


def test_a_repeated_order_is_one_draft(studio: Session, api: Api) -> None:
    path = f"/sessions/{studio.pk}/drafts"
    answers = [api.post(path, ORDER, **{"Idempotency-Key": "one"}) for _ in range(2)]
    assert answers[0] == answers[1]
    assert Draft.objects.count() == 1
    assert api.post(path, ORDER | {"words": 90}, **{"Idempotency-Key": "one"})[0] == 422


def test_a_fourth_open_draft_is_refused_by_the_api(studio: Session, api: Api) -> None:
    statuses = [api.post(f"/sessions/{studio.pk}/drafts", ORDER)[0] for _ in range(4)]
    assert statuses == [201, 201, 201, 409]


def test_a_draft_is_commanded_by_the_api(studio: Session, api: Api) -> None:
    draft = turn(started(studio), 4)
    path = f"/drafts/{draft.pk}"
    assert api.post(path, {"command": "stop"})[1]["note_code"] == "stopped"
    assert api.post(path, {"command": "resume"})[1]["state"] == "running"
    wish = api.post(path, {"command": "advise", "text": "Stress the engines."})[1]["wishes"]
    assert wish == [{"text": "Stress the engines.", "turn": 4}]
    finished(draft)
    assert api.post(path, {"command": "restore", "version": 1})[1]["version"] == 3
    assert api.post(path, {"command": "air"})[1]["story_id"] == Story.objects.get().pk


def test_a_comment_is_listed_and_decided_on_by_the_api(studio: Session, api: Api) -> None:
    draft = turn(started(studio), 4)
    path = f"/drafts/{draft.pk}"
    assert api.get(f"{path}/comments") == {"items": [], "next": None}
    remark = {"about": "style", "where": "The ferry", "wish": "Be exact.", "instead": "The boat"}
    message = DraftMessage.objects.filter(draft=draft).latest("turn")
    message.payload = {"version": 1, "remarks": [remark]}
    message.link = None
    message.save()
    DraftVersion.objects.filter(draft=draft).update(text="The ferry was late.")
    [comment] = api.get(f"{path}/comments")["items"]
    assert comment | {"role": ""} == {
        "number": 1,
        "role": "",
        "about": "style",
        "text": "Be exact.",
        "where": "The ferry",
        "instead": "The boat",
        "wish": True,
        "state": "open",
    }
    decision = {"command": "decide", "version": 1, "comment": 1, "decision": "accept"}
    assert api.post(path, decision)[1]["version"] == 2
    assert api.get(path)["text"] == "The boat was late."
    assert api.get(f"{path}/comments")["items"][0]["state"] == "accepted"
    assert api.post(path, decision)[0] == 409


@pytest.mark.parametrize(
    "body",
    [
        {"command": "advise"},
        {"command": "restore"},
        {"command": "x"},
        {"command": "decide", "version": 1, "comment": 1},
    ],
)
def test_a_command_without_what_it_needs_is_refused(
    studio: Session, api: Api, body: dict[str, Any]
) -> None:
    assert api.post(f"/drafts/{started(studio).pk}", body)[0] == 422


def test_an_edit_of_an_older_version_is_answered_with_the_latest(studio: Session, api: Api) -> None:
    draft = turn(started(studio), 4)
    path, edit = f"/drafts/{draft.pk}", {"version": 1, "title": "By hand", "text": "One word more."}
    assert api.call("PATCH", path, edit).status_code == 200
    answer = api.call("PATCH", path, edit | {"text": "Another word."})
    assert answer.status_code == 409
    assert answer.json()["latest"]["text"] == "One word more."  # type: ignore[attr-defined]
    assert DraftVersion.objects.filter(author="human").count() == 1


def test_what_the_agents_cost_is_told_by_draft(studio: Session, api: Api) -> None:
    draft = api.get(f"/drafts/{finished(started(studio)).pk}")
    assert draft["cost"] == {"lower": "0", "upper": "0", "unpriced": 0}
    assert draft["tokens"] == {"input": 0, "output": 0}


def test_the_text_of_a_session_is_its_latest_finished_draft(studio: Session, api: Api) -> None:
    draft = finished(started(studio))
    found = api.get(f"/sessions/{studio.pk}/story")
    assert (found["source"], found["draft_id"]) == ("draft", draft.pk)
    assert found["word_count"] == DraftVersion.objects.latest("number").word_count


def test_without_a_draft_the_text_is_what_was_told_in_order(
    studio: Session, api: Api, go_live: GoLive
) -> None:
    assert api.get(f"/sessions/{studio.pk}/story")["word_count"] == 0
    go_live(studio)
    run_due_steps(studio)
    found = api.get(f"/sessions/{studio.pk}/story")
    told = list(Story.objects.filter(state__in=("airing", "aired")).order_by("id"))
    places = [found["text"].index(each.narrative) for each in told]
    assert places == sorted(places)
    assert found["word_count"] > 0


def test_a_finished_draft_becomes_a_story_of_its_own_origin(studio: Session) -> None:
    draft = finished(started(studio, style="comment"))
    story = air(draft)
    assert (story.origin, story.draft, story.tone, story.state) == (
        "draft",
        draft,
        "opinion",
        "written",
    )
    # Listeners hear the passages of a dossier, not its headings.
    text = draft.versions.latest("number").text
    passages = text.partition("Timeline\n\n")[2].partition("\n\nOpen questions")[0]
    assert story.narrative == passages
    assert "the demo recording: " in passages
    with pytest.raises(Conflict, match="is already a story"):
        air(draft)
    assert list(audits.run()) == []


def test_only_a_finished_draft_goes_on_air(studio: Session) -> None:
    with pytest.raises(Conflict, match="finished draft"):
        air(turn(started(studio), 4))


@pytest.mark.parametrize(
    ("mode", "aired"), [("hands-free", True), ("balanced", True), ("full-control", False)]
)
@pytest.mark.slow
def test_the_control_mode_decides_when_a_draft_airs(
    make_session: MakeSession, go_live: GoLive, mode: str, aired: bool
) -> None:
    session = make_session(model="extractive", control_mode=mode)
    read_posts(session)
    draft = finished(started(session))
    go_live(session)
    run_due_steps(session, "narrate", most=1)
    Airing.objects.filter(finished_at=None).update(finish_at=steps.now())
    story = air(draft)
    run_due_steps(session)
    assert Airing.objects.filter(story=story).exists() == aired


def test_drafts_of_a_session_that_is_not_idle_never_expire(
    studio: Session, go_live: GoLive
) -> None:
    draft = turn(started(studio), 2)
    go_live(studio)
    long_ago = steps.now() - timedelta(days=1)
    Draft.objects.update(active_at=long_ago)
    sweeper.sweep()
    assert Draft.objects.get().state == "running"
    commands.run("broadcast.stop", studio.owner, studio, {})
    sweeper.sweep()
    assert Draft.objects.get(pk=draft.pk).state == "expired"


def test_a_stranger_finds_no_draft(studio: Session, stranger: User) -> None:
    draft = started(studio)
    other = Api(stranger)
    for path in ("", "/versions", "/messages"):
        assert other.call("GET", f"/drafts/{draft.pk}{path}").status_code == 404
