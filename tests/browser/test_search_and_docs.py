"""Search and the docs in a browser."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from playwright.sync_api import Page, expect

from smnb.docs.views import PAGES
from stories.search.query import PAGE
from tests.browser.page_helpers import of_session
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

POSTS = "stories_sourcepost"
NARROW = {"width": 390, "height": 844}


def open_search(page: Page, studio: Studio, told: dict[str, str], query: str = "") -> None:
    page.goto(f"{studio.url}/sessions/{told['session']}/search/{query}")
    expect(page.get_by_role("heading", name="Results")).to_be_visible()


def test_results_come_as_one_types(owner: Page, studio: Studio, told: dict[str, str]) -> None:
    stories = studio.items(told["session"], "stories")
    word = max(re.findall(r"[a-z]{5,}", stories[3]["title"].lower()), key=len)
    open_search(owner, studio, told)
    owner.get_by_role("searchbox", name="Words").press_sequentially(word)
    expect(owner.locator("#results mark").first).to_have_text(re.compile(word, re.IGNORECASE))
    found = [each for each in stories if word in f"{each['title']} {each['narrative']}".lower()]
    expect(owner.locator(f"#stories-{stories[3]['id']}")).to_be_visible()
    assert 0 < owner.locator(".result").count() <= len(found)
    expect(owner.get_by_role("searchbox", name="Words")).to_be_focused()


@pytest.mark.slow
def test_filters_leave_only_what_fits(owner: Page, studio: Studio, told: dict[str, str]) -> None:
    stories = of_session(studio, "stories_story", told["session"])
    counted = Counter(story["tone"] for story in stories)
    tone, number = counted.most_common()[-1]
    open_search(owner, studio, told)
    owner.get_by_label("Tone").select_option(tone)
    expect(owner.locator(".result")).to_have_count(min(number, PAGE))
    assert {each.lower() for each in owner.locator(".result .tone").all_inner_texts()} == {tone}


@pytest.mark.slow
def test_a_day_before_the_session_has_nothing(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    open_search(owner, studio, told)
    owner.get_by_label(re.compile("^To ")).fill("2020-01-01")
    expect(owner.get_by_text("No results in this session.")).to_be_visible()


@pytest.mark.slow
def test_posts_are_searched_too(owner: Page, studio: Studio, told: dict[str, str]) -> None:
    open_search(owner, studio, told)
    owner.get_by_label(re.compile("^In ")).select_option("posts")
    expect(owner.locator(".result[id^=posts-]").first).to_be_visible()
    expect(owner.get_by_label("Tone")).to_have_count(0)
    owner.get_by_label("State").select_option("told")
    told_posts = [p for p in of_session(studio, POSTS, told["session"]) if p["state"] == "told"]
    expect(owner.locator(".result .badge:not([data-state=told])")).to_have_count(0)
    expect(owner.locator(".result")).to_have_count(min(len(told_posts), PAGE))


@pytest.mark.slow
def test_the_button_searches_too(owner: Page, studio: Studio, told: dict[str, str]) -> None:
    open_search(owner, studio, told, "?q=nothing-is-called-like-this")
    expect(owner.locator(".result")).to_have_count(0)
    owner.locator("#id_q").evaluate("field => { field.value = ''; }")
    owner.get_by_role("button", name="Search").click()
    expect(owner.locator(".result")).to_have_count(PAGE)


@pytest.mark.slow
def test_older_results_are_added_below(owner: Page, studio: Studio, told: dict[str, str]) -> None:
    open_search(owner, studio, told)
    expect(owner.locator(".result")).to_have_count(PAGE)
    owner.get_by_role("link", name="Older results").click()
    number = len(of_session(studio, "stories_story", told["session"]))
    expect(owner.locator(".result")).to_have_count(min(number, 2 * PAGE))


@pytest.mark.slow
def test_every_page_of_the_docs_is_reached_by_turning_pages(owner: Page, studio: Studio) -> None:
    owner.goto(f"{studio.url}/docs/")
    owner.locator(".docs-cards").get_by_role("link", name=PAGES[0].title).click()
    for page in PAGES:
        expect(owner.get_by_role("heading", level=1)).to_have_text(page.title)
        current = owner.locator(".docs-pages [aria-current=page]")
        expect(current).to_have_text(page.title)
        if page is not PAGES[-1]:
            owner.locator(".docs-turn [rel=next]").click()
    expect(owner.locator(".docs-turn [rel=next]")).to_have_count(0)


@pytest.mark.slow
def test_each_anchor_of_a_docs_page_leads_to_its_heading(owner: Page, studio: Studio) -> None:
    owner.set_viewport_size(NARROW)  # type: ignore[arg-type]
    for page in PAGES:
        owner.goto(f"{studio.url}/docs/{page.slug}/")
        places = owner.locator("a[href^='#']").evaluate_all(
            "all => all.map(each => each.getAttribute('href').slice(1))"
        )
        missing = owner.evaluate(
            "names => names.filter(name => !document.getElementById(name))", [*places]
        )
        assert missing == [], page.slug
        last = owner.locator(".docs-outline a").last
        last.click()
        anchor = last.get_attribute("href") or "-"
        expect(owner).to_have_url(re.compile(f"{re.escape(anchor)}$"))
        heading = owner.locator(f"{anchor}:is(h2, h3)")
        expect(heading).to_be_in_viewport()
        width = owner.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"], page.slug


def test_the_state_diagram_says_in_words_what_it_draws(owner: Page, studio: Studio) -> None:
    owner.goto(f"{studio.url}/docs/going-live/")
    drawing = owner.get_by_role("img", name="The states of a run")
    expect(drawing).to_be_visible()
    expect(drawing.locator("desc")).to_contain_text("idle to initializing on initialize")
    expect(owner.get_by_role("table").first).to_contain_text("idle")
