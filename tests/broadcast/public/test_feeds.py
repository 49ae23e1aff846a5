"""Feeds of what was told: well-formed whatever the text, corrected, conditional, revocable."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.test import Client

from broadcast.public import feeds
from sessions_app import commands, sessions
from sessions_app.models import Session
from stories.models import SourcePost, Story
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

ATOM = {"a": feeds.ATOM}
PUBLISHED = ("airing", "aired")
HOSTILE = "Tide ]]> <script>alert(1)</script> & \x0b\x00\ufffe “quoted” 🛶"


@pytest.fixture
@made_once
def shown(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    session = make_session("Harbour & news", model="extractive")
    go_live(session)
    run_due_steps(session, most=9)
    return sessions.show(session, True)


def visit(session: Session, part: str, **more: Any) -> Any:
    return Client().get(f"/watch/{session.watch_token}/{part}", **more)


def entries(session: Session) -> list[ET.Element]:
    return ET.fromstring(visit(session, "feed.atom").content).findall("a:entry", ATOM)


def told() -> list[str]:
    rows = Story.objects.filter(state__in=PUBLISHED).order_by("-id")
    return list(rows.values_list("title", flat=True))


def test_the_atom_feed_holds_what_was_told_newest_first(shown: Session) -> None:
    assert [entry.findtext("a:title", "", ATOM) for entry in entries(shown)] == told()
    assert visit(shown, "feed.atom")["Content-Type"] == "application/atom+xml"


def test_the_json_feed_holds_the_same(shown: Session) -> None:
    feed = json.loads(visit(shown, "feed.json").content)
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert [item["title"] for item in feed["items"]] == told()
    ids = [entry.findtext("a:id", "", ATOM) for entry in entries(shown)]
    assert [item["id"] for item in feed["items"]] == ids


def test_hostile_text_breaks_neither_feed(shown: Session) -> None:
    Story.objects.update(title=HOSTILE, narrative=HOSTILE, topics=[HOSTILE])
    assert entries(shown)[0].findtext("a:title", "", ATOM).startswith("Tide ]]> <script>")
    assert json.loads(visit(shown, "feed.json").content)["items"][0]["title"].endswith("🛶")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "http://[", ""])
def test_only_an_address_of_the_web_is_named_as_the_source(shown: Session, url: str) -> None:
    SourcePost.objects.update(url=url)
    assert all(entry.find("a:link[@rel='via']", ATOM) is None for entry in entries(shown))
    assert "external_url" not in visit(shown, "feed.json").content.decode()


def test_the_source_is_named_by_its_address(shown: Session) -> None:
    url = "https://example.org/tides?a=1&b=2"
    SourcePost.objects.update(url=url)
    link = entries(shown)[0].find("a:link[@rel='via']", ATOM)
    assert link is not None
    assert link.get("href") == url
    assert json.loads(visit(shown, "feed.json").content)["items"][0]["external_url"] == url


@pytest.mark.parametrize(("language", "named"), [("de-AT", "de-AT"), ("High Valyrian", None)])
def test_the_feeds_name_their_language(shown: Session, language: str, named: str | None) -> None:
    sessions.change(shown, language=language)
    assert ET.fromstring(visit(shown, "feed.atom").content).get(feeds.LANG) == named
    assert json.loads(visit(shown, "feed.json").content).get("language") == named


def test_an_entry_keeps_its_id_and_is_updated_by_a_correction(shown: Session) -> None:
    before = entries(shown)[-1]
    story = Story.objects.filter(state__in=PUBLISHED).earliest("id")
    data = {"story": story.pk, "title": "Repair", "text": "As it was.", "reason": "A slip."}
    commands.run("story.correct", shown.owner, shown, data)
    after = entries(shown)[-1]
    assert after.findtext("a:id", "", ATOM) == before.findtext("a:id", "", ATOM)
    assert after.findtext("a:updated", "", ATOM) > before.findtext("a:updated", "", ATOM)
    assert "Correction: A slip." in after.findtext("a:content", "", ATOM)


def test_a_pulled_story_is_gone_from_the_feeds(shown: Session) -> None:
    story = Story.objects.filter(state__in=PUBLISHED).earliest("id")
    commands.run("story.kill", shown.owner, shown, {"story": story.pk})
    assert len(entries(shown)) == len(told())
    assert story.title not in visit(shown, "feed.json").content.decode()


@pytest.mark.parametrize("part", ["feed.atom", "feed.json"])
def test_a_reader_that_has_it_already_gets_304(shown: Session, part: str) -> None:
    answer = visit(shown, part)
    # A link that is withdrawn closes it at once: nobody may keep it without asking.
    assert answer["Cache-Control"] == "private, no-cache"
    tag = answer["ETag"]
    again = visit(shown, part, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    Story.objects.filter(state__in=PUBLISHED).update(title="Another")
    assert visit(shown, part, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("part", ["", "overlay/", "feed.atom", "feed.json", "?before=3"])
def test_revoking_the_link_closes_every_public_page(shown: Session, part: str) -> None:
    path = f"/watch/{shown.watch_token}/{part}"
    assert Client().get(path).status_code == 200
    sessions.show(shown, False)
    assert Client().get(path).status_code == 404


@pytest.mark.parametrize("part", ["", "overlay/", "feed.atom", "feed.json"])
def test_no_public_byte_tells_of_the_owner_or_the_money(shown: Session, part: str) -> None:
    Story.objects.update(note="secret-note", model="secret-model")
    Session.objects.update(instructions="secret-instruction")
    text = visit(shown, part).content.decode()
    for private in ("secret-", shown.owner.username, "USD", "_tokens", "extractive"):
        assert private not in text.replace(shown.watch_token, "")


@pytest.mark.parametrize("part", ["feed.atom", "feed.json", ""])
def test_a_public_page_costs_a_constant_number_of_queries(
    shown: Session, part: str, django_assert_max_num_queries: Any
) -> None:
    # Four of them only where the story on air or one of the feed has further reports.
    with django_assert_max_num_queries(15):
        visit(shown, part)
