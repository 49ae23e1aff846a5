from __future__ import annotations

import pytest

from stories.text.addresses import MAX_URL, canonical_url


@pytest.mark.parametrize("rest", ["<" * 1_000_000, "." * 1_000_000, "a" + "\u0301" * 1_000_000])
def test_a_hostile_address_is_dropped(rest: str) -> None:
    assert canonical_url("https://example.org/" + rest) == ""


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        (
            "HTTPS://Example.ORG:443/News?utm_source=a&b=1&fbclid=c#top",
            "https://example.org/News?b=1",
        ),
        ("http://example.org:8080", "http://example.org:8080/"),
        ("http://example.org./x?ref=front&gclid=1", "http://example.org/x?ref=front"),
        ("https://example.org/#!/post/3", "https://example.org/#!/post/3"),
        (
            "https://example.org/?p=7&si=1&id=2&share_id=3&rss=4",
            "https://example.org/?p=7&si=1&id=2&share_id=3&rss=4",
        ),
        ("\thttps://exam\nple.org/a b", "https://example.org/a%20b"),
        ("https://b\u00fccher.example/\u6e2f", "https://xn--bcher-kva.example/%E6%B8%AF"),
        ("https://[::1]/x", "https://[::1]/x"),
        ("/story?id=7", "https://example.org/story?id=7"),
        ("//cdn.example.org/a", "https://cdn.example.org/a"),
    ],
)
def test_an_address_has_one_canonical_form(url: str, canonical: str) -> None:
    assert canonical_url(url, "https://example.org/feed/") == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "ftp://example.org/",
        "https://user:secret@example.org/",
        "https://example.org\\@evil.example/",
        "https://example.org:99999/",
        "https://[broken/",
        "https:///nowhere",
        "https://exa mple.org/",
        "https://\ud800.example/",
        "https://example.org/" + "x" * MAX_URL,
    ],
)
def test_an_address_that_cannot_be_trusted_is_dropped(url: str) -> None:
    assert canonical_url(url) == ""
