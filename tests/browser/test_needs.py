"""What needs the owner, in the bar of every page: the list, its keys, the sound, and the card on air."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING
from tests.browser.page_helpers import Row, of_session, off_air, one
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser

STORIES, POSTS, SOURCES = "stories_story", "stories_sourcepost", "stories_source"
LOOK = "htmx.trigger('#needs', 'smnb:needs')"


def waiting_story(studio: Studio, session: str) -> Row:
    def found() -> list[Row]:
        return [row for row in of_session(studio, STORIES, session) if row["state"] == "written"]

    story: Row = eventually("a story waits", found)[0]
    return story


def test_what_waits_is_decided_from_any_page(owner: Page, studio: Studio) -> None:
    settings = {"pace": 60, "model": "extractive", "control_mode": "full-control"}
    session = studio.create("Needs a decision", RECORDING, **settings)
    studio.command(session, "start")
    first = waiting_story(studio, session)
    owner.goto(f"{studio.url}/broadcast/{session}/")
    card = owner.get_by_role("group", name="Waiting for you")
    expect(card).to_contain_text(str(first["title"]))
    card.get_by_role("button", name="Veto").click()
    eventually("it is vetoed", lambda: one(studio, STORIES, first["id"])["state"] == "vetoed")
    second = waiting_story(studio, session)
    expect(card).to_contain_text(str(second["title"]))
    # From another page of the studio: one key.
    owner.goto(f"{studio.url}/stats/?session={session}")
    expect(owner.locator("[data-needs-count]")).not_to_be_empty()
    expect(owner).to_have_title(re.compile(r"^\([1-9]\d*\) "))
    owner.keyboard.press("a")
    expect(owner.locator("#needs-said")).to_contain_text("Approve: done.")
    expect(owner.locator("#needs-said")).to_contain_text(str(second["title"]))
    eventually("it airs", lambda: one(studio, STORIES, second["id"])["state"] == "airing")
    expect(owner.locator(f'[data-key="story-{second["id"]}"]')).to_have_count(0)
    off_air(studio, session)


@pytest.mark.slow
def test_a_new_need_shows_itself_and_rings_where_that_is_chosen(
    owner: Page, studio: Studio
) -> None:
    session = studio.create("Needs a post", RECORDING, pace=60, model="extractive")
    studio.command(session, "start")
    eventually("posts wait", lambda: len(of_session(studio, POSTS, session)) > 3)
    owner.goto(f"{studio.url}/account/#attention")
    sound = owner.get_by_label("Play a sound")
    for chosen in (True, False):
        sound.set_checked(chosen)
        owner.get_by_role("button", name="Save sound").click()
        expect(owner.locator("#needs-title + .saved")).to_be_visible()
        post = next(row for row in of_session(studio, POSTS, session) if row["state"] == "queued")
        owner.goto(f"{studio.url}/docs/")
        expect(owner.locator("#needs [data-needs]")).to_have_count(1)
        owner.locator("h1").click()
        assert studio.post(f"/sessions/{session}/posts/{post['id']}/hold").status == 200
        owner.evaluate(LOOK)
        expect(owner.locator("#needs-said")).to_contain_text(str(post["title"])[:60])
        assert (owner.locator("#needs").get_attribute("data-rang") == "1") == chosen
        owner.locator(".bar-needs summary").click()
        need = owner.locator(f'[data-key="post-{post["id"]}"]')
        need.get_by_role("button", name="Release").click()
        expect(need).to_have_count(0)
        assert one(studio, POSTS, post["id"])["state"] == "queued"
        owner.goto(f"{studio.url}/account/#attention")
    off_air(studio, session)


@pytest.mark.slow
def test_at_the_end_of_the_news_a_loop_is_offered_and_the_audience_reads_the_truth(
    owner: Page, page: Page, studio: Studio
) -> None:
    session = studio.create("The end of the news", RECORDING, pace=60, model="extractive")
    shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
    # As after the last post of the recording.
    with closing(sqlite3.connect(studio.data / "smnb.sqlite3", timeout=60)) as database, database:
        database.execute(
            "UPDATE stories_source SET cursor = '{\"next\": 9999}' WHERE session_id = ?",
            (UUID(session).hex,),
        )
    path = "/watch/" + shown["watch_url"].split("/watch/")[1]
    page.goto(studio.url + path)
    expect(page.locator("#onair")).to_contain_text("Off air")
    studio.command(session, "start")
    studio.wait_state(session, "live")
    eventually("it ends", lambda: of_session(studio, SOURCES, session)[0]["health"] == "finished")
    page.goto(studio.url + path)
    expect(page.locator("#waiting")).to_have_text(
        "All news has been read. The broadcast waits for new sources."
    )
    owner.goto(f"{studio.url}/sessions/{session}/#tab-sources")
    expect(owner.locator("#sources")).to_contain_text("Add a source, loop the recording, or stop.")
    owner.evaluate(LOOK)
    owner.locator(".bar-needs summary").click()
    need = owner.locator(".need").filter(has_text="The end of the news")
    expect(need).to_contain_text("All sources are at their end")
    expect(need.get_by_role("button", name="Loop the recording")).to_be_visible()
    # The desk says the same where the next posts would be, and of a session without sources what helps.
    owner.goto(f"{studio.url}/broadcast/{studio.create('Without sources')}/")
    rundown = owner.locator(".studio-queue")
    expect(rundown.get_by_role("link", name="Add a source")).to_be_visible()
    expect(rundown.get_by_role("button", name="Loop the recording")).to_be_hidden()
    owner.goto(f"{studio.url}/broadcast/{session}/")
    rundown.get_by_role("button", name="Loop the recording").click()
    expect(rundown.get_by_role("button", name="Loop the recording")).to_be_hidden()
    eventually("posts are read again", lambda: len(of_session(studio, POSTS, session)) > 5)
    first = of_session(studio, POSTS, session)[0]
    assert first["external_id"] == "rec-001.1"
    # A story airs, and the page of the audience shows it instead.
    expect(page.locator("#onair [data-story]")).to_be_visible()
    expect(page.locator("#waiting")).to_be_hidden()
    off_air(studio, session)
