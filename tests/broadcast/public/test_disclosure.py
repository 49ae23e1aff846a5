"""The public pages and feeds say that software made the stories, to people and to machines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from sessions_app import sessions
from sessions_app.models import Session
from stories.models import SourcePost, Story
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)

ATOM = {"a": "http://www.w3.org/2005/Atom"}
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
BY_MODEL = "Written by claude-haiku-5-5 and read by a synthetic voice."
VERBATIM = (
    "Verbatim from the source, selected and introduced by software and read by a synthetic voice."
)


@pytest.fixture
@made_once
def shown(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """A visible session on air; its stories are taken verbatim from their posts."""
    session = make_session("Harbour news", model="extractive", pace=180)
    go_live(session)
    run_due_steps(session, most=3)
    return sessions.show(session, True)


@pytest.fixture
@made_once
def several(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """A visible session with several aired stories."""
    session = make_session("Harbour news", model="extractive", pace=0)
    go_live(session)
    run_due_steps(session, most=24)
    Story.objects.update(state="aired")
    return sessions.show(session, True)


def written_by_a_model(**more: Any) -> None:
    Story.objects.update(origin="model", model="claude-haiku-5-5", **more)


def visit(session: Session, part: str = "") -> str:
    answer = Client().get(f"/watch/{session.watch_token}/{part}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def structured(session: Session) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/ld\+json">(.*?)</script>', visit(session), re.DOTALL
    )
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


@pytest.mark.parametrize("part", ["", "overlay/"])
def test_the_page_says_how_the_story_on_air_was_made(shown: Session, part: str) -> None:
    assert f'<p class="ai-label" lang="en">{VERBATIM}</p>' in visit(shown, part)
    written_by_a_model()
    assert f'<p class="ai-label" lang="en">{BY_MODEL}</p>' in visit(shown, part)


def test_the_watch_page_says_it_once_of_its_list_and_of_each_story_that_differs(
    several: Session,
) -> None:
    assert Story.objects.count() > 2
    page = visit(several)
    assert "Stories here are written and read by software" in page
    listed = page[page.index('id="aired-head"') :]
    assert f"Unless a story says otherwise: {VERBATIM}</p>" in listed
    assert listed.count('class="ai-label"') == 1
    other = Story.objects.order_by("id")[0]
    Story.objects.filter(pk=other.pk).update(origin="model", model="claude-haiku-5-5")
    listed = visit(several)
    listed = listed[listed.index('id="aired-head"') :]
    assert f"Unless a story says otherwise: {VERBATIM}</p>" in listed
    assert listed.count('class="ai-label"') == 2
    assert f'<p class="ai-label" lang="en">{BY_MODEL}</p>' in listed


def test_each_story_says_it_where_no_label_means_that_an_editor_answers(several: Session) -> None:
    sessions.change(several, ai_label="unreviewed")
    page = visit(several)
    assert "Unless a story says otherwise" not in page
    listed = page[page.index('id="aired-head"') :]
    assert listed.count('class="ai-label"') == Story.objects.count()


def test_an_approved_story_says_so(shown: Session) -> None:
    written_by_a_model(approved_at=timezone.now())
    assert f"{BY_MODEL} Approved by an editor." in visit(shown)
    Story.objects.update(approved_as="Olga <N>")
    assert "Approved by Olga &lt;N&gt;." in visit(shown)


def test_without_the_label_the_mark_for_machines_stays(shown: Session) -> None:
    written_by_a_model(approved_at=timezone.now(), label_off=True)
    sessions.change(shown, ai_label="unreviewed")
    page = visit(shown)
    assert 'class="ai-label"' not in page
    assert "Stories without such a line were approved by an editor." in page
    [article] = structured(shown)["hasPart"]
    assert article["digitalSourceType"] == f"{IPTC}trainedAlgorithmicMedia"
    assert article["editor"] == {"@type": "Person", "name": "an editor"}
    assert f"{IPTC}" in visit(shown, "feed.atom")


def test_the_structured_data_names_maker_and_origin(shown: Session) -> None:
    written_by_a_model()
    SourcePost.objects.update(url="https://example.org/tides?a=1&b=2")
    document = structured(shown)
    assert document["@context"] == "https://schema.org"
    assert document["creator"] == {"@type": "SoftwareApplication", "name": "SMNB"}
    [article] = document["hasPart"]
    assert article["@type"] == "NewsArticle"
    assert article["creator"] == {"@type": "SoftwareApplication", "name": "claude-haiku-5-5"}
    [basis] = article["isBasedOn"]
    assert basis["url"] == "https://example.org/tides?a=1&b=2"
    assert article["digitalSourceType"] == f"{IPTC}trainedAlgorithmicMedia"
    assert article["creditText"] == BY_MODEL


@pytest.mark.parametrize(
    "title", ["</script><script>alert(1)</script>", "<!-- <script>", "a & b", "line\u2028break"]
)
def test_no_headline_ends_the_structured_data(shown: Session, title: str) -> None:
    Story.objects.update(title=title)
    assert structured(shown)["hasPart"][0]["headline"] == title
    assert "<script>alert" not in visit(shown)


def test_a_story_of_an_editor_is_not_said_to_be_softwares(shown: Session) -> None:
    Story.objects.update(origin="manual", post=None, approved_as="Olga N.")
    assert "Written by Olga N. and read by a synthetic voice." in visit(shown)
    assert structured(shown)["hasPart"][0]["creator"] == {"@type": "Person", "name": "Olga N."}


def test_the_atom_feed_says_it_in_its_rights_authors_and_categories(shown: Session) -> None:
    written_by_a_model()
    feed = ET.fromstring(visit(shown, "feed.atom"))
    assert feed.findtext("a:rights", "", ATOM) == (
        "Written and read by software; each entry names its maker."
    )
    assert feed.findtext("a:generator", "", ATOM) == "SMNB"
    entry = feed.find("a:entry", ATOM)
    assert entry is not None
    assert entry.findtext("a:author/a:name", "", ATOM) == "claude-haiku-5-5"
    category = entry.find(f"a:category[@scheme='{IPTC}']", ATOM)
    assert category is not None
    assert (category.get("term"), category.get("label")) == ("trainedAlgorithmicMedia", BY_MODEL)
    assert BY_MODEL in entry.findtext("a:content", "", ATOM)


def test_the_json_feed_says_it_in_an_extension_and_in_the_text(shown: Session) -> None:
    written_by_a_model()
    feed = json.loads(visit(shown, "feed.json"))
    assert feed["_smnb"]["text"] == "Written and read by software; each item names its maker."
    assert feed["_smnb"]["about"]
    item = feed["items"][0]
    assert item["authors"] == [{"name": "claude-haiku-5-5"}]
    assert item["_smnb"] == {
        "text": BY_MODEL,
        "writer": "model",
        "maker": "claude-haiku-5-5",
        "model": "claude-haiku-5-5",
        "edited": False,
        "approved": False,
        "editor": "",
        "labelled": True,
        "source_type": f"{IPTC}trainedAlgorithmicMedia",
    }
    assert BY_MODEL in item["content_text"]


def test_a_story_recorded_before_it_was_disclosed_is_labelled_in_general() -> None:
    story = {
        "id": 1,
        "title": "Tide",
        "narrative": "It is so.",
        "tone": "analysis",
        "state": "aired",
    }
    for template in ("_story", "_on_air", "_lower_third"):
        page = render_to_string(f"public/{template}.html", {"story": story})
        assert '<p class="ai-label" lang="en">Written and read by software.</p>' in page
