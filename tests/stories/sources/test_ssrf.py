"""Which addresses a request may go to."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

from sessions_app.errors import NeedsHuman
from stories.sources import ssrf
from stories.sources.ssrf import addresses_of, is_private, target_of
from stories.text.sentences import word_set

PRIVATE = word_set("""
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254
    172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.7
    203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
    ::ffff:0:127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1
    2001:0:4136:e378:8000:63bf:80ff:fffe 2001:db8::1 2002:7f00:1:: 2002:808:808::1 3fff::1 5f00::1
    fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 2606:4700::1%1 nonsense
""")
PUBLIC = word_set("""
    1.1.1.1 8.8.8.8 93.184.216.34 100.128.0.1 172.32.0.1 192.169.0.1 2606:4700:4700::1111
    2a00:1450:4001::200e ::ffff:8.8.8.8 64:ff9b::808:808
""")
NEVER = [
    "",
    "feed",
    "//example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "ftp://example.org/",
    "unix:///var/run/docker.sock",
    "http+unix://socket/",
    "javascript:alert(1)",
    "data:text/xml,x",
    "http://",
    "http:///path",
    "http://user@example.org/",
    "http://user:word@example.org/",
    "http://example.org@127.0.0.1/",
    "http://example.org:22/",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://example.org:x/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://127.1/",
    "http://017700000001/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::1",
    "http://[nonsense]/",
    "http://exa mple.org/",
    "http://example.org/a b",
    "http://example.org/\r\nX: y",
    "http://example.org\\@127.0.0.1/",
    "http://exam\0ple.org/",
    "http://a..b/",
    "http://.example.org/",
    "http://exa$mple.org/",
    f"http://{'a' * 64}.org/",
    "http://" + "a." * 127 + "org/",
]


def resolving_to(*answers: str) -> Any:
    """A name service that returns one answer a call, and then repeats the last one."""
    left = list(answers)

    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    return resolve


@pytest.mark.parametrize("address", sorted(PRIVATE))
def test_no_address_inside_somebodys_network_is_public(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", sorted(PUBLIC))
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize("url", NEVER)
def test_an_address_that_may_never_be_asked_is_refused_before_any_lookup(url: str) -> None:
    with pytest.raises(NeedsHuman) as caught:
        target_of(url)
    assert "word" not in caught.value.sentence.replace("password", "")


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost.", "127.0.0.1", "[::1]", "\uff11\uff12\uff17.0.0.1", "a.localhost"],
)
def test_this_machine_is_refused_under_each_of_its_names(host: str) -> None:
    with pytest.raises(NeedsHuman, match="private network"):
        addresses_of(target_of(f"http://{host}/"))


def test_the_operator_can_allow_private_addresses() -> None:
    [address, *_] = addresses_of(target_of("http://127.0.0.1/"), allow_private=True)
    assert address.sockaddr[:2] == ("127.0.0.1", 80)


def test_any_port_is_read_where_that_is_allowed() -> None:
    assert target_of("http://example.org:8080/", any_port=True).authority == "example.org:8080"


def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, 1, 6, "", (host, port)) for host in ("8.8.8.8", "10.0.0.1")]

    with pytest.raises(NeedsHuman, match="private network"):
        addresses_of(target_of("http://example.org/"), resolver=resolve)


def test_a_name_that_is_rebound_after_the_check_still_leads_to_the_address_checked() -> None:
    resolver = resolving_to("93.184.216.34", "127.0.0.1")
    [address] = addresses_of(target_of("http://example.org/"), resolver=resolver)
    assert address.sockaddr == ("93.184.216.34", 80)
    with pytest.raises(NeedsHuman):
        addresses_of(target_of("http://example.org/"), resolver=resolver)


def test_a_target_is_read_in_its_plain_form() -> None:
    target = target_of("HTTPS://Bücher.Example:443/a%20b/ä?q=ü&x=[1]#part")
    assert target.authority == "xn--bcher-kva.example"
    assert target.path == "/a%20b/%C3%A4?q=%C3%BC&x=[1]"
    assert (
        target_of("http://[2606:4700::1]:8080/", any_port=True).authority == "[2606:4700::1]:8080"
    )


# Names that are no IP address, and those with a zone, are refused before either list is read.
LISTED = sorted(address for address in PRIVATE if "%" not in address and address != "nonsense")


@pytest.mark.parametrize("address", LISTED)
def test_our_own_list_refuses_an_address_that_python_takes_for_public(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python changes between its versions which networks are global."""
    for version in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        monkeypatch.setattr(version, "is_global", True)
    assert is_private(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fc00::1"])
def test_python_refuses_an_address_that_is_not_in_our_list(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssrf, "_DENIED", [])
    assert is_private(address)


@pytest.mark.parametrize(
    "url", ["http://example.org:8080/", "http://example.org:81/", "https://example.org:8443/"]
)
def test_only_the_ports_of_the_web_are_read(url: str) -> None:
    with pytest.raises(NeedsHuman, match="Only ports 80 and 443"):
        target_of(url)


def test_a_name_without_an_address_is_no_address() -> None:
    with pytest.raises(socket.gaierror):
        addresses_of(target_of("http://example.org/"), resolver=lambda *_, **__: [])
