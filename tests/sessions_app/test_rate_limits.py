"""Rate limits: counted in Redis, by name and caller; without Redis nothing is counted."""

from __future__ import annotations

import socket
import time
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache

from sessions_app import rate_limits
from sessions_app.rate_limits import TooMany

LONG = 10**9  # seconds; no test crosses the edge of such a window


@pytest.fixture
def who() -> str:
    return uuid4().hex


def test_up_to_the_limit_nothing_is_refused(who: str) -> None:
    for _ in range(3):
        rate_limits.count("writes", who, 3, LONG)


def test_above_the_limit_the_caller_is_told_when_to_come_again(who: str) -> None:
    rate_limits.count("writes", who, 1, LONG)
    with pytest.raises(TooMany, match="At most 1 writes") as refused:
        rate_limits.count("writes", who, 1, LONG)
    assert 0 < refused.value.after <= LONG


def test_a_limit_of_zero_is_off(who: str) -> None:
    for _ in range(100):
        rate_limits.count("writes", who, 0, LONG)


def test_callers_and_names_are_counted_apart(who: str) -> None:
    rate_limits.count("writes", who, 1, LONG)
    rate_limits.count("reads", who, 1, LONG)
    rate_limits.count("writes", f"not-{who}", 1, LONG)


def test_a_counter_expires_two_windows_after_its_first_use(who: str) -> None:
    for _ in range(2):
        rate_limits.count("writes", who, 5, 60)
    real: Any = cache
    client = real._cache.get_client()
    [key] = client.scan_iter(f"*{who}*")
    assert client.get(key) == b"2"
    assert 60 < client.ttl(key) <= 120


def test_a_new_window_starts_anew(who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessions_app.rate_limits.time.time", lambda: 1_000_000.0)
    rate_limits.count("writes", who, 1, 60)
    monkeypatch.setattr("sessions_app.rate_limits.time.time", lambda: 1_000_061.0)
    rate_limits.count("writes", who, 1, 60)


def test_without_redis_nothing_is_counted_and_nothing_fails(
    who: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real: Any = cache
    away = type(real._cache)(["redis://127.0.0.1:1/0"])
    monkeypatch.setattr(real, "_cache", away)
    for _ in range(3):
        rate_limits.count("writes", who, 1, LONG)
    assert any("limit_not_counted" in str(record.msg) for record in caplog.records)


def test_a_hung_redis_is_asked_once_and_not_for_each_use(
    who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = cache
    with socket.create_server(("127.0.0.1", 0)) as hung:
        hung.settimeout(0.0)
        url = f"redis://127.0.0.1:{hung.getsockname()[1]}/0?socket_timeout=0.1"
        with monkeypatch.context() as patch:
            patch.setattr(real, "_cache", type(real._cache)([url]))
            rate_limits.count("writes", who, 1, LONG)
            # It took the connection and never answered.
            while True:
                try:
                    hung.accept()[0].close()
                except BlockingIOError:
                    break
            for _ in range(20):
                rate_limits.count("writes", who, 1, LONG)
            with pytest.raises(BlockingIOError):
                hung.accept()
    # After a pause uses are counted again.
    rate_limits.count("writes", who, 1, LONG)
    rate_limits.count("writes", who, 1, LONG)
    monkeypatch.setitem(rate_limits._paused, "until", time.monotonic())
    rate_limits.count("writes", who, 1, LONG)
    with pytest.raises(TooMany):
        rate_limits.count("writes", who, 1, LONG)


def test_an_error_of_one_counter_leaves_the_others_at_work(who: str) -> None:
    real: Any = cache
    rate_limits.count("writes", who, 1, LONG)
    client = real._cache.get_client()
    [key] = client.scan_iter(f"*limit:writes:{who}*")
    # Redis refuses to count a key that holds something else.
    client.delete(key)
    client.rpush(key, "x")
    rate_limits.count("writes", who, 1, LONG)
    rate_limits.count("reads", who, 1, LONG)
    with pytest.raises(TooMany):
        rate_limits.count("reads", who, 1, LONG)
    client.delete(key)


def test_requests_wait_for_the_cache_for_two_seconds_at_most() -> None:
    real: Any = cache
    pool = real._cache.get_client().connection_pool
    assert pool.connection_kwargs["socket_timeout"] == 2
    assert pool.connection_kwargs["socket_connect_timeout"] == 1
