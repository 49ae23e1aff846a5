"""The page of the AI chain: how it stands, its links drawn and listed, and put right on a click."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast.studio.ai_chain import queries
from broadcast.studio.ai_chain.queries import LinkPayload
from sessions_app.ai_chain import status
from sessions_app.models import AILink, AITransition, Message, Session
from tests.chain_links import join, lose_head
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def address(session: Session, more: str = "") -> str:
    return f"/broadcast/{session.pk}/chain/{more}"


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text(answer)))


def rows(answer: Any) -> list[int]:
    """The numbers in the table, as they stand."""
    return [int(found) for found in re.findall(r'<th scope="row">(\d+)</th>', text(answer))]


def test_an_empty_chain_says_how_it_begins(browser: Client, session: Session) -> None:
    shown = words(browser.get(address(session)))
    assert "EMPTY" in shown
    assert "The chain is empty." in shown
    assert "Repair" not in shown


def test_state_rate_head_and_base_are_shown(browser: Client, session: Session) -> None:
    join(session)
    join(session, "compaction", summary="The harbour, the mill.")
    join(session, "chat", tokens=1234)
    shown = words(browser.get(address(session)))
    assert "SYNCED" in shown
    assert "100 % of 3 links" in shown
    assert "Head Link 3 chat" in shown
    assert "Context from Link 2 summarised there" in shown
    assert "1,234 tokens; summarised above 4,000" in shown
    assert "The harbour, the mill." in shown


def test_each_link_is_drawn_and_stands_in_the_table(browser: Client, session: Session) -> None:
    first = join(session, model="extractive", provider_id="offline-1")
    join(session, "metadata", provider_id="msg_2", context_head=first)
    answer = browser.get(address(session))
    assert rows(answer) == [2, 1]
    assert text(answer).count('class="chain-node"') == 2
    assert text(answer).count('class="chain-joint"') == 1
    assert "Link 2 knows the chain up to link 1" in text(answer)
    assert "2 Metadata up to 1" in words(answer)
    assert "1 Narration nothing before extractive" in words(answer)
    assert 'data-copy="msg_2"' in text(answer)


def test_the_id_of_the_session_can_be_copied(browser: Client, session: Session) -> None:
    for path in (address(session), f"/sessions/{session.pk}/"):
        assert f'data-copy="{session.pk}"' in text(browser.get(path))


def test_links_are_paged_by_key(browser: Client, session: Session) -> None:
    for _ in range(queries.LINKS_MOST + 3):
        join(session)
    first = browser.get(address(session))
    assert rows(first) == list(range(23, 3, -1))
    older = re.findall(r'href="(\?before=\d+)"', text(first))
    second = browser.get(address(session, older[0]))
    assert rows(second) == [3, 2, 1]
    assert "Older links" not in words(second)
    assert "There is no link before this one." in words(browser.get(address(session, "?before=1")))


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "%00"])
def test_a_page_that_nobody_offered_is_the_first_one(
    browser: Client, session: Session, before: str
) -> None:
    join(session)
    assert rows(browser.get(address(session, f"?before={before}"))) == [1]


def test_a_link_is_found_by_its_id(browser: Client, session: Session) -> None:
    for number in range(4):
        join(session, provider_id=f"msg_{number}")
    answer = browser.get(address(session, "?find=msg_1"))
    assert rows(answer) == [2, 1]
    assert text(answer).count('<tr aria-current="true">') == 1
    assert "Up to link 2" in words(answer)


def test_an_unknown_id_shows_the_latest_and_says_so(browser: Client, session: Session) -> None:
    join(session)
    answer = browser.get(address(session, "?find=<b>msg</b>%00"))
    assert "it continues from link 1, the latest" in words(answer)
    assert "<b>msg" not in answer.content.decode()
    assert rows(answer) == [1]


def test_the_links_of_another_session_are_not_here(
    browser: Client, make_session: MakeSession
) -> None:
    join(make_session("Evening"), provider_id="msg_alien")
    answer = browser.get(address(make_session(), "?find=msg_alien"))
    assert rows(answer) == []
    assert "starts fresh" in words(answer)


def test_a_refresh_brings_the_part_alone(browser: Client, session: Session) -> None:
    join(session)
    shown = text(browser.get(address(session), headers={"HX-Request": "true"}))
    assert "<main" not in shown
    assert "SYNCED" in shown


def test_what_is_out_of_sync_is_put_right_on_a_click(browser: Client, session: Session) -> None:
    first, second = join(session), join(session)
    lose_head(session, first)
    shown = words(browser.get(address(session)))
    assert "OUT_OF_SYNC" in shown
    assert "50 % of 2 links" in shown
    assert "the head is not the latest link" in shown
    answer = browser.post(address(session, "recover/"))
    assert answer["Location"] == address(session)
    assert status.status(session).head == second
    assert AITransition.objects.filter(source="recovery", new=second).count() == 1
    assert Message.objects.filter(session=session, code="chain_recovered").count() == 1
    assert "SYNCED" in words(browser.get(address(session)))


def test_a_page_costs_the_same_at_any_length(
    browser: Client, session: Session, django_assert_num_queries: Any
) -> None:
    last = join(session)
    browser.get(address(session))
    for count in (1, queries.LINKS_MOST + 5):
        for _ in range(count):
            last = join(session, context_head=last)
        with django_assert_num_queries(16):
            browser.get(address(session))


def test_desk_and_session_page_lead_to_the_chain(browser: Client, session: Session) -> None:
    for path in (f"/broadcast/{session.pk}/", f"/sessions/{session.pk}/"):
        assert f'href="{address(session)}"' in text(browser.get(path))


def links(*rows: tuple[int, int | None]) -> list[LinkPayload]:
    """Narration links, newest first, from pairs of a number and its context."""
    return [
        {
            "number": number,
            "id": f"offline-{number}",
            "source": "narration",
            "model": "extractive",
            "tokens": 1,
            "run": 1,
            "context": context,
            "summary": "",
            "at": "2026-11-01T10:00:00.000Z",
        }
        for number, context in rows
    ]


def test_the_drawing_goes_from_left_to_right() -> None:
    drawn = queries.draw(links((3, 2), (2, 1), (1, None)))
    assert [node.number for node in drawn.nodes] == [1, 2, 3]
    assert [node.x for node in drawn.nodes] == sorted(node.x for node in drawn.nodes)
    assert len(drawn.joints) == 2
    assert [(arc.start, arc.end, arc.outside) for arc in drawn.arcs] == [
        (2, 1, False),
        (3, 2, False),
    ]
    assert all(0 <= node.x <= drawn.width for node in drawn.nodes)


def test_what_is_older_than_the_page_comes_in_from_the_left() -> None:
    drawn = queries.draw(links((22, 21), (21, 3)))
    assert len(drawn.joints) == 2
    assert drawn.joints[0].startswith("M0 ")
    assert [(arc.end, arc.outside) for arc in drawn.arcs] == [(3, True), (21, False)]


def test_arcs_stay_inside_the_drawing() -> None:
    drawn = queries.draw(links(*((number, 1) for number in range(20, 1, -1)), (1, None)))
    heights = [float(found) for arc in drawn.arcs for found in re.findall(r" (-?[\d.]+)", arc.path)]
    assert min(heights) >= 0
    assert max(heights) <= drawn.height


def test_every_source_has_its_letter() -> None:
    assert set(queries.MARKS) == set(AILink.Source.values)
    assert len(set(queries.MARKS.values())) == len(AILink.Source.values)


def test_an_empty_chain_draws_nothing() -> None:
    drawn = queries.draw([])
    assert (drawn.nodes, drawn.joints, drawn.arcs) == ([], [], [])
