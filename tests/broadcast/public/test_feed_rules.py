"""The Atom feed by the rules of RFC 4287, the JSON feed by those of JSON Feed 1.1, literally."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import feedparser
import pytest
from django.test import Client

from sessions_app import sessions
from sessions_app.models import Session
from stories.models import SourcePost, Story
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

A = "{http://www.w3.org/2005/Atom}"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
URI = r"https?://[!#$%&'()*+,\-./0-9:;=?@A-Z_a-z~\[\]]+"


@pytest.fixture
@made_once
def shown(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    session = make_session("Harbour & news", model="extractive")
    go_live(session)
    run_due_steps(session, most=9)
    return sessions.show(session, True)


def visit(session: Session, part: str) -> Any:
    return Client().get(f"/watch/{session.watch_token}/{part}")


def atom(session: Session) -> ET.Element:
    return ET.fromstring(visit(session, "feed.atom").content)


def test_the_feed_has_each_required_element_once(shown: Session) -> None:
    feed = atom(shown)
    for name in ("id", "title", "updated", "generator", "rights"):
        assert len(feed.findall(f"{A}{name}")) == 1
        assert feed.findtext(f"{A}{name}", "").strip()
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", feed.findtext(f"{A}id", ""))
    assert re.fullmatch(MOMENT, feed.findtext(f"{A}updated", ""))
    assert feed.findtext(f"{A}author/{A}name") == "Harbour & news"
    links = {link.get("rel"): link for link in feed.findall(f"{A}link")}
    assert set(links) == {"alternate", "self"}
    assert links["self"].get("href", "").endswith("/feed.atom")
    assert links["self"].get("type") == "application/atom+xml"
    assert links["alternate"].get("type") == "text/html"


def test_each_entry_has_each_required_element_once(shown: Session) -> None:
    entries = atom(shown).findall(f"{A}entry")
    assert len(entries) > 1
    for entry in entries:
        for name in ("id", "title", "updated", "published", "content"):
            assert len(entry.findall(f"{A}{name}")) == 1
            assert entry.findtext(f"{A}{name}", "").strip()
        for name in ("updated", "published"):
            assert re.fullmatch(MOMENT, entry.findtext(f"{A}{name}", ""))
        assert len(entry.findall(f"{A}link[@rel='alternate']")) == 1
        assert all(category.get("term") for category in entry.findall(f"{A}category"))
        assert entry.findtext(f"{A}author/{A}name")
    ids = [entry.findtext(f"{A}id") for entry in entries]
    assert len(set(ids)) == len(ids)


def test_a_feed_reader_finds_no_fault(shown: Session) -> None:
    found = feedparser.parse(visit(shown, "feed.atom").content)
    assert not found.bozo
    assert found.version == "atom10"
    assert len(found.entries) == Story.objects.filter(state__in=("airing", "aired")).count()


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://example.org/a b", "https://example.org/a%20b"),
        ("https://example.org/ä?q=ü#ö", "https://example.org/%C3%A4?q=%C3%BC#%C3%B6"),
        ("https://example.org/%C3%A4", "https://example.org/%C3%A4"),
        ("https://example.org/a?ref=1&id=2#!x", "https://example.org/a?ref=1&id=2#!x"),
        ("https://example.org/<x>", "https://example.org/%3Cx%3E"),
        ('https://example.org/"x"', "https://example.org/%22x%22"),
    ],
)
def test_addresses_of_sources_are_written_as_addresses(
    shown: Session, url: str, written: str
) -> None:
    SourcePost.objects.update(url=url)
    link = atom(shown).find(f"{A}entry/{A}link[@rel='via']")
    assert link is not None
    assert link.get("href") == written
    assert re.fullmatch(URI, written)
    assert json.loads(visit(shown, "feed.json").content)["items"][0]["external_url"] == written


@pytest.mark.parametrize("title", ["", " ", "\x0b\x00"])
def test_a_headline_that_is_empty_has_a_title_nevertheless(shown: Session, title: str) -> None:
    Story.objects.update(title=title.replace("\x00", ""), topics=["", "\x0b", "tides"])
    entry = atom(shown).find(f"{A}entry")
    assert entry is not None
    assert entry.findtext(f"{A}title") == "Untitled"
    terms = [category.get("term") for category in entry.findall(f"{A}category")]
    assert terms == ["tides", "algorithmicMedia"]
    item = json.loads(visit(shown, "feed.json").content)["items"][0]
    assert (item["title"], item["tags"]) == ("Untitled", ["tides"])


def test_the_json_feed_has_what_its_version_requires(shown: Session) -> None:
    answer = visit(shown, "feed.json")
    assert answer["Content-Type"] == "application/feed+json"
    feed = json.loads(answer.content)
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["title"] == "Harbour & news"
    for name in ("home_page_url", "feed_url", "icon"):
        assert re.fullmatch(URI, feed[name])
    assert feed["icon"].endswith("/cover.png")
    assert feed["authors"] == [{"name": "Harbour & news"}]
    assert feed["language"] == "en"
    # An extension is an object whose name begins with an underscore.
    extensions = [name for name in feed if name.startswith("_")]
    assert [type(feed[name]) for name in extensions] == [dict]
    ids = [item["id"] for item in feed["items"]]
    assert len(set(ids)) == len(ids) > 1
    for item in feed["items"]:
        assert isinstance(item["id"], str)
        assert item["content_text"]
        assert re.fullmatch(URI, item["url"])
        assert re.fullmatch(MOMENT, item["date_published"])
        assert re.fullmatch(MOMENT, item["date_modified"])
        assert all(author["name"] for author in item["authors"])
