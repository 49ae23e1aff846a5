"""The Session Manager in a browser: each control is used, and the database holds what it did."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING
from tests.browser.page_helpers import of_session, one, rows, session_of, to_copy
from tests.endtoend.studio_process import Studio
from tests.standins.feeds import FeedStandIn

pytestmark = pytest.mark.browser

SOURCES, SLOTS = "stories_source", "broadcast_slot"


@pytest.fixture
def feeds() -> Iterator[FeedStandIn]:
    with FeedStandIn() as stand_in:
        stand_in.publish_distinct("harbour", 3)
        yield stand_in


def open_session(
    page: Page, studio: Studio, name: str, tab: str = "overview", **settings: object
) -> str:
    session = studio.create(name, RECORDING, model="extractive", **settings)
    page.goto(f"{studio.url}/sessions/{session}/#tab-{tab}")
    return session


def test_the_list_is_filtered_as_one_types(owner: Page, studio: Studio) -> None:
    studio.create("Zeppelins over the harbour")
    owner.goto(f"{studio.url}/sessions/")
    before = owner.locator(".session-row").count()
    owner.get_by_role("searchbox", name="Name").press_sequentially("zeppelin")
    expect(owner.locator(".session-row h3")).to_have_text(["Zeppelins over the harbour"])
    expect(owner.locator("#found")).to_have_text("1 session shown")
    expect(owner.get_by_role("searchbox", name="Name")).to_be_focused()
    owner.get_by_role("searchbox", name="Name").fill("")
    expect(owner.locator(".session-row")).to_have_count(before)


@pytest.mark.slow
def test_a_session_is_created_with_a_ready_made_group(owner: Page, studio: Studio) -> None:
    [group] = rows(studio, "SELECT * FROM stories_sourcegroup ORDER BY id LIMIT 1")
    owner.goto(f"{studio.url}/sessions/")
    form = owner.locator("form[action='/sessions/new/']")
    form.get_by_label("Name").fill("By hand")
    form.get_by_role("checkbox", name=group["name"]).check()
    form.get_by_role("button", name="Create session").click()
    expect(owner.locator("#session-name")).to_have_text("By hand")
    made = session_of(studio, "By hand")
    read = [source["locator"] for source in of_session(studio, SOURCES, made["id"])]
    assert read == ["demo", *(each["locator"] for each in json.loads(group["sources"]))]


def test_a_session_is_renamed_in_place(owner: Page, studio: Studio) -> None:
    session = open_session(owner, studio, "Mistyped")
    owner.locator(".rename summary").click()
    owner.get_by_label("New name").fill("Well typed")
    owner.get_by_role("button", name="Rename", exact=True).click()
    expect(owner.locator("#session-name")).to_have_text("Well typed")
    expect(owner.locator("#overview-name")).to_have_text("Well typed")
    expect(owner.locator(".rename summary")).to_be_focused()
    assert session_of(studio, "Well typed")["id"] == session


@pytest.mark.slow
def test_a_clone_has_the_settings_and_the_sources(owner: Page, studio: Studio) -> None:
    session = open_session(owner, studio, "Origin", "advanced", personality="energetic", pace=99)
    owner.get_by_role("button", name="Clone").click()
    expect(owner.locator("#session-name")).to_have_text("Origin (copy)")
    copy = session_of(studio, "Origin (copy)")
    assert copy["settings"] == studio.get(f"/sessions/{session}")["settings"]
    assert [source["locator"] for source in of_session(studio, SOURCES, copy["id"])] == ["demo"]


@pytest.mark.slow
def test_a_session_is_archived_and_restored_from_the_list(owner: Page, studio: Studio) -> None:
    session = studio.create("Filed away")
    owner.goto(f"{studio.url}/sessions/")
    owner.get_by_role("button", name="Archive Filed away").click()
    expect(owner.locator(f"#session-{session}")).to_have_count(0)
    assert studio.get(f"/sessions/{session}")["status"] == "archived"
    # On a phone a row has two lines, and its actions are in a menu.
    owner.set_viewport_size({"width": 390, "height": 844})
    owner.goto(f"{studio.url}/sessions/?status=archived")
    row = owner.locator(f"#session-{session}")
    assert row.evaluate("row => row.offsetHeight") <= 64
    row.get_by_role("button", name="Actions for Filed away").click()
    owner.get_by_role("button", name="Restore Filed away").click()
    expect(owner.locator(f"#session-{session}")).to_have_count(0)
    assert studio.get(f"/sessions/{session}")["status"] == "active"
    owner.get_by_role("link", name="New session").click()
    expect(owner.get_by_role("button", name="Create session")).to_be_in_viewport()


@pytest.mark.slow
def test_a_session_is_archived_and_restored_on_its_page(owner: Page, studio: Studio) -> None:
    session = open_session(owner, studio, "On its page", "advanced")
    owner.get_by_role("button", name="Archive session").click()
    expect(owner.get_by_role("button", name="Restore session")).to_be_visible()
    assert studio.get(f"/sessions/{session}")["status"] == "archived"
    # Its desk offers what is possible, and no button that would be refused.
    owner.goto(f"{studio.url}/broadcast/{session}/")
    expect(owner.locator("#air-start, .break-in, #pace").locator("visible=true")).to_have_count(0)
    owner.get_by_role("button", name="Restore session").click()
    expect(owner.get_by_role("button", name="Archive session")).to_be_visible()
    assert studio.get(f"/sessions/{session}")["status"] == "active"


def test_each_narration_setting_is_saved(owner: Page, studio: Studio) -> None:
    session = open_session(owner, studio, "Settings", "voice")
    form = owner.locator("#settings form")
    form.get_by_label("Model", exact=True).select_option("other")
    form.get_by_label("Name of the other model").fill("claude-of-the-house")
    for label, value in (
        ("Personality", "analytical"),
        ("Verbosity", "concise"),
        ("Control mode", "full-control"),
    ):
        form.get_by_label(label).select_option(value)
    form.get_by_label("Second presenter").select_option("gmw/en+f3")
    form.get_by_label("Pronunciation").fill("Nguyen = win")
    owner.get_by_role("link", name="Hear a sample").click()
    expect(owner.locator(".voice-sample [role=status]")).to_have_text(re.compile("Play"))
    form.get_by_label("Pace").fill("150")
    form.get_by_label("Language").fill("de")
    form.get_by_label("Instructions").fill("focus on breakthroughs, avoid markets")
    expect(form.get_by_text("Unsaved changes")).to_be_visible()
    form.get_by_label("Pace").fill("30")
    form.get_by_label("Name of the other model").fill("")
    save = owner.get_by_role("button", name="Save settings")
    save.click()
    # Both errors at once, each at its field, and what was typed is still there.
    wrong = form.locator(".field-wrong")
    expect(wrong).to_have_count(2)
    expect(wrong.filter(has_text="Name of the other model")).to_contain_text("Name the model")
    expect(form.locator(".form-answer")).to_have_text("Not saved. See the marked fields.")
    expect(form.get_by_label("Instructions")).to_have_value("focus on breakthroughs, avoid markets")
    # Another tab and back lose nothing.
    tabs = owner.get_by_role("navigation", name="Pages of this session")
    tabs.get_by_role("link", name="Share").click()
    expect(owner.get_by_role("button", name="Publish the watch page")).to_be_visible()
    expect(tabs.locator("[aria-current=page]")).to_have_text("Share")
    owner.go_back()
    expect(tabs.locator("[aria-current=page]")).to_have_text("Voice")
    form.get_by_label("Pace").fill("150")
    form.get_by_label("Name of the other model").fill("claude-of-the-house")
    save.click()
    expect(form.locator(".form-answer")).to_have_text("Saved.")
    expect(form.get_by_text("Unsaved changes")).to_be_hidden()
    expect(save).to_be_focused()
    expect(form.get_by_label("Pace")).to_have_value("150")
    owner.reload()
    expect(form.get_by_label("Pace")).to_be_visible()
    assert studio.get(f"/sessions/{session}")["settings"] == {
        "model": "claude-of-the-house",
        "personality": "analytical",
        "verbosity": "concise",
        "pace": 150,
        "language": "de",
        "control_mode": "full-control",
        "instructions": "focus on breakthroughs, avoid markets",
        "ai_label": "always",
        "breaking_rule": "any",
        "embedding": "off",
        "voice": "",
        "co_voice": "gmw/en+f3",
        "pronunciation": "Nguyen = win",
    }


@pytest.mark.slow
def test_a_time_on_air_is_added_changed_switched_off_and_removed(
    owner: Page, studio: Studio
) -> None:
    session = open_session(owner, studio, "Scheduled", "schedule")
    form = owner.locator(".slot-edit")
    form.get_by_label("Mon").check()
    form.get_by_label("On air at").fill("09:00")
    form.get_by_label("Off air at").fill("10:30")
    form.get_by_label("Time zone").fill("Europe/Berlin")
    owner.get_by_role("button", name="Add to the schedule").click()
    expect(owner.locator("#slots li")).to_have_count(1)
    [slot] = of_session(studio, SLOTS, session)
    assert (slot["days"], slot["on_at"], slot["zone"]) == (1, "09:00:00", "Europe/Berlin")
    owner.get_by_role("link", name=re.compile("^Change 09:00")).click()
    form.get_by_label("On air at").fill("08:15")
    owner.get_by_role("button", name="Save this time").click()
    expect(owner.locator("#slots")).to_contain_text("08:15 to 10:30")
    owner.get_by_role("button", name=re.compile("^Switch off 08:15")).click()
    expect(owner.locator("#slots")).to_contain_text("switched off")
    changed = one(studio, SLOTS, slot["id"])
    assert (changed["on_at"], changed["enabled"]) == ("08:15:00", 0)
    owner.get_by_role("button", name=re.compile("^Remove 08:15")).click()
    expect(owner.locator("#slots li")).to_have_count(0)
    assert of_session(studio, SLOTS, session) == []


def test_a_source_is_tested_in_place_added_tested_again_and_removed(
    owner: Page, studio: Studio, feeds: FeedStandIn
) -> None:
    session = studio.create("Reads")
    address = f"{feeds.url}/feed/harbour.xml"
    owner.goto(f"{studio.url}/sessions/{session}/#tab-sources")
    form = owner.locator(".source-add")
    form.get_by_label("Source").fill(address)
    owner.get_by_role("button", name="Test it first").click()
    expect(owner.locator("#source-answer")).to_contain_text("Fetched 3 posts, newest")
    assert of_session(studio, SOURCES, session) == []
    owner.get_by_role("button", name="Add source").click()
    expect(owner.locator("#sources li")).to_have_count(1)
    [source] = of_session(studio, SOURCES, session)
    assert (source["kind"], source["locator"]) == ("rss", address)
    owner.get_by_role("button", name=f"Test {address}").click()
    expect(owner.locator("#source-answer")).to_contain_text("Fetched 3 posts")
    owner.get_by_role("button", name=f"Remove {address}").click()
    expect(owner.locator("#sources li")).to_have_count(0)
    assert [each for each in of_session(studio, SOURCES, session) if each["enabled"]] == []


@pytest.mark.slow
def test_a_source_that_brings_nothing_says_why(
    owner: Page, studio: Studio, feeds: FeedStandIn
) -> None:
    open_session(owner, studio, "Mistaken", "sources")
    owner.locator(".source-add").get_by_label("Source").fill(f"{feeds.url}/broken")
    owner.get_by_role("button", name="Test it first").click()
    expect(owner.locator("#source-answer [data-ok=false]")).to_contain_text("500")


@pytest.mark.slow
def test_the_sources_of_a_group_are_added(owner: Page, studio: Studio) -> None:
    session = studio.create("Grouped")
    owner.goto(f"{studio.url}/sessions/{session}/#tab-sources")
    owner.get_by_label("Ready-made group").select_option("Curiosity Lab")
    owner.get_by_role("button", name="Add the group").click()
    expect(owner.locator("#sources li")).to_have_count(3)
    read = {source["locator"] for source in of_session(studio, SOURCES, session)}
    assert read == {"r/science", "r/space", "r/askscience"}


def test_a_budget_is_set_shown_as_a_meter_and_taken_away(owner: Page, studio: Studio) -> None:
    session = open_session(owner, studio, "Frugal", "advanced")
    meter = owner.locator("#budget-meter")
    expect(meter).to_contain_text("No limit")
    owner.get_by_label("Budget in USD").fill("2.50")
    owner.get_by_role("button", name="Save budget").click()
    expect(meter.get_by_role("meter")).to_have_attribute("value", "0")
    expect(meter).to_contain_text("0 % used")
    assert Decimal(studio.get(f"/sessions/{session}")["budget_usd"]) == Decimal("2.5")
    owner.get_by_label("Budget in USD").fill("0")
    owner.get_by_role("button", name="Save budget").click()
    expect(meter.locator("[data-state=spent]")).to_contain_text("narration is paused")
    owner.get_by_label("Budget in USD").fill("")
    owner.get_by_role("button", name="Save budget").click()
    expect(meter).to_contain_text("No limit")
    assert studio.get(f"/sessions/{session}")["budget_usd"] is None


@pytest.mark.own_context
def test_the_watch_page_is_published_its_address_copied_and_taken_down(
    owner: Page, studio: Studio
) -> None:
    owner.context.grant_permissions(["clipboard-read", "clipboard-write"])
    session = open_session(owner, studio, "For all to see", "share")
    owner.get_by_role("button", name="Publish the watch page").click()
    address = owner.get_by_label(re.compile("^Address of the Watch page"))
    expect(address).to_be_visible()
    owner.locator(".addresses .copy-line").first.get_by_role("button", name="Copy").click()
    expect(owner.locator(".addresses .copied").first).to_have_text("Copied")
    shown = studio.get(f"/sessions/{session}")
    assert to_copy(owner) == address.input_value() == shown["watch_url"]
    expect(owner.get_by_role("img", name="QR code")).to_be_visible()
    owner.get_by_role("button", name="Copy embed code").click()
    assert to_copy(owner).startswith(f'<iframe src="{shown["watch_url"]}embed/"')
    embedding = owner.get_by_label("Pages that may show the player")
    embedding.select_option("anywhere")
    owner.get_by_role("button", name="Save embedding").click()
    expect(owner.locator("#form-embedding .form-answer")).to_have_text("Saved.")
    assert studio.get(f"/sessions/{session}")["settings"]["embedding"] == "anywhere"
    path = "/watch/" + shown["watch_url"].split("/watch/")[1]
    assert studio.call("GET", path).status == 200
    owner.get_by_role("button", name="Unpublish").click()
    expect(owner.get_by_role("button", name="Publish the watch page")).to_be_visible()
    assert studio.call("GET", path).status == 404


@pytest.mark.slow
def test_who_works_in_the_session_is_listed_with_the_last_activity(
    owner: Page, studio: Studio
) -> None:
    open_session(owner, studio, "Crewed")
    expect(owner.locator(".crew li").first).to_contain_text("studio")
    expect(owner.locator(".crew li").first).to_contain_text("last active")
    expect(owner.locator(".crew")).to_contain_text("Host")
