"""The parser program alone: what it reports of documents, read from its output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PARSER = Path(__file__).parents[3] / "stories/sources/feed_parser.py"
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><entry>%s</entry></feed>'
RSS = '<rss version="2.0"><channel><title>News</title><item>%s</item></channel></rss>'


def run(body: bytes, content_type: str = "application/xml") -> Any:
    process = subprocess.run(
        [sys.executable, "-I", str(PARSER), content_type],
        input=body,
        stdout=subprocess.PIPE,
        check=True,
        env={},
    )
    return json.loads(process.stdout)


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
            ("Centre a <div>", "plain"),
            ("<b>x</b>", "html"),
        ),
        (RSS, "<title>Salt &amp;amp; pepper</title>", ("Salt &amp; pepper", "html"), ("", "plain")),
    ],
)
def test_an_entry_declares_how_title_and_text_are_read(
    document: str, entry: str, title: tuple[str, str], text: tuple[str, str]
) -> None:
    [read] = run((document % entry).encode())["entries"]
    assert (read["title"], read["title_type"]) == title
    assert (read["text"], read["text_type"]) == text
