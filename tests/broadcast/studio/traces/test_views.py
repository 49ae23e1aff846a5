"""The flow inspector as people and programs see it: pages, API and commands."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from broadcast import figures
from broadcast.trace import queries
from broadcast.trace.hops import Mark, Name
from broadcast.trace.queries import brief
from sessions_app.models import Session, SessionEvent
from stories.models import SourcePost, Story, TokenUsage
from stories.quarantine import records
from tests.api_clients import Api
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def address(session: Session, more: str = "") -> str:
    return f"/broadcast/{session.pk}/trace/{more}"


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text(answer)))


def shown(answer: Any) -> list[int]:
    """The stories on the page, as they stand."""
    return [int(found) for found in re.findall(r'href="[^"]+/trace/(\d+)/"', text(answer))]


def manage(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out, stderr=StringIO())
    return out.getvalue()


def break_one(session: Session) -> Story:
    story = Story.objects.filter(session=session).earliest("pk")
    SessionEvent.objects.filter(type="story.written", payload__story__id=story.pk).delete()
    return story


def test_an_empty_session_says_how_it_begins(browser: Client, session: Session) -> None:
    assert "This session has no stories yet." in words(browser.get(address(session)))


def test_the_latest_stories_stand_with_their_verdicts(traced: Session, browser: Client) -> None:
    story = break_one(traced)
    answer = browser.get(address(traced))
    newest_first = Story.objects.order_by("-pk").values_list("pk", flat=True)
    assert shown(answer) == list(newest_first)
    assert text(answer).count('data-verdict="INTACT"') == len(newest_first) - 1
    assert "At “published”: Its event is missing." in words(answer)
    assert text(answer).count('class="trace-dot"') == 9 * len(newest_first)
    assert story.title in text(answer)


def test_the_broken_ones_are_shown_alone(traced: Session, browser: Client) -> None:
    assert "No broken traces." in words(browser.get(address(traced, "?broken=1")))
    story = break_one(traced)
    answer = browser.get(address(traced, "?broken=1"))
    assert shown(answer) == [story.pk]
    assert "looked at, 1 broken" in words(answer)


def test_stories_are_paged_by_key(
    traced: Session, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries.page, "__defaults__", (2,))
    first = browser.get(address(traced))
    assert len(shown(first)) == 2
    (older,) = re.findall(r'href="(\?before=\d+)"', text(first))
    assert shown(browser.get(address(traced, older)))[0] < shown(first)[-1]
    assert "There are no older stories." in words(browser.get(address(traced, "?before=1")))


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "%00"])
def test_a_page_that_nobody_offered_is_the_first_one(
    traced: Session, browser: Client, before: str
) -> None:
    assert shown(browser.get(address(traced, f"?before={before}")))


def test_the_way_of_a_story_is_drawn_over_its_table(traced: Session, browser: Client) -> None:
    story = Story.objects.earliest("pk")
    answer = browser.get(address(traced, f"{story.pk}/"))
    rows = re.findall(r'<tr id="(\w+)" data-mark="(\w+)"', text(answer))
    assert [name for name, _ in rows] == list(Name)
    assert text(answer).count('class="trace-node"') == 9
    assert text(answer).count('class="trace-joint"') == 6
    assert "INTACT" in words(answer)
    assert "Off air" in words(answer)
    assert "LIVE, run 1" in words(answer)
    assert "No model calls for this story" in words(answer)


def test_a_broken_way_says_where_and_why(traced: Session, browser: Client) -> None:
    story = break_one(traced)
    answer = browser.get(address(traced, f"{story.pk}/"))
    assert "BROKEN at “published”: Its event is missing." in words(answer)
    assert '<tr id="published" data-mark="broken">' in text(answer)


def test_what_a_model_cost_stands_on_the_page(traced: Session, browser: Client) -> None:
    story = Story.objects.earliest("pk")
    assert story.post is not None
    TokenUsage.objects.create(
        session=traced,
        post=story.post,
        operation="narrate",
        model="claude-haiku-4-5",
        state="final",
        max_tokens=9,
        input_tokens=1234,
        cost_lower=12_300_000_000,
        cost_upper=12_300_000_000,
        error="overloaded",
    )
    TokenUsage.objects.update(created_at=story.created_at)
    said = words(browser.get(address(traced, f"{story.pk}/")))
    assert "claude-haiku-4-5 narrate final: overloaded 1,234 0 $0.0123" in said


def test_a_trace_of_no_story_is_not_found(traced: Session, browser: Client) -> None:
    assert browser.get(address(traced, "99999/")).status_code == 404


def test_cards_and_session_pages_lead_to_the_traces(traced: Session, browser: Client) -> None:
    story = Story.objects.latest("pk")
    center = text(browser.get(f"/broadcast/{traced.pk}/"))
    assert f'href="{address(traced)}"' in center
    assert f'href="{address(traced, f"{story.pk}/")}"' in center
    assert f'href="{address(traced)}"' in text(browser.get(f"/sessions/{traced.pk}/"))


def test_a_page_costs_the_same_at_any_length(
    traced: Session,
    browser: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Any,
) -> None:
    browser.get(address(traced))
    for most in (1, 3):
        monkeypatch.setattr(queries.page, "__defaults__", (most,))
        with django_assert_num_queries(13):
            browser.get(address(traced))


def test_a_program_reads_the_same(traced: Session) -> None:
    story, api = break_one(traced), Api(traced.owner)
    walked = [item for page in api.walk(f"/sessions/{traced.pk}/trace", 2) for item in page]
    assert len(walked) == Story.objects.count()
    one = api.get(f"/sessions/{traced.pk}/trace/{story.pk}")
    assert one == walked[-1]
    assert one["broken"] == {"hop": "published", "reason": "Its event is missing."}
    assert [hop["name"] for hop in one["hops"]] == list(Name)
    assert one["hops"][3]["step"]["kind"] == "narrate"
    missing = api.call("GET", f"/sessions/{traced.pk}/trace/99999")
    assert missing.status_code == 404


def test_the_command_tells_each_hop_and_ends_with_intact(traced: Session) -> None:
    told_ = manage("trace_session", str(traced.pk), "--last", "2")
    lines = told_.splitlines()
    assert len(lines) == 2 * 10 + 1
    assert [line.split()[0] for line in lines[1:10]] == list(Name)
    assert lines[-1] == "INTACT: 2 stories"


def test_the_command_ends_with_broken_and_the_hop(traced: Session) -> None:
    story = break_one(traced)
    with pytest.raises(CommandError, match=rf"^BROKEN at published of story {story.pk}: Its"):
        manage("trace_session", str(traced.pk), "--last", "99")
    with pytest.raises(CommandError, match=r"\(1 of 1 stories\)$"):
        manage("trace_session", str(traced.pk), "--story", str(story.pk))


def test_the_command_writes_a_line_of_json_for_each_story(traced: Session) -> None:
    lines = manage("trace_session", str(traced.pk), "--json").splitlines()
    assert {json.loads(line)["verdict"] for line in lines} == {"INTACT"}
    assert len(lines) == Story.objects.count()


def test_the_command_says_what_is_not_there(session: Session) -> None:
    assert manage("trace_session", str(session.pk)) == "INTACT: 0 stories\n"
    with pytest.raises(CommandError, match="no such story"):
        manage("trace_session", str(session.pk), "--story", "7")
    with pytest.raises(CommandError, match="no such session"):
        manage("trace_session", str(uuid4()))


def test_a_thousand_stories_are_read_in_batches(
    traced: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOOKED_AT", 2)
    assert len(list(queries.latest(traced, 1000))) == Story.objects.count() > 2


def test_the_drawing_passes_over_what_is_not_on_the_way(traced: Session) -> None:
    drawn = queries.draw(next(queries.latest(traced, 1)).hops)
    small = [node.name for node in drawn.nodes if node.mark == Mark.APART]
    assert small == ["asked", "answered"]
    assert len(drawn.joints) == 6
    assert all(0 <= node.x <= drawn.width for node in drawn.nodes)
    assert all(joint.took for joint in drawn.joints)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 ms"),
        (0.12, "120 ms"),
        (3.21, "3.2 s"),
        (250, "4 min 10 s"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_lengths_are_brief(seconds: float, said: str) -> None:
    assert brief(timedelta(seconds=seconds)) == said


def test_the_distribution_has_shares_first_and_last(
    traced: Session, make_session: MakeSession
) -> None:
    make_session("Evening", recording=False)
    records.put("story", {"narrative": "x"}, old_session="", old_id="1", reason="No home.")
    found = json.loads(manage("inspect_sessions", "--json"))
    most, none = found["rows"]
    assert (most["id"], most["stories"], most["share"]) == (
        str(traced.pk),
        Story.objects.count(),
        1.0,
    )
    assert most["first"] < most["last"]
    assert (none["stories"], none["share"], none["first"]) == (0, 0.0, None)
    assert (found["records"], found["groups"][0]["reason"]) == (1, "No home.")


def test_the_command_draws_a_bar_for_each_share(traced: Session) -> None:
    assert re.search(rf"{traced.pk}.*100\.0 %  #{{20}} ", manage("inspect_sessions"))


def test_the_staff_see_how_stories_are_spread(
    traced: Session, editor: User, client_of: Callable[[User], Client]
) -> None:
    said = words(client_of(editor).get("/settings/stories/"))
    assert f"{Story.objects.count()} stories in 1 session" in said
    assert "Morning olga broadcast" in said
    assert 'href="/settings/stories/"' in text(client_of(editor).get("/settings/"))


def test_nobody_else_sees_the_sessions_of_all(browser: Client) -> None:
    assert browser.get("/settings/stories/").status_code == 403
    assert 'href="/settings/stories/"' not in text(browser.get("/settings/"))


def test_the_page_of_all_sessions_costs_the_same(
    traced: Session, make_session: MakeSession, django_assert_num_queries: Any
) -> None:
    for number in range(2):
        make_session(f"Evening {number}", recording=False)
        with django_assert_num_queries(3):
            figures.distribution()
    assert figures.distribution(1).others == 2
    assert SourcePost.objects.exists()
