"""The page of Live Stats: the same figures as the API, for the owner alone, whole and in parts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from broadcast import statistics
from broadcast.studio.stats.views import all_charts
from sessions_app.models import Bucket, Session
from tests.api_clients import Api
from tests.broadcast_runs import press
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
@made_once
def told(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """A session on air that has told some stories."""
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, most=16)
    return session


@pytest.fixture
def client(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def page(client: Client, session: Session, size: str = "5", **headers: str) -> str:
    answer = client.get(f"/stats/?session={session.pk}&size={size}", headers=headers)
    assert answer.status_code == 200
    return unbroken(answer.content.decode())


def figure(html: str, name: str) -> str:
    found = re.search(rf"<dt>{name}</dt><dd><strong[^>]*>([^<]*)</strong>", html)
    assert found, name
    return found[1]


def test_the_page_has_the_same_figures_as_the_api(
    told: Session, client: Client, owner: User
) -> None:
    press(told, "stop")
    stats, html = Api(owner).get(f"/sessions/{told.pk}/stats"), page(client, told)
    assert figure(html, "Stories") == f"{stats['story_count']:,}" != "0"
    chart = html.split('id="chart-stories"')[1].split("</figure>")[0]
    assert f'<p class="chart-headline">{stats["story_count"]:,}</p>' in chart
    assert figure(html, "Tokens") == f"{stats['total_tokens']:,}"
    assert float(figure(html, "Cost").removeprefix("$")) == float(stats["total_cost"])
    assert f"{stats['feed']:,} posts read" in html
    assert f"{stats['queue']:,} posts waiting" in html


def test_the_newest_session_is_shown_when_none_is_named(told: Session, client: Client) -> None:
    html = client.get("/stats/").content.decode()
    assert f'data-live="/ws/sessions/{told.pk}/"' in html


def test_a_session_of_somebody_else_does_not_exist(
    told: Session, stranger: User, client_of: Callable[[User], Client]
) -> None:
    other = client_of(stranger)
    assert other.get(f"/stats/?session={told.pk}").status_code == 404
    assert other.get(f"/stats/?session={uuid4()}").status_code == 404
    assert b"No sessions yet" in other.get("/stats/").content


def test_without_a_session_the_page_says_what_to_do(client: Client) -> None:
    html = client.get("/stats/").content.decode()
    assert "No sessions yet." in html
    assert "data-live" not in html


def test_without_figures_the_page_says_what_to_do(client: Client, session: Session) -> None:
    html = page(client, session)
    assert "This session has no figures yet." in html
    assert "Open in Broadcast Center" in html


@pytest.mark.parametrize("size", [1, 5, 15, 60])
def test_the_size_is_switched_by_links(told: Session, client: Client, size: int) -> None:
    html = page(client, told, str(size))
    links = re.findall(r'<a href="/stats/\?session=[^"]*size=(\d+)"( aria-current="true")?', html)
    assert [each for each, _ in links] == ["1", "5", "15", "60"]
    assert [each for each, current in links if current] == [str(size)]
    assert f"every {size} min" in html


def test_every_chart_has_its_words_and_its_table_and_those_without_data_are_only_named(
    told: Session, client: Client
) -> None:
    html = page(client, told)
    drawings = re.findall(r'<svg class="chart-drawing"[^>]*role="img" aria-label="[^"]+">', html)
    assert len(drawings) == html.count("<desc>") == 2
    for key in ("stories", "posts"):
        assert f'<details class="chart-table" id="table-{key}">' in html
    assert html.count("<caption>Stories: stories written, every 5 min.") == 1
    assert "No data in this period: Tokens, Cost, Latency, Model calls." in html
    assert "style=" not in html


def test_figures_of_calls_are_shown_once_a_model_was_called(told: Session, client: Client) -> None:
    assert "<dt>Calls by bounds</dt>" not in page(client, told)
    Bucket.objects.filter(session=told, size=60).update(calls=4, bounded=1)
    html = page(client, told)
    assert (figure(html, "Exact calls"), figure(html, "Calls by bounds")) == ("3", "1")


def test_charts_of_a_young_session_begin_with_its_first_activity(told: Session) -> None:
    figures = statistics.read(told, 1)
    assert len(figures.points) == 60
    _, posts, *_ = all_charts(figures)
    _, line = posts.shapes
    # The running minute may be left out.
    assert line.path.count("L") in {10, 11}


def test_the_table_holds_the_values_of_the_chart(told: Session, client: Client) -> None:
    html = page(client, told, "60")
    table = html.split('id="table-stories"')[1].split("</details>")[0]
    cells = [int(cell) for cell in re.findall(r"<td>(\d+)</td>", table)]
    assert sum(cells) == told.stats.__class__.objects.get(session=told).story_count > 0


def test_htmx_gets_the_part_that_changes_and_nothing_else(told: Session, client: Client) -> None:
    press(told, "stop")  # or a second on air could pass between the two
    part = page(client, told, **{"HX-Request": "true"})
    assert part.lstrip().startswith('<p class="window">')
    assert "<html" not in part
    assert part.strip() in page(client, told)


def test_the_part_follows_the_broadcast_by_its_own_address(told: Session, client: Client) -> None:
    html = page(client, told, "15")
    assert f'data-refresh hx-get="/stats/?session={told.pk}&amp;size=15"' in html
    assert re.search(r'<i id="seq" data-seq="\d+" hidden>', html)
    assert "js/refresh" in html


def test_off_air_the_page_says_that_it_is_frozen(told: Session, client: Client) -> None:
    assert "The charts follow the broadcast: the last 5 hours." in page(client, told)
    press(told, "stop")
    assert "Frozen off air" in page(client, told)


def test_figures_that_are_not_kept_any_more_are_said_to_be(told: Session, client: Client) -> None:
    press(told, "stop")
    Bucket.objects.filter(session=told, size=1).delete()
    assert "Choose 15 or 60 min above." in page(client, told, "1")
    assert "Choose 15 or 60 min above." not in page(client, told, "60")


def test_many_sessions_take_the_same_queries(
    told: Session, client: Client, make_session: MakeSession
) -> None:
    page(client, told)
    with CaptureQueriesContext(connection) as few:
        page(client, told)
    for number in range(20):
        make_session(f"Session {number}")
    with CaptureQueriesContext(connection) as many:
        page(client, told)
    assert len(many) == len(few) <= 21


def test_the_series_are_in_the_api(told: Session, owner: User) -> None:
    api = Api(owner)
    found, stats = (
        api.get(f"/sessions/{told.pk}/series?size=15"),
        api.get(f"/sessions/{told.pk}/stats"),
    )
    assert (found["size"], len(found["points"])) == (15, 60)
    assert sum(point["stories"] for point in found["points"]) == stats["story_count"]
    assert sum(point["posts"] for point in found["points"]) == stats["feed"]


def test_another_size_is_refused_by_the_api(owner: User, session: Session) -> None:
    answer = Api(owner).call("GET", f"/sessions/{session.pk}/series?size=7")
    assert (answer.status_code, b"size" in answer.content) == (422, True)
