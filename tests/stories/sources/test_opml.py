"""Lists of feeds from outside: read with bounds and without entities, and written for other readers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from sessions_app.errors import Invalid
from sessions_app.models import Session
from stories.models import Source
from stories.sources import opml
from stories.sources.registry import opml_lines, pasted_lines

OPML = """<?xml version="1.0" encoding="ISO-8859-1"?>
<opml version="2.0"><head><title>Mine</title></head><body>
  <outline text="News">
    <outline type="rss" text="Harbour" xmlUrl="https://harbour.example/feed.xml" htmlUrl="https://x.example/"/>
    <outline text="Science" xmlurl=" https://www.reddit.com/r/science/.rss "/>
    <outline type="rss" url="https://old.example/rss"/>
    <outline type="rss" text="Twice" xmlUrl="https://harbour.example/feed.xml"/>
    <outline type="link" url="https://no-feed.example/"/>
  </outline>
</body></opml>"""
FEEDS = ["https://harbour.example/feed.xml", "r/science", "https://old.example/rss"]
BOMB = """<?xml version="1.0"?><!DOCTYPE opml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>
<opml><body><outline text="&b;" xmlUrl="https://harbour.example/feed.xml"/></body></opml>"""
FILE = """<!DOCTYPE opml [<!ENTITY f SYSTEM "file:///etc/passwd">]><opml><body>
<outline xmlUrl="https://x.example/&f;"/></body></opml>"""


def test_the_feeds_of_a_file_are_read_whoever_wrote_it() -> None:
    for document in (OPML, OPML.encode("latin-1")):
        found = [line.source.locator for line in opml_lines(document) if line.source]
        assert found == FEEDS
    assert [
        line.source and line.source.locator for line in pasted_lines(f"\ufeff\n{OPML}")
    ] == FEEDS


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (BOMB, "not a valid OPML file"),
        (FILE, "not a valid OPML file"),
        (OPML[:200], "not a valid OPML file"),
        (b"\xff\xfe\x00", "not a valid OPML file"),
        ("<html><body/></html>", "is not OPML"),
        ("<opml><body><outline text='x'/></body></opml>", "names no feed"),
        (b"x" * 1_000_001, "larger than 1 MB"),
        (
            "<opml><body>"
            + "".join(f"<outline xmlUrl='https://{n}.example'/>" for n in range(501)),
            "not a valid OPML file",
        ),
    ],
)
def test_what_is_no_list_of_feeds_is_refused_with_a_sentence(
    document: str | bytes, sentence: str
) -> None:
    with pytest.raises(Invalid, match=sentence):
        opml.addresses(document)


def test_a_file_written_here_is_read_here() -> None:
    feeds = [("Harbour & Co", "https://harbour.example/feed.xml?a=1&b=2")]
    written = opml.document("Mine\x07 <here>", feeds)
    assert opml.addresses(written) == ["https://harbour.example/feed.xml?a=1&b=2"]
    assert b"<title>Mine &lt;here&gt;</title>" in written


@pytest.mark.django_db
def test_sources_leave_and_enter_a_session_as_opml(
    session: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    browser, page = client_of(owner), f"/sessions/{session.pk}/"
    for line in ("r/space new", "https://harbour.example/feed.xml"):
        assert browser.post(f"{page}sources/", {"locator": line}).status_code == 302
    exported = browser.get(f"{page}sources.opml")
    assert exported["Content-Type"] == "text/x-opml; charset=utf-8"
    # The recording is no feed.
    assert opml.addresses(exported.content) == [
        "https://www.reddit.com/r/space/.rss",
        "https://harbour.example/feed.xml",
    ]
    Source.objects.filter(session=session, kind="rss").update(enabled=False)
    upload = SimpleUploadedFile("feeds.opml", OPML.encode("latin-1"))
    answer = browser.post(f"{page}sources/import/", {"file": upload})
    assert answer["Location"].startswith(f"{page}?feeds=3&known=0&added=")
    names = Source.objects.filter(session=session, enabled=True).values_list("locator", flat=True)
    assert set(names) == {"demo", "r/space", *FEEDS}
    bad = SimpleUploadedFile("feeds.opml", OPML.replace("old.example/rss", "x.com/name").encode())
    refused = browser.post(f"{page}sources/import/", {"file": bad})
    assert refused.status_code == 422
    assert "0 added, 1 refused" in refused.content.decode()
    assert "locator:" not in refused.content.decode()


def test_a_pasted_text_of_any_size_is_refused_at_once() -> None:
    """The square of the length would be minutes, and so would a look at each of many lines."""
    for text in ("([{" * 60_000 + "}])" * 60_000, "“" * 190_000):
        [line] = pasted_lines(text)
        assert (line.source, line.reason) == (None, "locator must not exceed 4,000 characters.")
    assert [line.text for line in pasted_lines("%\n" * 99_000)] == ["%"]
    with pytest.raises(Invalid, match="At most 500 sources can be added at once"):
        pasted_lines("\n".join(f"{number}.example" for number in range(501)))
    assert len(pasted_lines("\n".join(f"{number}.example" for number in range(500)))) == 500


def test_characters_that_xml_cannot_have_leave_a_file_readable() -> None:
    feeds = [
        ("Tides\x0b\ufffe", "https://a.example/\x01tides"),
        ("Odd \ud800", "https://b.example/"),
    ]
    written = opml.document("A\x00 list", feeds)
    assert opml.addresses(written) == ["https://a.example/tides", "https://b.example/"]
    with pytest.raises(Invalid, match="names no feed"):
        opml.addresses("<opml>\ud800</opml>")
