"""Host names beyond ASCII: IDNA 2008, as browsers write them."""

from __future__ import annotations

import pytest

from stories.sources.ssrf import target_of
from stories.text.addresses import ascii_host, canonical_url

HOSTS = [
    ("fa\u00df.de", "xn--fa-hia.de"),
    ("FA\u00df.de", "xn--fa-hia.de"),
    ("B\u00dcCHER.example", "xn--bcher-kva.example"),
    ("\u03b2\u03cc\u03bb\u03bf\u03c2.com", "xn--nxasmm1c.com"),
    ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "xn--mgba3gch31f060k.com"),
    ("\u4f8b\u3048\u3002\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
    ("\u2603.net", "xn--n3h.net"),
    ("my_feeds.b\u00fccher.example", "my_feeds.xn--bcher-kva.example"),
    ("fa%C3%9F.de", "xn--fa-hia.de"),
    ("ex\u00adample.de", "example.de"),
    ("xn--fa-hia.de", "xn--fa-hia.de"),
    ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
]


@pytest.mark.parametrize(("host", "expected"), HOSTS)
def test_a_name_is_written_by_idna_2008(host: str, expected: str) -> None:
    assert ascii_host(host) == expected
    assert target_of(f"https://{host}/feed").host == expected
    assert canonical_url(f"https://{host}/feed") == f"https://{expected}/feed"


@pytest.mark.parametrize(
    "host", ["fa%DF.de", "a\uff0fb.de", "\u0300.de", "\u00fc" * 64 + ".de", "\u00fc..de\ud800"]
)
def test_a_name_that_cannot_exist_is_no_address(host: str) -> None:
    assert canonical_url(f"https://{host}/feed") == ""
