"""The HTTP client over real sockets: answers, limits and refusals."""

from __future__ import annotations

import codecs
import gzip
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from sessions_app.errors import NeedsHuman, Retry, SmnbError, WaitUntil
from stories.sources.http_answers import TooLarge, retry_after_of, unpacked
from stories.sources.http_client import GuardedClient
from tests.standins.certificates import certificate
from tests.standins.feeds import FeedStandIn
from tests.standins.server import Recorded, StandIn

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def client(**changes: Any) -> GuardedClient:
    given = {"allow_private": True, "user_agent": "smnb-tests", "deadline": 5.0, **changes}
    return GuardedClient(**given)


class Saying(StandIn):
    """Answers every request with the same headers and bytes, or with a redirect."""

    body = b"hello"
    status = 200

    def __init__(self) -> None:
        super().__init__()
        self.headers: dict[str, str] = {}

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.reply(request, self.status, self.body, self.headers)


@pytest.fixture
def site() -> Iterator[FeedStandIn]:
    with FeedStandIn() as stand_in:
        stand_in.publish("news", [("One headline", "One text.")])
        yield stand_in


@pytest.fixture
def saying() -> Iterator[Saying]:
    with Saying() as stand_in:
        yield stand_in


def test_a_page_is_read_with_its_headers_in_any_case(site: FeedStandIn) -> None:
    response = client().get(f"{site.url}/feed/news.xml")
    assert (response.status, response.url) == (200, f"{site.url}/feed/news.xml")
    assert response.headers["ETAG"] == response.headers["etag"]
    assert b"One headline" in response.body


def test_the_request_says_who_asks_and_carries_the_headers_given(saying: Saying) -> None:
    client().get(f"{saying.url}/a?b=c", {"If-None-Match": '"x"\r\nEvil: 1'})
    [request] = saying.requests
    assert request.path == "/a?b=c"
    assert request.headers["User-Agent"] == "smnb-tests"
    assert request.headers["If-None-Match"] == '"x"Evil: 1'
    assert request.headers["Host"] == f"127.0.0.1:{saying.port}"


def test_an_unchanged_page_is_304_without_a_body(site: FeedStandIn) -> None:
    first = client().get(f"{site.url}/feed/news.xml")
    again = client().get(first.url, {"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("number", [1, 4, 10])
def test_a_few_redirects_are_followed(site: FeedStandIn, number: int) -> None:
    response = client().get(f"{site.url}/redirect/{number}")
    assert response.url == f"{site.url}/feed/news.xml"


def test_more_redirects_than_ten_are_too_many(site: FeedStandIn) -> None:
    with pytest.raises(NeedsHuman, match="redirects more than 10 times"):
        client().get(f"{site.url}/redirect/11")
    assert len(site.requests) == 11


def test_a_circle_is_named_at_its_second_round(site: FeedStandIn) -> None:
    site.answer("/a", 302, [("Location", b"/b")])
    site.answer("/b", 302, [("Location", b"/a#top")])
    for path, requests in (("/loop", 1), ("/a", 2)):
        site.requests.clear()
        with pytest.raises(NeedsHuman, match="redirects in a circle") as caught:
            client().get(site.url + path)
        assert caught.value.code == "redirect_loop"
        assert len(site.requests) == requests


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (b"/my feed.xml", "/my%20feed.xml"),
        (b"/two  spaces.xml", "/two%20%20spaces.xml"),
        ("/caf\u00e9".encode(), "/caf%C3%A9"),
        # Its last byte is a no-break space in Latin-1.
        ("/voil\u00e0 ".encode(), "/voil%C3%A0"),
        (b"/caf\xe9?q=\xe9 x", "/caf%E9?q=%E9%20x"),
        ("/\u0646\u06cc\u0648\u0632".encode(), "/%D9%86%DB%8C%D9%88%D8%B2"),
        (b"/100%25?a=%C3%A9&b=[1]", "/100%25?a=%C3%A9&b=[1]"),
        (b"next?x=1#part", "/old/next?x=1"),
        (b"../up.xml", "/up.xml"),
        (b"\\windows\\feed.xml", "/windows/feed.xml"),
        (b'/a<b>|"c"', "/a%3Cb%3E%7C%22c%22"),
    ],
)
def test_a_location_is_read_as_browsers_do(site: FeedStandIn, location: bytes, path: str) -> None:
    address = site.answer("/old/feed", 301, [("Location", location)])
    site.answer(path, 200, [], b"found")
    response = client().get(address)
    assert response.body == b"found"
    assert site.requests[-1].path == path


def test_a_location_without_a_scheme_or_with_a_foreign_host_is_followed(site: FeedStandIn) -> None:
    near = site.answer("/near", 302, [("Location", f"//near.example:{site.port}/to".encode())])
    far = f"http://fa\u00df.example:{site.port}/to".encode()
    site.answer("/far", 302, [("Location", far)])
    site.answer("/to", 200, [], b"found")
    for address, host in (
        (near, f"near.example:{site.port}"),
        (f"{site.url}/far", f"xn--fa-hia.example:{site.port}"),
    ):
        assert client(resolver=here).get(address).body == b"found"
        assert site.requests[-1].headers["Host"] == host


def test_a_redirect_to_the_same_address_is_followed_with_its_cookie(site: FeedStandIn) -> None:
    def once(request: Recorded) -> bytes:
        if "seen=1" in request.headers.get("Cookie", ""):
            return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfound"
        cookies = b"Set-Cookie: seen=1; Path=/; HttpOnly\r\nSet-Cookie: lang=en"
        return b"HTTP/1.1 302 Found\r\nLocation: /feed\r\n%s\r\n\r\n" % cookies

    site.answers["/feed"] = once
    reader = client()
    assert reader.get(f"{site.url}/feed").body == b"found"
    assert site.requests[-1].headers["Cookie"] == "seen=1; lang=en"
    # The next request begins without the cookies of the last one.
    reader.get(f"{site.url}/feed")
    assert [request.headers.get("Cookie") for request in site.requests] == [
        None,
        "seen=1; lang=en",
        None,
        "seen=1; lang=en",
    ]


@pytest.mark.parametrize(
    ("attributes", "sub", "other"),
    [
        (b"", None, None),
        (b"; Domain=site.example", "a=1", None),
        (b"; Domain=example", None, None),
        (b"; Domain=other.test", None, None),
        (b"; Secure; Domain=site.example", None, None),
        (b"; Path=/elsewhere; Domain=site.example", None, None),
        (b"; Max-Age=0; Domain=site.example", None, None),
    ],
)
def test_a_cookie_goes_to_the_domain_it_is_of_and_nowhere_else(
    site: FeedStandIn, attributes: bytes, sub: str | None, other: str | None
) -> None:
    steps = (("/1", "www.site.example", "/2"), ("/2", "other.test", "/3"))
    for path, host, to in steps:
        location = f"http://{host}:{site.port}{to}".encode()
        cookie = [("Set-Cookie", b"a=1" + attributes)] if path == "/1" else []
        site.answer(path, 302, [("Location", location), *cookie])
    site.answer("/3", 200, [], b"found")
    client(resolver=here).get(f"http://site.example:{site.port}/1")
    got = [request.headers.get("Cookie") for request in site.requests]
    assert got == [None, sub, other]


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ([], r"redirects to no address \(302\)"),
        ([("Location", b"")], "redirects in a circle"),
        ([("Location", b"ftp://site.example/feed")], "begin with http:// or https://"),
        ([("Location", b"http://\xff\xfe.example/")], "cannot be read"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_named(
    site: FeedStandIn, headers: list[tuple[str, bytes]], sentence: str
) -> None:
    with pytest.raises(SmnbError, match=sentence):
        client().get(site.answer("/feed", 302, headers))


def test_permanent_redirects_at_the_beginning_say_where_the_feed_moved(site: FeedStandIn) -> None:
    site.answer("/1", 301, [("Location", b"/2")])
    site.answer("/2", 308, [("Location", b"/3")])
    site.answer("/3", 302, [("Location", b"/4")])
    site.answer("/4", 301, [("Location", b"/5")])
    site.answer("/5", 200, [], b"found")
    moved = [client().get(f"{site.url}/{number}").moved_to for number in (1, 3, 4, 5)]
    assert moved == [f"{site.url}/3", "", f"{site.url}/5", ""]


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/",
        "file:///etc/passwd",
        "//u:word@example.org/",
        "http://[::1",
    ],
)
def test_each_redirect_is_judged_like_the_first_address(saying: Saying, location: str) -> None:
    saying.status, saying.headers = 302, {"Location": location}
    with pytest.raises(NeedsHuman) as caught:
        client(allow_private=False).get(saying.url, trusted=True)
    assert caught.value.code == "address_refused"
    assert len(saying.requests) == 1


def test_trust_ends_where_a_redirect_leaves_the_trusted_host(
    saying: Saying, site: FeedStandIn
) -> None:
    saying.status, saying.headers = 302, {"Location": f"{site.url}/feed/news.xml"}
    with pytest.raises(NeedsHuman, match="port"):
        client(allow_private=False).get(saying.url, trusted=True)
    assert site.requests == []


def test_a_redirect_to_another_host_gets_no_credentials(saying: Saying, site: FeedStandIn) -> None:
    saying.status, saying.headers = 302, {"Location": f"{site.url}/feed/news.xml"}
    client().get(saying.url, {"Authorization": "bearer secret", "Accept": "a/b"})
    assert saying.requests[0].headers["Authorization"] == "bearer secret"
    assert site.requests[0].headers["Authorization"] is None
    assert site.requests[0].headers["Accept"] == "a/b"


def test_a_private_address_is_refused_unless_it_is_the_operators_own(saying: Saying) -> None:
    with pytest.raises(NeedsHuman, match="private network"):
        client(allow_private=False).get("http://127.0.0.1/")
    assert client(allow_private=False).get(saying.url, trusted=True).status == 200
    assert len(saying.requests) == 1


def test_the_connection_goes_to_the_address_that_was_judged(saying: Saying) -> None:
    looked_up: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    response = client(resolver=resolve).get(f"http://feeds.example:{saying.port}/")
    assert response.body == b"hello"
    assert saying.requests[0].headers["Host"] == f"feeds.example:{saying.port}"
    assert looked_up == ["feeds.example"]


def test_the_next_address_of_a_name_is_tried_when_the_first_is_dead(saying: Saying) -> None:
    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, 1, 6, "", (host, port)) for host in ("127.9.9.9", "127.0.0.1")]

    assert client(resolver=resolve).get(f"http://two.example:{saying.port}/").status == 200


def test_proxies_of_the_environment_are_not_asked(
    saying: Saying, site: FeedStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, saying.url)
    client().get(f"{site.url}/feed/news.xml")
    assert saying.requests == []


@pytest.mark.parametrize("path", ["/trickle", "/trickling-headers"])
def test_an_answer_that_only_trickles_is_cut_off_at_the_deadline(
    site: FeedStandIn, path: str
) -> None:
    with pytest.raises(Retry, match="did not answer in time"):
        client(deadline=0.4).get(site.url + path)


def test_a_name_service_that_never_answers_is_left_at_the_deadline(site: FeedStandIn) -> None:
    def resolve(*_: object, **__: object) -> list[tuple[Any, ...]]:
        site.stopping.wait()
        return []

    with pytest.raises(Retry, match="did not answer in time"):
        client(deadline=0.2, resolver=resolve).get("http://slow.example/")


def test_a_name_nobody_knows_is_tried_again_later() -> None:
    def resolve(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(Retry, match=r"unknown\.example was not found"):
        client(resolver=resolve).get("http://unknown.example/")


@pytest.mark.parametrize("path", ["/endless", "/bomb", "/hollow"])
def test_an_answer_without_end_is_cut_at_the_byte_cap(site: FeedStandIn, path: str) -> None:
    with pytest.raises(NeedsHuman, match=r"sent more than 0\.3 MB"):
        client(max_bytes=300_000).get(site.url + path)


def test_an_announced_size_over_the_cap_is_not_even_read(saying: Saying) -> None:
    saying.body = b"x" * 2000
    with pytest.raises(NeedsHuman) as caught:
        client(max_bytes=1999).get(saying.url)
    assert caught.value.code == "too_large"
    assert client(max_bytes=2000).get(saying.url).body == saying.body


RAW = zlib.compressobj(wbits=-15)
RAW_FEED = zlib.compress(b'<?xml version="1.0"?><rss><channel/></rss>', wbits=-15)
PACKED = [
    ("gzip", gzip.compress(b"feed" * 50_000)),
    ("GZIP", gzip.compress(b"feed" * 20_000) + gzip.compress(b"feed" * 30_000)),
    ("x-gzip", gzip.compress(b"feed" * 50_000) + b"\0\0\0"),
    ("deflate", zlib.compress(b"feed" * 50_000)),
    ("deflate", RAW.compress(b"feed" * 50_000) + RAW.flush()),
    ("identity", b"feed" * 50_000),
]


@pytest.mark.parametrize(("encoding", "body"), PACKED)
def test_a_packed_answer_is_unpacked(saying: Saying, encoding: str, body: bytes) -> None:
    saying.headers, saying.body = {"Content-Encoding": encoding}, body
    assert client().get(saying.url).body == b"feed" * 50_000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", PACKED[0][1][:-9]),
        ("", PACKED[0][1][:-9]),
        ("gzip", b"\x01\x02\x03"),
        ("deflate", b"\x01\xff\xff"),
        ("deflate", PACKED[3][1][:-9]),
        ("gzip", gzip.compress(b"") * 1001),
    ],
)
def test_what_cannot_be_unpacked_is_tried_again_later(
    saying: Saying, encoding: str, body: bytes
) -> None:
    saying.headers, saying.body = {"Content-Encoding": encoding}, body
    with pytest.raises(Retry, match="sent a broken answer"):
        client().get(saying.url)


FEED = b'<?xml version="1.0"?><rss><channel/></rss>'
WHOLE = b"<rss><channel><title>The tide is in</title></channel></rss>"
# Half of the bytes of its letters are 4, a control character in other encodings.
CYRILLIC = codecs.BOM_UTF16_LE + "<rss>\u041c\u043e\u0441\u0442</rss>".encode("utf-16-le")
UTF_16 = codecs.BOM_UTF16_LE + FEED.decode().encode("utf-16-le")


@pytest.mark.parametrize(
    ("encoding", "body", "content"),
    [
        ("UTF-8", FEED, FEED),
        ("none", FEED, FEED),
        ("aws-chunked", FEED, FEED),
        ("br", b"\xef\xbb\xbf" + FEED, b"\xef\xbb\xbf" + FEED),
        ("zstd", b'\n {"version": "x"}', b'\n {"version": "x"}'),
        ("gzip", FEED, FEED),
        ("gzip", UTF_16, UTF_16),
        ("br", CYRILLIC, CYRILLIC),
        ("deflate", b"\r\n<!DOCTYPE html>", b"\r\n<!DOCTYPE html>"),
        ("gzip", b"PHP Notice: x\n" + FEED, b"PHP Notice: x\n" + FEED),
        ("", gzip.compress(FEED), FEED),
        ("", zlib.compress(FEED), FEED),
        ("identity", gzip.compress(FEED), FEED),
        ("UTF-8", gzip.compress(FEED), FEED),
        ("deflate", gzip.compress(FEED), FEED),
        ("gzip", zlib.compress(FEED), FEED),
        ("gzip", RAW_FEED, FEED),
        ("gzip", gzip.compress(gzip.compress(FEED)), FEED),
        ("gzip, gzip", gzip.compress(gzip.compress(FEED)), FEED),
        ("deflate, gzip", gzip.compress(zlib.compress(FEED)), FEED),
        ("", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("", b"", b""),
        # Only the check sum is missing.
        ("gzip", gzip.compress(WHOLE)[:-8], WHOLE),
        ("", gzip.compress(WHOLE + b"\n")[:-8], WHOLE + b"\n"),
        ("deflate", zlib.compress(WHOLE)[:-4], WHOLE),
    ],
)
def test_the_bytes_decide_how_an_answer_is_packed(
    saying: Saying, encoding: str, body: bytes, content: bytes
) -> None:
    saying.headers, saying.body = {"Content-Encoding": encoding}, body
    assert client().get(saying.url).body == content


@pytest.mark.parametrize(
    ("encoding", "name"), [("br", "br"), ("gzip, zstd", "zstd"), ("X<b>y!", "xby")]
)
def test_a_packing_that_was_not_asked_for_is_named(
    saying: Saying, encoding: str, name: str
) -> None:
    saying.headers, saying.body = {"Content-Encoding": encoding}, b"\x1b\x03\x00\xf8\xa5\x5b\x11"
    with pytest.raises(Retry, match=f"packed its answer as “{name}”, which cannot be read here"):
        client().get(saying.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + gzip.compress(WHOLE),
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + gzip.compress(WHOLE),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3b\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3b\r\n" + WHOLE + b"\r\n",
        b"HTTP/1.1 203 Changed\r\n\r\n" + WHOLE,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + WHOLE,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\n\r\nHTTP/1.0 200 OK\r\n\r\n" + WHOLE,
    ],
)
def test_a_feed_that_arrived_is_read_whatever_was_announced(
    site: FeedStandIn, answer: bytes
) -> None:
    site.answers["/feed"] = lambda _: answer
    assert client().get(f"{site.url}/feed").body == WHOLE


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + WHOLE[:-9],
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + WHOLE[:-1],
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9,
    ],
)
def test_a_feed_that_was_cut_is_tried_again_later(site: FeedStandIn, answer: bytes) -> None:
    site.answers["/feed"] = lambda _: answer
    with pytest.raises(Retry):
        client().get(f"{site.url}/feed")


def test_what_follows_a_declared_end_counts_towards_the_limit(site: FeedStandIn) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
    site.answers["/feed"] = lambda _: head + WHOLE[:30] + b" " * 5000 + WHOLE[30:]
    with pytest.raises(NeedsHuman, match="sent more than"):
        client(max_bytes=1000).get(f"{site.url}/feed")


def test_layers_of_packing_are_opened_three_deep(saying: Saying) -> None:
    saying.body = gzip.compress(gzip.compress(gzip.compress(FEED)))
    assert client().get(saying.url).body == FEED
    saying.body, saying.headers = gzip.compress(saying.body), {"Content-Encoding": "gzip"}
    with pytest.raises(Retry, match="sent a broken answer"):
        client().get(saying.url)


def test_a_bomb_is_not_unpacked_in_memory() -> None:
    bomb = gzip.compress(bytes(60_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpacked(bomb, "gzip", 300_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("path", ["/reset", "/cut", "/broken"])
def test_a_failure_that_may_pass_is_tried_again_later(site: FeedStandIn, path: str) -> None:
    with pytest.raises(Retry):
        client().get(site.url + path)


def test_a_server_that_is_not_there_is_tried_again_later(saying: Saying) -> None:
    saying.stop()
    with pytest.raises(Retry, match="connection to 127"):
        client().get(saying.url)


@pytest.mark.parametrize("path", ["/forbidden", "/locked", "/missing", "/gone", "/legal"])
def test_a_refusal_needs_a_person_and_names_no_more_than_the_host(
    site: FeedStandIn, path: str
) -> None:
    with pytest.raises(NeedsHuman, match=r"^127\.0\.0\.1 ") as caught:
        client().get(f"{site.url}{path}?key=secret")
    assert "secret" not in caught.value.sentence


@pytest.mark.parametrize(
    ("status", "error"),
    [(201, Retry), (300, Retry), (400, NeedsHuman), (406, NeedsHuman), (408, Retry), (503, Retry)],
)
def test_each_other_status_has_its_meaning(
    saying: Saying, status: int, error: type[SmnbError]
) -> None:
    saying.status = status
    with pytest.raises(error):
        client().get(saying.url)


@pytest.mark.parametrize(
    ("path", "header", "wait"),
    [("/throttled", "120", 120), ("/throttled", "", 300), ("/busy", "", 30)],
)
def test_a_site_that_asks_for_patience_gets_it(
    site: FeedStandIn, path: str, header: str, wait: int
) -> None:
    site.retry_after = header
    with pytest.raises(WaitUntil) as caught:
        client().get(site.url + path)
    asked = caught.value.until - datetime.now(UTC)
    assert timedelta(seconds=wait - 60) < asked <= timedelta(seconds=wait)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("0", timedelta(0)),
        ("90", timedelta(seconds=90)),
        ("9" * 5000, timedelta(hours=24)),
        (format_datetime(NOW + timedelta(hours=2), usegmt=True), timedelta(hours=2)),
        (format_datetime(NOW - timedelta(hours=2), usegmt=True), timedelta(0)),
        ("Fri, 01 Jan 2100 00:00:00 GMT", timedelta(hours=24)),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str, wait: timedelta | None) -> None:
    assert retry_after_of(header, NOW) == (None if wait is None else NOW + wait)


class Secure(Saying):
    """Saying over TLS, with a certificate for one name."""

    def __init__(self, pem: Path) -> None:
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)


def here(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_a_trusted_certificate_must_be_for_the_very_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "right.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    reader = client(resolver=here)
    with Secure(pem) as site:
        assert reader.get(f"https://right.example:{site.port}/").body == b"hello"
        with pytest.raises(NeedsHuman, match=r"wrong\.example has a certificate"):
            reader.get(f"https://wrong.example:{site.port}/")


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "right.example")
    with Secure(pem) as site, pytest.raises(NeedsHuman) as caught:
        client(resolver=here).get(f"https://right.example:{site.port}/")
    assert caught.value.code == "certificate"


def test_a_server_that_speaks_no_tls_is_tried_again_later(saying: Saying) -> None:
    with pytest.raises(Retry):
        client().get(f"https://127.0.0.1:{saying.port}/")
