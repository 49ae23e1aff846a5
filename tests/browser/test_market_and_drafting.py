"""Insight Market and Keyword Drafting in a browser: switches, sorting, posts behind, boards."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from stories.market.trends import MOST
from tests.browser.page_helpers import of_session, one, rows
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

KEYWORDS = "stories_boardkeyword"


def open_market(page: Page, studio: Studio, told: dict[str, str]) -> None:
    page.goto(f"{studio.url}/market/?session={told['session']}")
    expect(page.locator(".quotes tbody tr").first).to_be_visible()


def names(page: Page) -> list[str]:
    return page.locator(".quotes tbody th a").all_inner_texts()


def volumes(page: Page) -> list[int]:
    cells = page.locator(".quotes tbody tr td:nth-of-type(2)").all_inner_texts()
    return [int(re.match(r"\d+", cell).group()) for cell in cells]  # type: ignore[union-attr]


@pytest.mark.slow
def test_sources_and_keywords_are_switched(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    open_market(owner, studio, told)
    market = studio.get(f"/sessions/{told['session']}/market?kind=keyword")["items"]
    assert set(names(owner)) == {each["label"] for each in market}
    owner.get_by_role("link", name="Sources").click()
    expect(owner.get_by_role("heading", name="Sources by volume")).to_be_visible()
    market = studio.get(f"/sessions/{told['session']}/market?kind=source")["items"]
    assert names(owner) == [each["label"] for each in market]
    assert volumes(owner) == [each["posts"] for each in market]


@pytest.mark.slow
def test_the_length_of_a_bucket_is_switched(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    open_market(owner, studio, told)
    for size in (1, 60):
        owner.get_by_role("link", name=f"{size} min", exact=True).click()
        current = owner.locator("nav[aria-label='Minutes of a bucket'] [aria-current]")
        expect(current).to_have_text(f"{size} min")
        expect(
            owner.get_by_role("columnheader", name=re.compile(rf"Last 12 . {size} min"))
        ).to_be_visible()


@pytest.mark.slow
def test_the_table_is_sorted_both_ways(owner: Page, studio: Studio, told: dict[str, str]) -> None:
    open_market(owner, studio, told)
    by_volume = owner.locator("#by-volume")
    by_volume.click()
    heading = owner.get_by_role("columnheader", name="Volume")
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert volumes(owner) == sorted(volumes(owner), reverse=True)
    by_volume.click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert volumes(owner) == sorted(volumes(owner))
    owner.locator("#by-name").click()
    expect(owner.get_by_role("columnheader", name="Name")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert names(owner) == sorted(names(owner), key=str.casefold)


def open_first_tile(page: Page, studio: Studio, told: dict[str, str]) -> dict[str, object]:
    """Click the first cell of the map; returns the row of its trend."""
    open_market(page, studio, told)
    page.locator("svg.map:visible a.tile").first.click()
    expect(page.get_by_role("heading", name="Posts behind it")).to_be_visible()
    trend = re.search(r"/market/[^/]+/(\d+)/", page.url)
    assert trend is not None
    return one(studio, "stories_trend", int(trend[1]))


@pytest.mark.slow
def test_a_cell_of_the_map_leads_to_the_posts_behind_it(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    trend = open_first_tile(owner, studio, told)
    expect(owner.get_by_role("heading", level=1)).to_have_text(str(trend["label"]))
    query = (
        "SELECT p.title FROM stories_trendpost t JOIN stories_sourcepost p ON p.id = t.post_id"
        " WHERE t.trend_id = ? ORDER BY p.id DESC"
    )
    titles = [row["title"] for row in rows(studio, query, trend["id"])]
    assert len(titles) == trend["posts"]
    for title, heading in zip(titles, owner.locator(".behind h3").all(), strict=False):
        expect(heading).to_contain_text(title)
    assert owner.locator(".behind h3").count() == min(len(titles), MOST)


def test_a_keyword_goes_from_the_market_to_a_board(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    trend = open_first_tile(owner, studio, told)
    owner.get_by_label("Board").select_option("trending")
    owner.get_by_role("button", name="Add to board").click()
    board = owner.get_by_role("region", name="Trending")
    expect(board.locator(".board-text")).to_have_text([str(trend["label"])])
    kept = of_session(studio, KEYWORDS, told["session"])
    assert [(row["text"], row["board"]) for row in kept] == [(trend["label"], "trending")]


def test_a_keyword_is_added_to_a_board_moved_and_removed(owner: Page, studio: Studio) -> None:
    session = studio.create("Boards")
    owner.goto(f"{studio.url}/drafting/?session={session}")
    choices = owner.get_by_label("Board", exact=True).locator("option").all_inner_texts()
    owner.get_by_label("Keyword", exact=True).fill("tidal power")
    owner.get_by_label("Board", exact=True).select_option(label=choices[1])
    owner.get_by_role("button", name="Add", exact=True).click()
    here = owner.get_by_role("region", name=choices[1]).locator(".board-text")
    there = owner.get_by_role("region", name=choices[2]).locator(".board-text")
    expect(here).to_have_text(["tidal power"])
    expect(owner.get_by_label("Keyword", exact=True)).to_be_focused()
    [keyword] = of_session(studio, KEYWORDS, session)
    owner.get_by_label("Board of tidal power").select_option(label=choices[2])
    owner.get_by_role("button", name="Move tidal power", exact=True).click()
    expect(there).to_have_text(["tidal power"])
    expect(owner.locator("#board-status")).to_contain_text(f"is on the board {choices[2]}")
    assert one(studio, KEYWORDS, keyword["id"])["board"] != keyword["board"]
    owner.get_by_role("button", name="Remove tidal power").click()
    expect(there).to_have_count(0)
    assert of_session(studio, KEYWORDS, session) == []
