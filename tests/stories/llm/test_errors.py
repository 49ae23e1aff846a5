"""Error answers of the API as our errors, without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sessions_app.errors import Retry, WaitUntil
from stories.llm.errors import Refusal, refused


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        ("0", 0),
        ("1e9", 900),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 900),
        ("Thu, 01 Jan 2015 00:00:00 GMT", 0),
    ],
)
def test_the_time_to_wait_may_be_a_date(retry_after: str, expected: int) -> None:
    before = datetime.now(UTC)
    error = refused(Refusal(429, "rate_limit_error", "", "", retry_after, "m"))
    assert isinstance(error, WaitUntil)
    wait = timedelta(seconds=expected)
    assert before + wait <= error.until <= datetime.now(UTC) + wait


@pytest.mark.parametrize("retry_after", ["", "soon", "nan", "-5"])
def test_a_senseless_time_to_wait_is_none(retry_after: str) -> None:
    assert type(refused(Refusal(429, "", "", "", retry_after, "m"))) is Retry


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, "You have reached your specified API usage limits.", "anthropic_credit"),
        (401, "", "anthropic_key"),
        (404, "", "model"),
        (418, "", "bad_request"),
        (503, "", "overloaded"),
        (504, "<html>", "overloaded"),
    ],
)
def test_an_answer_without_a_type_is_judged_by_its_status(
    status: int, message: str, code: str
) -> None:
    assert refused(Refusal(status, "", message, "", "", "m")).code == code
