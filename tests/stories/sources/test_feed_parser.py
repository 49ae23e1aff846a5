"""The parser program alone: what it reports of documents."""

from __future__ import annotations

import codecs
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stories.sources import feed_parser

ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><entry>%s</entry></feed>'
RSS = '<rss version="2.0"><channel><title>News</title><item>%s</item></channel></rss>'


def run(body: bytes, content_type: str = "application/xml") -> Any:
    """The report, in this process: a process of its own for each document takes longer than a test."""
    return json.loads(json.dumps(feed_parser.parsed(body, content_type)))


PEPPER = (RSS % "<title>Salt &amp;amp; pepper</title>").encode()


def read_beside(parser: feed_parser.Parser) -> str:
    """The title of a feed that is parsed in a process of its own."""
    title: str = parser.parse(PEPPER, "text/xml\nx: y")["entries"][0]["title"]
    return title


@pytest.fixture
def parser() -> Iterator[feed_parser.Parser]:
    made = feed_parser.Parser()
    yield made
    if made._running:
        made._running[1].kill()
        made._running[1].wait()


def test_a_process_of_its_own_gives_the_same_report(parser: feed_parser.Parser) -> None:
    assert parser.parse(PEPPER, "text/xml") == run(PEPPER, "text/xml")


def test_a_feed_whose_parser_hangs_or_dies_holds_up_no_other(parser: feed_parser.Parser) -> None:
    hanging = parser._ordered(time.monotonic() + 60)
    assert hanging is not None
    nested = b"<rss version='2.0'><channel>" + b"<item>" * 800_000
    with ThreadPoolExecutor() as threads:
        dying = threads.submit(parser.parse, nested, "")
        titles = list(threads.map(lambda _: read_beside(parser), range(4)))
        with pytest.raises(feed_parser.Unsafe):
            dying.result()
    assert titles == ["Salt &amp; pepper"] * 4
    # The one that was withheld its document so long still parses it.
    with hanging:
        hanging.sendall(b"text/xml\n" + PEPPER)
        hanging.shutdown(socket.SHUT_WR)
        assert hanging.recv(8) == len(json.dumps(run(PEPPER, "text/xml"))).to_bytes(8, "big")


def test_a_parser_has_three_seconds_and_half_a_gigabyte(parser: feed_parser.Parser) -> None:
    hanging = parser._ordered(time.monotonic() + 60)
    assert hanging is not None
    assert parser._running
    pid = parser._running[1].pid
    [child] = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    with hanging:
        assert resource.prlimit(child, resource.RLIMIT_CPU) == (3, 3)
        assert resource.prlimit(child, resource.RLIMIT_AS) == (512 * 2**20, 512 * 2**20)
        assert Path(f"/proc/{child}/environ").read_bytes() == b""


def test_a_killed_parser_is_replaced(parser: feed_parser.Parser) -> None:
    for _ in range(2):
        assert read_beside(parser) == "Salt &amp; pepper"
        assert parser._running
        process = parser._running[1]
        process.kill()
        process.wait()
    assert read_beside(parser) == "Salt &amp; pepper"
    assert parser._running
    assert parser._running[1] is not process


def test_an_idle_parser_ends_and_starts_again() -> None:
    parser = feed_parser.Parser(idle=0.05)
    for _ in range(2):
        assert read_beside(parser) == "Salt &amp; pepper"
        assert parser._running
        process = parser._running[1]
        # It is gone with its entry in the process table, although no further feed is read.
        until = time.monotonic() + 60
        while Path(f"/proc/{process.pid}").exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        assert process.wait() == 0


def test_a_fork_has_a_parser_of_its_own_and_no_lock_of_another_thread() -> None:
    script = f"""
import os, sys
sys.path.append({str(Path(__file__).parents[3])!r})
from stories.sources.feed_parser import parser
parser.parse({PEPPER!r}, "")
first = parser._running[1].pid
parser._lock.acquire()
if os.fork() == 0:
    print(parser.parse({PEPPER!r}, "")["entries"][0]["title"], parser._running[1].pid != first)
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""
    process = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, text=True, timeout=60
    )
    assert process.stdout == "Salt &amp; pepper True\n"


@pytest.mark.parametrize(
    ("document", "entry", "title", "text"),
    [
        (
            ATOM,
            "<title>Centre a &lt;div&gt;</title><summary>1 &lt; 2</summary>",
            ("Centre a <div>", "plain"),
            ("1 < 2", "plain"),
        ),
        (
            ATOM,
            '<title type="text">A &lt;b&gt;c&lt;/b&gt;</title>'
            '<content type="html">&lt;p&gt;One&lt;/p&gt;</content>',
            ("A <b>c</b>", "plain"),
            ("<p>One</p>", "html"),
        ),
        (
            ATOM,
            '<title type="html">A &amp;amp; B</title>'
            '<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">'
            "<p>1 &lt; 2</p></div></content>",
            ("A &amp; B", "html"),
            ("<p>1 &lt; 2</p>", "html"),
        ),
        (
            ATOM,
            "<title>A picture</title><summary>The quay.</summary>"
            '<content type="image/png">iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB</content>',
            ("A picture", "plain"),
            ("The quay.", "plain"),
        ),
        (
            RSS,
            "<title>Centre a &lt;div&gt;</title><description>&lt;b&gt;x&lt;/b&gt;</description>",
            ("Centre a <div>", ""),
            ("<b>x</b>", ""),
        ),
        (RSS, "<title>Salt &amp;amp; pepper</title>", ("Salt &amp; pepper", ""), ("", "")),
    ],
)
def test_an_entry_declares_how_title_and_text_are_read(
    document: str, entry: str, title: tuple[str, str], text: tuple[str, str]
) -> None:
    [read] = run((document % entry).encode())["entries"]
    assert (read["title"], read["title_type"]) == title
    assert (read["text"], read["text_type"]) == text


PROLOG = '<?xml version="1.0" encoding="%s"?>'
ITEM = "<item><title>%s</title><description>x</description></item>"
CAFE, BRIDGE, NEWS = "Caf\u00e9 \u2013 \u201copen\u201d", "\u041c\u043e\u0441\u0442", "\u8054\u901a"
SOME = "\u67d0\u67d0"
KANA = "\u6771\u4eac\u3067\u5730\u9707"
LONG = "Z\u00fcrich, K\u00f6ln und M\u00fcnchen: gr\u00f6\u00dfere \u00c4nderungen"


def rss(title: str, encoding: str | None = None) -> str:
    document = RSS.replace("<item>%s</item>", ITEM) % title
    return document if encoding is None else PROLOG % encoding + document


def spoken(language: str, title: str) -> str:
    return rss(title).replace("<item>", f"<language>{language}</language><item>")


@pytest.mark.parametrize(
    ("body", "content_type", "title"),
    [
        # UTF-8 under false labels.
        (rss(CAFE, "utf-16").encode(), "application/xml", CAFE),
        (rss(CAFE, "utf-8").encode(), "application/rss+xml; charset=utf-16", CAFE),
        (rss(CAFE, "windows-1252").encode(), "application/xml", CAFE),
        (rss(CAFE, "utf-8").encode(), "text/xml; charset=ISO-8859-1", CAFE),
        (rss(CAFE, "iso-8859-1").encode(), "text/html; charset=windows-1251", CAFE),
        (rss(CAFE).encode(), "text/xml", CAFE),
        (rss(CAFE).encode(), "text/plain; charset=no-such-charset", CAFE),
        (rss(CAFE, "unicode_escape").encode(), "text/xml; charset=utf-7", CAFE),
        # Marks, true and false ones.
        (codecs.BOM_UTF8 + rss(CAFE, "windows-1252").encode(), "application/xml", CAFE),
        (codecs.BOM_UTF8 * 2 + rss(CAFE).encode(), "application/xml", CAFE),
        (codecs.BOM_UTF8 + rss(CAFE, "utf-8").encode("cp1252"), "application/xml", CAFE),
        (codecs.BOM_UTF16_LE + rss(CAFE).encode("utf-16-le"), "text/xml; charset=utf-8", CAFE),
        (codecs.BOM_UTF16_BE + rss(CAFE, "utf-8").encode("utf-16-be"), "text/xml", CAFE),
        (codecs.BOM_UTF16_LE + rss(CAFE, "utf-16").encode(), "application/xml", CAFE),
        (rss(BRIDGE, "utf-16").encode("utf-16-le"), "application/xml", BRIDGE),
        (rss(BRIDGE).encode("utf-32-be"), "application/xml", BRIDGE),
        (rss(CAFE, "utf-16").encode("utf-16")[:-1], "application/xml", CAFE),
        # Other encodings: the label that fits.
        (rss(CAFE, "utf-8").encode("cp1252"), "application/xml; charset=utf-8", CAFE),
        (rss(CAFE, "iso-8859-1").encode("cp1252"), "application/xml", CAFE),
        (rss(BRIDGE, "windows-1251").encode("cp1251"), "text/xml; charset=utf-8", BRIDGE),
        (rss(BRIDGE, "windows-1251").encode("cp1251"), "text/xml; charset=iso-8859-1", BRIDGE),
        (rss(BRIDGE, "utf-8").encode("koi8-r"), "text/xml; charset=koi8-r", BRIDGE),
        (rss(NEWS, "gb2312").encode("gbk"), "text/xml", NEWS),
        (rss(NEWS).encode("gbk"), "text/xml; charset=gb2312", NEWS),
        # These bytes are valid UTF-8 by chance; a longer text is not.
        (rss(SOME, "gbk").encode("gbk"), "text/xml", SOME),
        (rss(SOME, "gbk").encode(), "text/xml", SOME),
        (rss(KANA, "shift_jis").encode("cp932"), "text/xml", KANA),
        (rss(KANA, "iso-2022-jp").encode("iso2022_jp"), "text/xml", KANA),
        (rss(KANA, "x-sjis").encode("cp932"), "text/xml", KANA),
        (rss(BRIDGE, "win-1251").encode("cp1251"), "text/xml", BRIDGE),
        # No label that fits, but a language.
        (spoken("ru", BRIDGE).encode("cp1251"), "text/xml", BRIDGE),
        (spoken("uk-UA", BRIDGE).encode("cp1251"), "text/xml; charset=utf-8", BRIDGE),
        (spoken("ja", KANA).encode("cp932"), "text/xml", KANA),
        (spoken("zh-TW", KANA[:2]).encode("big5"), "text/xml", KANA[:2]),
        (spoken("fr", CAFE).encode("cp1252"), "text/xml", CAFE),
        # Mostly UTF-8, with one byte of another encoding and one character cut in two.
        (rss(LONG + " caf|").encode().replace(b"|", b"\xe9"), "text/xml", LONG + " caf\u00e9"),
        (
            rss(LONG, "utf-8").encode().replace("\u00c4".encode(), b"\xc3"),
            "text/xml; charset=utf-8",
            LONG.replace("\u00c4", "\u00c3"),
        ),
    ],
)
def test_the_bytes_decide_the_encoding(body: bytes, content_type: str, title: str) -> None:
    [entry] = run(body, content_type)["entries"]
    assert entry["title"] == title


SUBSET = "<!DOCTYPE rss [%s]>" + rss("%s")


@pytest.mark.parametrize(
    ("declarations", "title", "expected"),
    [
        ('<!ENTITY eacute "&#233;">', "A caf&eacute;", "A caf\u00e9"),
        ("<!ENTITY outlet 'The Courier'>", "&outlet; reports", "The Courier reports"),
        ('<!ENTITY b "x&amp;y"><!ENTITY a "&b;, &b;">', "&a;", "x&y, x&y"),
        ('<!ENTITY a "first"><!ENTITY a "second">', "&a;", "first"),
        ('<!-- <!ENTITY a "comment"> --><!ENTITY a "a > b ]">', "&a;", "a > b ]"),
        ('<!ELEMENT rss ANY><!ENTITY % p SYSTEM "p.dtd"> %p;<!ENTITY a "ok">', "&a;", "ok"),
        ('<!ENTITY secret SYSTEM "file:///etc/hostname">', "[&secret;]", "[]"),
        ('<!ENTITY secret PUBLIC "x" "http://127.0.0.1/">', "[&secret;]", "[]"),
        ('<!ENTITY amp "and">', "a &amp; b", "a & b"),
        (
            "",
            "R&D, AT&T and M&S&nbsp;plc &hellip; &unknown;",
            "R&D, AT&T and M&S\u00a0plc \u2026 &unknown;",
        ),
        (
            "",
            "<![CDATA[How to write <!ENTITY name &eacute; &x;]]>",
            "How to write <!ENTITY name \u00e9 &x;",
        ),
        ("", "a&#0;b&#8;c&#xFFFE;d&#99999999999999999999;e&#x41;", "abcdeA"),
        ("", "a\x08b\x0bc\ufffed", "abcd"),
    ],
)
def test_entities_of_the_document_are_read_and_nothing_is_fetched(
    declarations: str, title: str, expected: str
) -> None:
    [entry] = run((SUBSET % (declarations, title)).encode())["entries"]
    assert entry["title"].replace("&eacute;", "\u00e9") == expected


@pytest.mark.parametrize(
    "text",
    [
        '<![CDATA[<!DOCTYPE x [<!ENTITY a "b">]> <!ENTITY c SYSTEM "d">]]>',
        '&lt;!ENTITY a "b"&gt;',
        "How &lt;!DOCTYPE html&gt; and &lt;!ENTITY work",
    ],
)
def test_an_entity_in_the_text_is_text(text: str) -> None:
    [entry] = run(rss(text).encode())["entries"]
    assert "<!ENTITY" in entry["title"]
    assert entry["text"] == "x"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\n\n \t\r\n", ""),
        ("\ufeff\n", "\n\n"),
        (
            "<br />\n<b>Warning</b>: Undefined variable in <b>/srv/x.php</b> on line <b>3</b><br />\n",
            "",
        ),
        (
            "PHP Notice: Undefined index: rss in /srv/feed.php\n<!-- cached <feed > page -->",
            "<!-- 0.3 seconds -->",
        ),
        ("<!-- generated by <rss version='2.0'> -->\n", "<script>track('</feed>')</script>"),
        ("", "</body></html>"),
        ("", "\n<?php echo 1; ?>\0\0\0"),
        ("<?xml version='1.0'?>", "&&&"),
    ],
)
@pytest.mark.parametrize("encoding", [None, "utf-8"])
def test_what_surrounds_the_document_does_no_harm(
    before: str, after: str, encoding: str | None
) -> None:
    document = rss("Centre a &lt;div&gt; in &quot;pages&quot;", encoding)
    feed = run((before + document + after).encode())
    assert feed["version"] == "rss20"
    assert [entry["title"] for entry in feed["entries"]] == ['Centre a <div> in "pages"']


def test_a_body_is_never_taken_for_the_name_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    path.write_text(rss("A local file"))
    assert run(str(path).encode())["entries"] == []


JSON_FEED = {
    "version": "https://jsonfeed.org/version/1.1",
    "title": "News",
    "home_page_url": "https://news.example/",
    "authors": [{"name": "The Desk"}],
    "items": [
        {
            "id": 7,
            "url": "https://news.example/7",
            "title": "Centre a <div>",
            "content_text": "1 < 2",
            "date_published": "2026-11-28T17:30:07+01:00",
            "authors": [{"name": "Ada"}, {"url": "x"}, {"name": "Ben"}],
        },
        {
            "id": "https://news.example/8",
            "external_url": "https://other.example/8",
            "content_html": "<p>One</p>",
            "content_text": "A longer text than the markup has.",
            "author": {"name": "Cora"},
            "date_modified": "2026-11-28T10:00:00",
        },
        "no item",
        {"id": "https://news.example/9", "title": None, "summary": "In short."},
    ],
}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(JSON_FEED).encode(),
        codecs.BOM_UTF8 + json.dumps(JSON_FEED).encode(),
        json.dumps(JSON_FEED).encode("utf-16"),
        b"<b>Warning</b>: x\n" + json.dumps(JSON_FEED, indent=1).encode() + b"\n<!-- cached -->",
        json.dumps({**JSON_FEED, "version": "https://jsonfeed.org/version/1"}).encode(),
    ],
)
def test_a_json_feed_is_read(body: bytes) -> None:
    feed = run(body, "application/feed+json")
    assert feed["link"] == "https://news.example/"
    first, second, third = feed["entries"]
    assert (first["id"], first["link"]) == ("7", "https://news.example/7")
    assert (first["title"], first["title_type"]) == ("Centre a <div>", "plain")
    assert (first["text"], first["text_type"]) == ("1 < 2", "plain")
    assert first["author"] == "Ada, Ben"
    assert (first["date"], first["updated"]) == ("2026-11-28T17:30:07+01:00", "")
    assert (second["text"], second["text_type"]) == ("<p>One</p>", "html")
    assert (second["author"], second["link"]) == ("Cora", "https://other.example/8")
    assert second["date"] == second["updated"] == "2026-11-28T10:00:00"
    assert (third["link"], third["text"]) == ("https://news.example/9", "In short.")
    assert (third["title"], third["author"]) == ("", "The Desk")


@pytest.mark.parametrize(
    "body",
    [
        b'{"items": []}',
        b'{"version": "https://jsonfeed.org/version/1.1"}',
        b'{"version": "https://jsonfeed.org/version/1.1", "items": {}}',
        b'{"version": "2.0", "items": [{"id": "1", "title": "x"}]}',
        b'{"version": "https://jsonfeed.org.evil.example/version/1", "items": []}',
        b'[{"id": "1"}]',
        b'{"a":' * 100_000,
    ],
)
def test_other_json_is_no_feed(body: bytes) -> None:
    feed = run(body, "application/json")
    assert (feed["version"], feed["entries"]) == ("", [])
