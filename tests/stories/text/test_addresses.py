"""Text for the air leads nowhere: no address, handle or telephone number, whatever it is written like."""

from __future__ import annotations

import time

import pytest

from stories.text.addresses import without_addresses

OUTLETS = {"bbc.co.uk": "BBC News"}


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("Visit evil.online now", "Visit evil now"),
        ("Visit sub.evil.online/x now", "Visit  now"),
        ("Go to 10.0.0.1/x now", "Go to  now"),
        ("Go to http://[::1]:80/x now", "Go to  now"),
        ("See http:\\\\evil.example for it", "See  for it"),
        ("Get evil.zip today", "Get evil today"),
        ("Смотри зло.рф/приз сейчас", "Смотри  сейчас"),
        ("It is evil\uff0eonline here", "It is evil here"),
        ("http://user:pw@evil.com/x", ""),
        ("mail a.b@evil.com, please", "mail , please"),
        ("call +44 20 7946 0958.", "call ."),
        ("call 555 123 4567 now", "call  now"),
        ("text 80888 to win", "text  to win"),
        ("follow @evil_corp on it", "follow  on it"),
        ("mailto:a@evil.com", ""),
        ("see bbc.co.uk/news for more", "see BBC News for more"),
        ("see https://www.bbc.co.uk/news.", "see BBC News."),
    ],
)
def test_nothing_leads_anywhere(text: str, heard: str) -> None:
    assert without_addresses(text, OUTLETS) == heard


@pytest.mark.parametrize(
    "text",
    [
        "It ended.In the U.S. about 3.5 per cent, e.g. three a.m. trains, ran on time.Good.",
        "1,234,567.89 and 2019-2020 2021-2022, 10.000.000.000 euros, 3:1 and/or 5/6",
        "Node.js 1.2.3, St. Louis, Dr.Smith, No. 5 and a.k.a. Bob",
        "He left.It was late. Call 911.",
    ],
)
def test_what_only_looks_like_an_address_stays(text: str) -> None:
    assert without_addresses(text) == text


def test_a_bare_host_is_named_only_where_the_post_names_it() -> None:
    text = "Booking.com and evil.com grew."
    assert without_addresses(text) == "Booking and evil grew."
    assert without_addresses(text, names={"booking.com"}) == "Booking and  grew."


@pytest.mark.parametrize("piece", ["a.", "1.", "1 ", "@a", "+1", "a@", "a.b/", "http:", "[::", "-"])
@pytest.mark.slow
def test_the_time_grows_with_the_length_alone(piece: str) -> None:
    def seconds(size: int) -> float:
        text, times = piece * (size // len(piece)), []
        for _ in range(3):
            began = time.process_time()
            without_addresses(text)
            times.append(time.process_time() - began)
        return min(times)

    assert seconds(50_000) < 3.5 * seconds(25_000) + 0.02
