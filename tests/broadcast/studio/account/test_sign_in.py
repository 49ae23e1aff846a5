"""Sign-in locks: by name and address, longer after each failure, and never for the owner's own browser."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
import time_machine
from axes.models import AccessAttempt
from channels.testing import HttpCommunicator
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from smnb.asgi import application
from tests.markup import unbroken

pytestmark = pytest.mark.django_db

GOOD = "olga-has-a-password"
HERE, THERE = "203.0.113.1", "203.0.113.2"


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel("2026-11-02T09:00:00Z", tick=False) as traveller:
        yield traveller


def sign_in(password: str, address: str = HERE, name: str = "olga", where: str = "/login/") -> int:
    return attempt(Client(REMOTE_ADDR=address), password, name, where)


def attempt(client: Client, password: str, name: str = "olga", where: str = "/login/") -> int:
    return client.post(where, {"username": name, "password": password}).status_code


def test_each_failure_locks_for_longer_up_to_a_quarter_of_an_hour(
    owner: User, clock: time_machine.Traveller
) -> None:
    assert [sign_in("wrong") for _ in range(5)] == [200, 200, 200, 200, 429]
    for seconds in (30, 60, 120, 240, 480, 900, 900):
        clock.shift(seconds - 1)
        assert sign_in(GOOD) == 429
        clock.shift(2)
        assert sign_in("wrong") == 429
    clock.shift(901)
    assert sign_in(GOOD) == 302
    assert not AccessAttempt.objects.exists()


def test_an_hour_without_a_failure_forgets_those_before(
    owner: User, clock: time_machine.Traveller
) -> None:
    assert [sign_in("wrong") for _ in range(5)] == [200, 200, 200, 200, 429]
    clock.shift(3601)
    assert [sign_in("wrong") for _ in range(5)] == [200, 200, 200, 200, 429]


def test_attempts_during_a_lock_do_not_prolong_it(
    owner: User, clock: time_machine.Traveller
) -> None:
    for _ in range(5):
        sign_in("wrong")
    for _ in range(9):
        clock.shift(3)
        assert sign_in("wrong") == 429
    clock.shift(4)
    assert sign_in(GOOD) == 302


def test_the_page_counts_the_time_that_is_left(owner: User, clock: time_machine.Traveller) -> None:
    client = Client(REMOTE_ADDR=HERE)
    form = {"username": "olga", "password": "wrong"}
    for _ in range(5):
        answer = client.post("/login/", form)
    assert answer["Retry-After"] == "30"
    page = unbroken(answer.content.decode())
    assert "You can try again" in page
    assert 'data-tick="down" data-until="2026-11-02T09:00:30+00:00">in 0:30<' in page
    clock.shift(31)
    client.post("/login/", form)
    clock.shift(5)
    answer = client.post("/login/", form, headers={"X-Requested-With": "XMLHttpRequest"})
    assert (answer["Retry-After"], "Access-Control-Allow-Origin" in answer) == ("55", False)
    assert ">in 0:55<" in unbroken(answer.content.decode())


@pytest.mark.parametrize("where", ["/login/", "/admin/login/"])
def test_only_the_address_and_name_of_the_failures_are_locked(
    owner: User, stranger: User, where: str
) -> None:
    for _ in range(6):
        assert sign_in("wrong", where=where) in {200, 429}
    assert sign_in(GOOD) == 429
    assert sign_in(GOOD, THERE) == 302
    assert sign_in("another-password", name="stanislaw") == 302


def test_neither_the_browser_nor_a_header_of_a_client_makes_it_another(owner: User) -> None:
    for number in range(5):
        names = {"User-Agent": f"Browser {number}", "X-Forwarded-For": f"198.51.100.{number}"}
        assert attempt(Client(REMOTE_ADDR=HERE, headers=names), "wrong") in {200, 429}
    assert sign_in(GOOD) == 429


def test_all_addresses_of_a_network_of_ipv6_are_one_client(owner: User) -> None:
    for number in range(5):
        sign_in("wrong", f"2001:db8:0:1::{number}")
    assert sign_in(GOOD, "2001:db8:0:1:aaaa::1") == 429
    assert sign_in(GOOD, "2001:db8:0:2::1") == 302


def test_a_stranger_at_the_same_address_does_not_lock_a_browser_that_signed_in_before(
    owner: User,
) -> None:
    browser = Client(REMOTE_ADDR=HERE)
    assert attempt(browser, GOOD) == 302
    browser.post("/logout/")
    for _ in range(6):
        sign_in("wrong")
    assert sign_in(GOOD) == 429
    assert attempt(browser, GOOD) == 302
    # The failures of the stranger still count for the stranger.
    assert sign_in(GOOD) == 429
    cookie = browser.cookies["smnb_browser"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_a_browser_that_signed_in_before_is_locked_by_its_own_failures(
    owner: User, stranger: User
) -> None:
    browser = Client(REMOTE_ADDR=HERE)
    attempt(browser, GOOD)
    browser.post("/logout/")
    assert [attempt(browser, "wrong") for _ in range(5)] == [200, 200, 200, 200, 429]
    assert attempt(browser, GOOD) == 429
    # Its mark is for one name, and a made-up one is worth nothing.
    assert [attempt(browser, "wrong", "stanislaw") for _ in range(5)][-1] == 429
    for made_up in (browser.cookies["smnb_browser"].value[:-2], "x", ""):
        forged = Client(REMOTE_ADDR=THERE)
        forged.cookies["smnb_browser"] = made_up
        assert [attempt(forged, "wrong") for _ in range(5)][-1] == 429
        AccessAttempt.objects.filter(ip_address=THERE).delete()


def test_an_address_tries_no_more_names_than_the_limit(
    owner: User, clock: time_machine.Traveller
) -> None:
    known = Client(REMOTE_ADDR=HERE)
    assert attempt(known, GOOD) == 302
    known.post("/logout/")
    assert {sign_in("wrong", name=f"name {number}") for number in range(29)} == {200}
    client = Client(REMOTE_ADDR=HERE)
    answer = client.post("/login/", {"username": "one more", "password": "wrong"})
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert sign_in(GOOD, THERE) == 302
    assert attempt(known, GOOD) == 302
    clock.shift(61)
    assert sign_in(GOOD) == 302


@pytest.mark.django_db(transaction=True)
async def test_behind_a_proxy_each_client_has_a_lock_of_its_own(
    owner: User, settings: object
) -> None:
    """Over the whole application, as the web server runs it."""
    proxies = {"trusted_proxies": "127.0.0.1"}
    settings.SMNB = settings.SMNB.model_copy(update=proxies)  # type: ignore[attr-defined]

    async def answered(address: str, password: str) -> tuple[int, dict[bytes, bytes]]:
        body = urlencode({"username": "olga", "password": password}).encode()
        headers = [
            (b"x-forwarded-for", b"198.51.100.9, " + address.encode()),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"cookie", b"csrftoken=" + b"a" * 32),
            (b"x-csrftoken", b"a" * 32),
            (b"host", b"localhost:8000"),
        ]
        http = HttpCommunicator(application, "POST", "/login/", body=body, headers=headers)
        http.scope["client"] = ["127.0.0.1", 4000]
        answer = await http.get_response(timeout=60)
        return answer["status"], dict(answer["headers"])

    for _ in range(5):
        status, headers = await answered(HERE, "wrong")
    assert status == 429
    assert 28 <= int(headers[b"Retry-After"]) <= 30
    assert (await answered(HERE, GOOD))[0] == 429
    assert (await answered(THERE, GOOD))[0] == 302
