"""Artwork: drawn from the topics of a story, the same each time, and made of shapes alone."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from django.test import Client

from stories import artwork
from stories.templatetags import stories as filters

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["Storms", "Council"], "columns-12"),
        (["Storms", "Village"], "waves-12"),
        (["Mill", "The mill pond freezes"], "hills-12"),
        (["Elections"], "columns-12"),
        (["Football"], "arena-12"),
        (["Zinsen", "Die Bank erhöht"], "chart-12"),
        (["Straßenfest"], "mosaic-12"),
        ([], "mosaic-12"),
        ([None, 3, {"a": 1}], "mosaic-12"),
    ],
)
def test_topics_name_the_motif_and_other_languages_get_a_neutral_one(
    texts: list[object], name: str
) -> None:
    assert artwork.name_of(12, texts) == name


def test_stories_of_a_thread_have_one_picture() -> None:
    thread = {"id": 7, "relation": ""}
    first = {"id": 1, "title": "Flood at the weir", "topics": ["Flood"], "thread": thread}
    later = {"id": 9, "title": "Flood: the weir holds", "topics": ["Flood"], "thread": thread}
    other = {"id": 7, "title": "Bank opens", "topics": None, "thread": None}
    assert filters.artwork(first) == filters.artwork(later) == "/artwork/waves-7.svg"
    assert filters.artwork(other) == "/artwork/chart-7.svg"


@pytest.mark.parametrize("motif", artwork.MOTIFS)
def test_each_motif_is_drawn_the_same_each_time_and_differs_by_number(motif: str) -> None:
    pictures = [artwork.picture(f"{motif}-{number}") for number in (1, 1, 2)]
    written = [artwork.svg(picture) for picture in pictures if picture is not None]
    assert written[0] == written[1] != written[2]
    assert 1000 < len(written[0]) < 16_000
    root = ET.fromstring(written[0])
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "defs", "linearGradient", "stop", "rect", "path", "circle"}
    assert not "".join(root.itertext()).strip()


@pytest.mark.parametrize(
    "name", ["", "waves", "waves-", "waves--1", "Waves-1", "waves-1x", "nope-1", f"waves-{10**18}"]
)
def test_a_name_of_another_form_draws_nothing(name: str) -> None:
    assert artwork.picture(name) is None


def test_the_address_of_a_picture_is_public_cacheable_and_reads_no_row() -> None:
    # Without the database fixture any query would fail the test.
    answer = Client().get("/artwork/waves-7.svg")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/svg+xml"
    assert answer["Cache-Control"] == "public, max-age=604800"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert not answer.cookies
    assert "Cookie" not in answer.get("Vary", "")
    assert answer.content.decode() == artwork.svg(artwork.picture("waves-7"))  # type: ignore[arg-type]
    assert Client().get("/artwork/nope-7.svg").status_code == 404
    assert Client().post("/artwork/waves-7.svg").status_code == 405
