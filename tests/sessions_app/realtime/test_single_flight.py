"""A value is made once for all threads that ask for it, stored, and made again after an error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from sessions_app.realtime.batching import SingleFlight


def test_threads_that_ask_at_once_get_the_value_that_one_of_them_makes() -> None:
    values: SingleFlight[str] = SingleFlight(2)
    made: list[str] = []
    begun, free = Event(), Event()

    def make() -> str:
        made.append("a")
        begun.set()
        assert free.wait(60)
        return "value"

    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(values.get, "a", make) for _ in range(4)]
        try:
            assert begun.wait(60)
            # Another key waits for nothing.
            assert threads.submit(values.get, "b", lambda: "other").result(60) == "other"
            assert values.stored("a") is None
        finally:
            free.set()
        assert [each.result(60) for each in asked] == ["value"] * 4
    assert made == ["a"]
    assert values.stored("a") == "value"


def test_an_error_is_raised_and_not_stored() -> None:
    values: SingleFlight[str] = SingleFlight(2)

    def fail() -> str:
        raise ValueError("no voice")

    for _ in range(2):
        with pytest.raises(ValueError, match="no voice"):
            values.get("a", fail)
    assert values.get("a", lambda: "value") == "value"


def test_the_values_made_last_are_stored() -> None:
    values: SingleFlight[int] = SingleFlight(2)
    for key in range(3):
        assert values.get(key, lambda key=key: key * 10) == key * 10  # type: ignore[misc]
    assert [values.stored(key) for key in range(3)] == [None, 10, 20]
    assert values.get(1, lambda: 99) == 10
