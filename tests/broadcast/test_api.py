"""The JSON API: shapes as promised, errors as {code, detail}, retries without a second effect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.rate_limits import TooMany
from stories.models import Source, StoryReport, TokenUsage
from stories.sources import registry
from stories.sources.http_client import GuardedClient
from stories.sources.rss import RssSource
from tests.api_clients import Api
from tests.conftest import MakeSession, make_post, run_due_steps
from tests.database_snapshots import made_once
from tests.standins.feeds import FeedStandIn

pytestmark = pytest.mark.django_db(transaction=True)

RECORDING = {"kind": "recording", "locator": "demo"}
WANTED: dict[str, Any] = {"name": "Morning", "sources": [RECORDING]}
LISTS = ("stories", "posts", "usage", "events")
SESSION = {
    "id",
    "name",
    "type",
    "status",
    "visible",
    "settings",
    "budget_usd",
    "created_at",
    "expires_at",
    "made_from",
    "watch_url",
}
STATS = {
    "story_count",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_saved",
    "total_cost",
    "cost_bounds",
    "avg_story_length",
    "total_duration",
    "last_story_at",
    "message_count",
    "feed",
    "queue",
    "broadcast_state",
    "hold",
}
STORY = {
    "id",
    "title",
    "narrative",
    "tone",
    "priority",
    "sentiment",
    "topics",
    "word_count",
    "duration",
    "state",
    "origin",
    "created_at",
    "post",
}
POST = {"id", "external_id", "source", "title", "url", "state", "priority", "parts"}
USAGE = {
    "id",
    "attempt",
    "operation",
    "model",
    "state",
    "exact",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cost",
    "lower",
    "upper",
    "story_id",
}
EVENT = {"seq", "type", "at", "data"}


@pytest.fixture
def api(owner: User) -> Api:
    return Api(owner)


@pytest.fixture
@made_once
def on_air(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """A session on air with some stories."""
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, most=12)
    TokenUsage.objects.create(session=session, operation="narrate", model="m", max_tokens=1)
    return session


def test_a_session_is_made_with_its_sources_and_settings(api: Api) -> None:
    settings = {"pace": 0, "personality": "formal", "control_mode": "balanced"}
    status, found = api.post("/sessions", {**WANTED, "settings": settings, "budget_usd": "1.50"})
    assert (status, set(found)) == (201, SESSION)
    assert {name: found["settings"][name] for name in settings} == settings
    assert (found["name"], found["status"], found["visible"]) == ("Morning", "active", False)
    assert (found["budget_usd"], found["watch_url"]) == ("1.5", None)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"name": ""}, "name"),
        ({"sources": [{"kind": "television"}]}, "kind"),
        ({"settings": {"pace": -1}}, "pace"),
        ({"settings": {"pace": 30}}, "pace"),
        ({"settings": {"control_mode": "none"}}, "control_mode"),
        ({"budget_usd": "-1"}, "budget_usd"),
        ({"color": "red"}, "color"),
    ],
)
def test_a_wrong_session_is_refused_naming_the_field(
    api: Api, wrong: dict[str, Any], named: str
) -> None:
    status, found = api.post("/sessions", {**WANTED, **wrong})
    assert (status, set(found)) == (422, {"code", "detail"})
    assert named in found["detail"].lower()
    assert not Session.objects.exists()


def test_a_body_that_is_no_json_is_refused_in_the_same_shape(api: Api) -> None:
    answer = api.client.post("/api/sessions", "{", content_type="application/json")
    assert answer.status_code in {400, 422}
    assert set(answer.json()) == {"code", "detail"}


def test_a_session_is_read_renamed_shown_and_hidden(api: Api, session: Session) -> None:
    path = f"/sessions/{session.pk}"
    assert set(api.get(path)) == SESSION
    changed = json.loads(api.call("PATCH", path, {"name": "Evening", "visible": True}).content)
    assert changed["name"] == "Evening"
    assert changed["watch_url"].endswith(f"/watch/{session.watch_token}/")
    hidden = json.loads(api.call("PATCH", path, {"visible": False}).content)
    assert hidden["watch_url"] is None


def test_a_change_leaves_alone_what_it_does_not_name(api: Api) -> None:
    _, made = api.post("/sessions", {**WANTED, "settings": {"pace": 200}, "budget_usd": "2"})
    path = f"/sessions/{made['id']}"
    api.call("PATCH", path, {"settings": {"language": "de"}})
    found = api.get(path)
    assert (found["settings"]["pace"], found["settings"]["language"]) == (200, "de")
    assert found["budget_usd"] == "2"
    api.call("PATCH", path, {"budget_usd": None})
    assert api.get(path)["budget_usd"] is None


def test_a_clone_has_settings_and_sources_but_no_stories(on_air: Session, api: Api) -> None:
    status, found = api.post(f"/sessions/{on_air.pk}/clone", {"name": "Again"})
    assert (status, found["name"]) == (201, "Again")
    assert found["settings"] == api.get(f"/sessions/{on_air.pk}")["settings"]
    assert api.get(f"/sessions/{found['id']}/stats")["story_count"] == 0
    assert api.post(f"/sessions/{found['id']}/broadcast", {"command": "start"})[0] == 202


def test_a_clone_needs_no_body(api: Api, session: Session) -> None:
    answer = api.call("POST", f"/sessions/{session.pk}/clone")
    assert answer.status_code == 201
    assert json.loads(answer.content)["name"] == "Morning (copy)"


def test_a_session_is_archived_and_restored(api: Api, session: Session) -> None:
    assert api.post(f"/sessions/{session.pk}/archive")[1]["status"] == "archived"
    assert api.post(f"/sessions/{session.pk}/broadcast", {"command": "start"})[0] == 409
    assert api.post(f"/sessions/{session.pk}/restore")[1]["status"] == "active"


def test_a_broadcast_is_started_and_stopped(api: Api, session: Session) -> None:
    path = f"/sessions/{session.pk}/broadcast"
    assert api.post(path, {"command": "start"}) == (202, {"state": "starting", "run": 1})
    assert api.post(path, {"command": "stop"}) == (202, {"state": "idle", "run": 1})
    assert api.post(path, {"command": "start"})[1]["run"] == 2


def test_a_stop_that_can_be_undone_leaves_the_run_live(on_air: Session, api: Api) -> None:
    path = f"/sessions/{on_air.pk}/broadcast"
    for command in ("stop_soon", "undo_stop", "stop_after_story"):
        assert api.post(path, {"command": command}) == (202, {"state": "live", "run": 1}), command
    assert api.post(path, {"command": "stop"}) == (202, {"state": "stopping", "run": 1})
    assert api.post(path, {"command": "undo_stop"})[0] == 409


@pytest.mark.parametrize("command", ["stop", "recover"])
def test_what_does_not_fit_the_state_is_a_409_that_names_it(
    api: Api, session: Session, command: str
) -> None:
    status, found = api.post(f"/sessions/{session.pk}/broadcast", {"command": command})
    assert status == 409
    assert set(found) == {"code", "detail", "state"}
    assert found["state"] == "idle"


def test_a_second_start_is_a_409(on_air: Session, api: Api) -> None:
    status, found = api.post(f"/sessions/{on_air.pk}/broadcast", {"command": "start"})
    assert (status, found["state"]) == (409, "live")
    assert "live already" in found["detail"]


def test_an_unknown_command_is_refused(api: Api, session: Session) -> None:
    assert api.post(f"/sessions/{session.pk}/broadcast", {"command": "explode"})[0] == 422


def test_figures_have_every_field_and_equal_the_rows(on_air: Session, api: Api) -> None:
    found = api.get(f"/sessions/{on_air.pk}/stats")
    stories = api.get(f"/sessions/{on_air.pk}/stories?limit=500")["items"]
    assert set(found) >= STATS
    assert found["broadcast_state"] == "live"
    assert found["story_count"] == len(stories) > 0
    words = sum(story["word_count"] for story in stories)
    assert found["avg_story_length"] == pytest.approx(words / len(stories), abs=0.05)
    assert found["total_duration"] == sum(story["duration"] for story in stories)
    assert found["total_cost"] == "0"
    assert found["cost_bounds"] == {"lower": "0", "upper": "0"}
    assert isinstance(found["message_count"], int)


@pytest.mark.parametrize(
    ("what", "fields"), [("stories", STORY), ("posts", POST), ("usage", USAGE), ("events", EVENT)]
)
def test_rows_have_every_field_that_is_promised(
    on_air: Session, api: Api, what: str, fields: set[str]
) -> None:
    page = api.get(f"/sessions/{on_air.pk}/{what}")
    assert set(page) == {"items", "next"}
    assert page["items"]
    assert all(fields <= set(row) for row in page["items"])


def test_a_story_names_its_post_and_where_it_came_from(on_air: Session, api: Api) -> None:
    story = api.get(f"/sessions/{on_air.pk}/stories?limit=1")["items"][0]
    assert set(story["post"]) == {
        "id",
        "external_id",
        "source",
        "outlet",
        "title",
        "url",
    }


def test_a_reserved_row_has_no_price_yet_and_counts_nothing(on_air: Session, api: Api) -> None:
    (row,) = api.get(f"/sessions/{on_air.pk}/usage")["items"]
    assert (row["exact"], row["cost"]) == (False, row["lower"])
    assert api.get(f"/sessions/{on_air.pk}/stats")["total_tokens"] == 0


@pytest.mark.parametrize("what", LISTS)
def test_a_cursor_walks_all_rows_once_newest_first(on_air: Session, api: Api, what: str) -> None:
    key = "seq" if what == "events" else "id"
    whole = [row[key] for row in api.get(f"/sessions/{on_air.pk}/{what}?limit=500")["items"]]
    assert whole == sorted(whole, reverse=True)
    # With the second limit the last page has one row.
    for limit in (3, max(1, len(whole) - 1)):
        pages = list(api.walk(f"/sessions/{on_air.pk}/{what}", limit))
        assert [row[key] for page in pages for row in page] == whole
        assert all(len(page) <= limit for page in pages)


def test_a_cursor_walks_all_sessions_once_newest_first(api: Api, make_session: MakeSession) -> None:
    made = [str(make_session(str(number), recording=False).pk) for number in range(7)]
    found = [row["id"] for page in api.walk("/sessions", 2) for row in page]
    assert found == made[::-1]


def test_the_cursor_holds_its_place_while_rows_are_added(api: Api, session: Session) -> None:
    for number in range(4):
        recorder.add_message(session, "system", str(number))
    first = api.get(f"/sessions/{session.pk}/events?limit=2")
    recorder.add_message(session, "system", "late")
    then = api.get(f"/sessions/{session.pk}/events?limit=2&cursor={first['next']}")
    assert then["items"][0]["seq"] == first["items"][-1]["seq"] - 1


def test_no_page_is_longer_than_500_rows(api: Api, session: Session) -> None:
    for number in range(502):
        recorder.add_message(session, "system", str(number))
    page = api.get(f"/sessions/{session.pk}/events?limit=100000")
    assert len(page["items"]) == 500
    assert page["next"] is not None


@pytest.mark.parametrize("limit", ["0", "-5"])
def test_a_limit_below_one_is_one(on_air: Session, api: Api, limit: str) -> None:
    assert len(api.get(f"/sessions/{on_air.pk}/events?limit={limit}")["items"]) == 1


@pytest.mark.parametrize("cursor", ["nonsense", "-1", "1.5", "2026_x", "\N{SUPERSCRIPT TWO}"])
def test_a_cursor_that_we_never_gave_is_refused(api: Api, session: Session, cursor: str) -> None:
    for path in ("/sessions", *(f"/sessions/{session.pk}/{what}" for what in LISTS)):
        answer = api.call("GET", f"{path}?cursor={cursor}")
        assert answer.status_code == 422, path
        assert set(json.loads(answer.content)) == {"code", "detail"}


def test_the_newest_page_costs_the_same_few_queries(
    on_air: Session, api: Api, django_assert_max_num_queries: Any
) -> None:
    # How many posts repeat a story depends on when the source was read; their posts take one query.
    reported = StoryReport.objects.filter(session=on_air).exists()
    with django_assert_max_num_queries(7 if reported else 6):
        api.get(f"/sessions/{on_air.pk}/stories?limit=500")


def test_a_source_is_added_once(api: Api, make_session: MakeSession) -> None:
    session = make_session(recording=False)
    status, found = api.post(f"/sessions/{session.pk}/sources", RECORDING)
    assert (status, found["kind"], found["locator"]) == (201, "recording", "demo")
    assert api.post(f"/sessions/{session.pk}/sources", RECORDING)[0] == 409


def test_a_source_is_tested_without_being_added(
    api: Api, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(recording=False)
    path = f"/sessions/{session.pk}/sources/test"
    status, found = api.post(path, {"locator": "\u201cdemo\u201d"})
    assert (status, found["ok"], found["posts"], found["feeds"]) == (200, True, 6, [])
    assert found["sentence"] == "Fetched 6 posts, newest 1 minute ago."
    assert found["newest_at"].endswith("Z")
    client = GuardedClient(allow_private=True, user_agent="smnb-tests", deadline=5)
    monkeypatch.setitem(registry._adapters(), "rss", RssSource(client))
    with FeedStandIn() as site:
        links = "".join(
            f'<link rel="alternate" type="application/rss+xml" title="{title}" href="/{title}">'
            for title in ("News", "Sport")
        )
        kind = [("Content-Type", b"text/html")]
        home = site.answer("/home", 200, kind, f"<html>{links}".encode())
        status, found = api.post(path, {"locator": home})
        assert (status, found["ok"], found["newest_at"]) == (200, False, None)
        assert found["feeds"] == [
            {"url": f"{site.url}/News", "title": "News"},
            {"url": f"{site.url}/Sport", "title": "Sport"},
        ]
    assert not Source.objects.exists()


def test_a_source_needs_no_kind(api: Api, make_session: MakeSession) -> None:
    session = make_session(recording=False)
    pasted = {"locator": "https://old.reddit.com/r/science/top/?t=week"}
    status, found = api.post(f"/sessions/{session.pk}/sources", pasted)
    assert (status, found["kind"], found["locator"]) == (201, "reddit", "r/science")
    assert Source.objects.get().sort == "top"


def test_a_recording_is_looped_by_the_api(session: Session, api: Api) -> None:
    path = f"/sessions/{session.pk}/sources/loop"
    Source.objects.update(health="finished", note="All posts of the recording were read.")
    status, looped = api.post(path, {})
    assert status == 200
    assert [(each["kind"], each["health"], each["note"]) for each in looped["items"]] == [
        ("recording", "new", "")
    ]
    assert Source.objects.get().cursor["loop"] is True
    Source.objects.update(enabled=False)
    assert api.post(path, {})[0] == 409


def test_sources_are_listed_reordered_and_removed(api: Api, make_session: MakeSession) -> None:
    session = make_session()
    path = f"/sessions/{session.pk}/sources"
    subreddit = api.post(path, {"locator": "r/science"})[1]
    listed = api.get(path)
    assert [each["locator"] for each in listed["items"]] == ["demo", "r/science"]
    assert (listed["items"][1]["sort"], listed["next"]) == ("hot", None)

    def change(source: int, sort: str) -> tuple[int, Any]:
        answer = api.call("PATCH", f"{path}/{source}", {"sort": sort})
        return answer.status_code, json.loads(answer.content)

    Source.objects.filter(pk=subreddit["id"]).update(cursor={"before": "t3_x"})
    status, changed = change(subreddit["id"], "new")
    assert (status, changed["sort"]) == (200, "new")
    assert Source.objects.get(pk=subreddit["id"]).cursor == {}
    assert change(listed["items"][0]["id"], "new")[0] == 422
    assert change(subreddit["id"], "random")[0] == 422
    api.post(path, {"locator": "r/science", "sort": "top"})
    assert change(subreddit["id"], "top")[0] == 409
    answer = api.call("DELETE", f"{path}/{subreddit['id']}")
    assert (answer.status_code, json.loads(answer.content)["enabled"]) == (200, False)
    assert [each["sort"] for each in api.get(path)["items"]] == ["", "top"]
    assert api.call("DELETE", f"{path}/{subreddit['id']}").status_code == 404


def test_interests_are_listed_changed_and_removed(api: Api, session: Session) -> None:
    path = f"/sessions/{session.pk}/interests"
    status, added = api.post(path, {"text": "Tides"})
    assert (status, added) == (201, {"id": added["id"], "text": "Tides", "weight": "more"})
    answer = api.call("PATCH", f"{path}/{added['id']}", {"weight": "less"})
    assert json.loads(answer.content) == {**added, "weight": "less"}
    assert api.get(path) == {"items": [{**added, "weight": "less"}], "next": None}
    assert api.call("DELETE", f"{path}/{added['id']}").status_code == 200
    assert api.get(path)["items"] == []
    assert api.call("PATCH", f"{path}/{added['id']}", {"weight": "less"}).status_code == 404


def test_the_schedule_is_listed_changed_and_removed(api: Api, session: Session) -> None:
    path = f"/sessions/{session.pk}/schedule"
    times = {"days": ["mon", "tue"], "on_at": "09:00", "off_at": "08:00", "zone": "Europe/Berlin"}
    status, added = api.post(path, {**times, "enabled": False})
    assert (status, added["days"], added["over_midnight"]) == (201, ["mon", "tue"], True)
    answer = api.call("PATCH", f"{path}/{added['id']}", {"off_at": "17:30", "days": ["sun"]})
    changed = json.loads(answer.content)
    assert (changed["off_at"], changed["days"], changed["on_at"]) == ("17:30", ["sun"], "09:00")
    assert [each["id"] for each in api.get(path)["items"]] == [added["id"]]
    assert api.call("PATCH", f"{path}/{added['id']}", {"zone": "Mars"}).status_code == 422
    assert json.loads(api.call("DELETE", f"{path}/{added['id']}").content) == {"id": added["id"]}
    assert api.get(path)["items"] == []


def test_stories_and_posts_are_searched(api: Api, session: Session, source: Source) -> None:
    post = make_post(source, "a", "A lighthouse is lit again", "The keeper was glad.")
    make_post(source, "b", "Another lighthouse burns")
    make_post(source, "c", "The ferry sails")
    path = f"/sessions/{session.pk}/search"
    found = api.get(f"{path}?what=posts&q=lighthouse+gla")
    assert [each["id"] for each in found["items"]] == [post.pk]
    assert found["items"][0]["title_parts"] == [
        ["A ", False],
        ["lighthouse", True],
        [" is lit again", False],
    ]
    first = api.get(f"{path}?what=posts&q=lighthouse&limit=1")
    second = api.get(f"{path}?what=posts&q=lighthouse&limit=1&cursor={first['next']}")
    assert [each["title"] for each in first["items"] + second["items"]] == [
        "Another lighthouse burns",
        "A lighthouse is lit again",
    ]
    assert second["next"] is None
    assert api.get(f"{path}?q=lighthouse")["items"] == []
    assert api.call("GET", f"{path}?q=x&what=drafts").status_code == 422


def test_a_waiting_story_is_approved_and_only_while_it_waits(
    api: Api, make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=2)
    (story,) = api.get(f"/sessions/{session.pk}/stories")["items"]
    path = f"/sessions/{session.pk}/stories/{story['id']}/veto"
    status, found = api.post(path)
    assert (status, found["state"]) == (200, "vetoed")
    status, found = api.post(path)
    assert (status, found["state"]) == (409, "vetoed")


def test_a_retried_decision_is_answered_as_the_first_time(
    api: Api, make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=2)
    (story,) = api.get(f"/sessions/{session.pk}/stories")["items"]
    path = f"/sessions/{session.pk}/stories/{story['id']}/approve"
    first = api.post(path, None, **{"Idempotency-Key": "k"})
    assert first[0] == 200
    assert api.post(path, None, **{"Idempotency-Key": "k"}) == first


@pytest.mark.parametrize("story", ["0", "999999", "nonsense"])
def test_a_story_that_is_not_there_cannot_be_decided(
    api: Api, session: Session, story: str
) -> None:
    status, found = api.post(f"/sessions/{session.pk}/stories/{story}/approve")
    assert status in {404, 422}
    assert set(found) == {"code", "detail"}


def test_who_asks_too_often_is_told_when_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise TooMany("At most 60 writes in 60 s.", after=17)

    monkeypatch.setattr("sessions_app.web.api.rate_limits.count", refuse)
    answer = api.call("GET", "/sessions")
    assert (answer.status_code, answer["Retry-After"]) == (429, "17")
    assert json.loads(answer.content)["code"] == "rate_limited"


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_description_lists_every_path_and_all_its_references_hold(api: Api) -> None:
    found = api.get("/openapi.json")
    assert re.fullmatch(r"3\.[01]\.\d", found["openapi"])
    session = "/api/sessions/{session_id}"
    expected = {
        "/api/sessions": {"get", "post"},
        session: {"get", "patch"},
        "/api/health": {"get"},
        f"{session}/clone": {"post"},
        f"{session}/archive": {"post"},
        f"{session}/restore": {"post"},
        f"{session}/broadcast": {"post"},
        f"{session}/stats": {"get"},
        **{f"{session}/{what}": {"get"} for what in LISTS},
    }
    for path, methods in expected.items():
        assert methods <= set(found["paths"][path]), path
    operations = [one["operationId"] for path in found["paths"].values() for one in path.values()]
    assert len(operations) == len(set(operations))
    for reference in references(found):
        node = found
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
