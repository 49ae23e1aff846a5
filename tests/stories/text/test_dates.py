"""Dates as feeds write them: the moment that is meant, or unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stories.text.dates import MAX_DATE, read_date

NOW = datetime(2026, 11, 28, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sat, 28 Nov 2026 09:00:00 GMT", "2026-11-28T09:00:00Z"),
        ("Sat, 28 Nov 2026 09:00:00 +01:00", "2026-11-28T08:00:00Z"),
        ("Sat, 28 Nov 2026 09:00:00 -0000", "2026-11-28T09:00:00Z"),
        ("Sat, 28 Nov 26 09:00:00 UT", "2026-11-28T09:00:00Z"),
        ("Sat,28 Nov 2026 09:00GMT", "2026-11-28T09:00:00Z"),
        ("2026-11-28T09:00:00.123456789Z", "2026-11-28T09:00:00.123456Z"),
        ("2026-11-28 09:00:00 +0100", "2026-11-28T08:00:00Z"),
        ("20261128T090000Z", "2026-11-28T09:00:00Z"),
        ("2026-11-28T09:00:00+01:00[Europe/Berlin]", "2026-11-28T08:00:00Z"),
        ("2026-11-28", "2026-11-28T00:00:00Z"),
        ("2020/1/10 14:33:00", "2020-01-10T14:33:00Z"),
        ("Sat Nov 28 09:00:00 2026", "2026-11-28T09:00:00Z"),
        ("Sat Nov 28 2026 09:00:00 GMT+0100 (Central European Time)", "2026-11-28T08:00:00Z"),
        ("Saturday, November 28, 2026 9:00 AM EST", "2026-11-28T14:00:00Z"),
    ],
)
def test_the_forms_of_feeds_are_read(text: str, moment: str) -> None:
    assert read_date(text, NOW) == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sat, 28 Nov 2026 09:00:00 CET", "2026-11-28T08:00:00Z"),
        ("28 Nov 2026 09:00 MEZ", "2026-11-28T08:00:00Z"),
        ("Wed, 01 Jul 2026 10:00:00 CEST", "2026-07-01T08:00:00Z"),
        ("Wed, 01 Jul 2026 10:00:00 BST", "2026-07-01T09:00:00Z"),
        ("Sat, 28 Nov 2026 17:00:00 JST", "2026-11-28T08:00:00Z"),
        ("Sat, 28 Nov 2026 00:00:00 PST", "2026-11-28T08:00:00Z"),
        ("Wed, 01 Jul 2026 10:00:00 EDT", "2026-07-01T14:00:00Z"),
        ("Sat, 28 Nov 2026 20:00:00 AEDT", "2026-11-28T09:00:00Z"),
        ("Sat, 28 Nov 2026 09:30:00 NST", "2026-11-28T13:00:00Z"),
        ("Sat, 28 Nov 2026 09:00:00 SAST", "2026-11-28T07:00:00Z"),
        ("Wed, 01 Jul 2026 10:00:00 Europe/Berlin", "2026-07-01T08:00:00Z"),
    ],
)
def test_a_named_zone_counts(text: str, moment: str) -> None:
    assert read_date(text, NOW) == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 26 Nov 2026 09:00:00 IST",
        "Thu, 26 Nov 2026 09:00:00 XYZ",
        "Thu, 26 Nov 2026 09:00:00 A",
        "Thu, 26 Nov 2026 09:00:00 Eastern Standard Time",
        "Thu, 26 Nov 2026 09:00:00 Mars/Olympus",
    ],
)
def test_an_unknown_or_ambiguous_zone_makes_the_date_unknown(text: str) -> None:
    assert read_date(text, NOW) is None


def test_a_time_without_a_zone_is_utc_unless_that_is_in_the_future() -> None:
    assert read_date("2026-11-28T09:00:00", NOW) == datetime(2026, 11, 28, 9, tzinfo=UTC)
    assert read_date("2026-11-28T21:00:01", NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "0001-01-01T00:00:00Z",
        "1989-12-31T23:59:59Z",
        "Sat, 28 Nov 2037 09:00:00 GMT",
        "Sun, 29 Nov 2026 21:00:01 GMT",
        "1795856400",
        "1795856400.5",
        "1712010930",
        "0000-00-00",
        "",
    ],
)
def test_an_implausible_date_is_unknown(text: str) -> None:
    assert read_date(text, NOW) is None


@pytest.mark.parametrize("text", ["28 Nov", "10:00", "2026", "November 2026", "10/11/2020 10:00"])
def test_a_date_with_a_part_missing_or_ambiguous_is_unknown(text: str) -> None:
    assert read_date(text, NOW) is None


def test_a_date_up_to_a_day_in_the_future_is_now() -> None:
    assert read_date("Sun, 29 Nov 2026 21:00:00 GMT", NOW) == NOW
    assert read_date("Sat, 28 Nov 2026 21:00:01 GMT", NOW) == NOW


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sa, 28 Nov 2026 09:00:00 +0100", "2026-11-28T08:00:00Z"),
        ("Fr, 13 Mär 2026 10:00:00 +0100", "2026-03-13T09:00:00Z"),
        ("Do., 26. November 2026, 9:00 Uhr", "2026-11-26T09:00:00Z"),
        ("5. Dezember 2025 10:00 MEZ", "2025-12-05T09:00:00Z"),
        ("mar., 24 févr. 2026 10:00:00 +0100", "2026-02-24T09:00:00Z"),
        ("mar, 10 mars 2026 10:00:00 +0100", "2026-03-10T09:00:00Z"),
        ("lun, 3 août 2026 10:00:00 +0200", "2026-08-03T08:00:00Z"),
        ("seg, 23 fev 2026 10:00:00 -0300", "2026-02-23T13:00:00Z"),
        ("23 de novembro de 2026 10:00", "2026-11-23T10:00:00Z"),
        ("dom, 4 ene 2026 10:00:00 +0100", "2026-01-04T09:00:00Z"),
    ],
)
def test_month_names_of_other_languages_are_read(text: str, moment: str) -> None:
    assert read_date(text, NOW) == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon, 28 Nov 2026 09:00:00 GMT", "2026-11-28T09:00:00Z"),  # the weekday is wrong
        ("Mon, 14 Sept 2026 09:00:00 GMT", "2026-09-14T09:00:00Z"),
        ("Fri, 27 Nov 2026 24:00:00 GMT", "2026-11-28T00:00:00Z"),
        ("2026-11-27T24:00:00Z", "2026-11-28T00:00:00Z"),
        ("Sat, 28 Nov 2026 09:00:60 +0000", "2026-11-28T09:00:59Z"),
    ],
)
def test_small_faults_are_forgiven(text: str, moment: str) -> None:
    assert read_date(text, NOW) == datetime.fromisoformat(moment)


@given(
    st.one_of(
        st.text(max_size=MAX_DATE + 5),
        st.text(alphabet="0123456789:-/+. TZGMTNov,", max_size=40),
    )
)
@example("9" * 400)
@example("infinity")
@example("1e999 Nov 2026")
def test_any_text_is_a_plausible_date_or_none(text: str) -> None:
    date = read_date(text, NOW)
    assert date is None or datetime(1990, 1, 1, tzinfo=UTC) <= date <= NOW
    assert date is None or date.utcoffset() == timedelta()
