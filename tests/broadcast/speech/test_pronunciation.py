"""What a voice is given to read: numbers, units, dates and abbreviations of English, and own rules."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from broadcast.speech.pronunciation import spoken_form
from sessions_app.models.session import pronunciations


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It cost $4.5 million.", "It cost 4.5 million dollars."),
        ("a $3bn deal", "a 3 billion dollar deal"),
        ("$1.5m and £3m", "1.5 million dollars and 3 million pounds"),
        ("$1 or $0.99", "1 dollar or 99 cents"),
        ("€1,200.50 and $5.00", "1,200 euros and 50 cents and 5 dollars"),
        ("$5\u201310 million", "5 to 10 million dollars"),
        ("$500k-$1m", "500 thousand to 1 million dollars"),
        ("US$5, CHF 20 and 20€", "5 US dollars, 20 Swiss francs and 20 euros"),
        ("5 million USD for 5 BBC journalists", "5 million US dollars for 5 BBC journalists"),
        ("in 1999, by 1905 and in 2026", "in 19 99, by 19 oh 5 and in 20 26"),
        ("In November 2026 there were 2,026", "In November 20 26 there were 2,026"),
        ("in the 1990s, in her mid-20s", "in the 19 nineties, in her mid-twenties"),
        ("in 1500 people", "in 1500 people"),
        ("at 9:05, 7:00, 7:00 p.m. and 14:30", "at 9 oh 5, 7 o'clock, 7 p.m. and 14 30"),
        ("in 2:03:59", "in 2:03:59"),
        ("10\u201315 people, 10-15 more", "10 to 15 people, 10 to 15 more"),
        ("a Boeing 737-800 and an F-16", "a Boeing 737-800 and an F-16"),
        ("5 °C and 10 km/h", "5 degrees Celsius and 10 kilometres per hour"),
        ("1 km, 5kg, 100-150 km²", "1 kilometre, 5 kilograms, 100 to 150 square kilometres"),
        ("a 6-ft wall, 12 m away", "a 6 foot wall, 12 metres away"),
        ("1.2bn and 3.5m people", "1.2 billion and 3.5 million people"),
        ("on 29 Nov 2026, on Sept. 11", "on 29 November 20 26, on September 11"),
        ("2026-11-29", "29 November 20 26"),
        ("It may march.", "It may march."),
        ("Dr. Smith and Lt. Col. Brown", "Doctor Smith and Lieutenant Colonel Brown"),
        ("He works for Ford Motor Co.", "He works for Ford Motor Company."),
        ("e.g. No. 10 vs. St. Mary", "for example number 10 versus Saint Mary"),
        ("King Charles III", "King Charles the Third"),
        ("World War II, Rocky IV", "World War 2, Rocky 4"),
        ("Malcolm X knew. When I went, An IV", "Malcolm X knew. When I went, An IV"),
        ("an M5.8 quake", "a magnitude 5.8 quake"),
        ("24/7, 2/3 of it, and/or he/she", "24 7, two thirds of it, and or he or she"),
        ("https://www.example.com/a?b=1", "example dot com"),
        ("r/europe *really* #1 @bbc", "the subreddit europe really number 1 bbc"),
        ("AT&T, NATO, the U.S. and 50%", "AT&T, NATO, the U.S. and 50%"),
        ("🛶 Canoe ☀️", " Canoe "),
    ],
)
def test_english_is_read_as_people_say_it(written: str, spoken: str) -> None:
    assert spoken_form(written, "en-GB", {}) == spoken


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Preis stieg um 4,5 Mio. € auf $3bn.", "de"),
        ("Il mesure 10 km/h le 29/11/2026 à 14:30.", "fr"),
        ("Louis XVI y el n.º 10, 3-2.", "es"),
        ("№ 5 стоит 10 ₽ в 1999", "ru"),
        ("क्षेत्र १०\u2013१५ किमी", "hi"),
        ("End of entry 10-15", "enm"),
    ],
)
def test_other_languages_are_left_as_they_are(text: str, language: str) -> None:
    assert spoken_form(text, language, {}) == text


def test_own_rules_come_first_and_replace_whole_words() -> None:
    rules = pronunciations(
        "Nguyen = win\nUS = U S\nsql = sequel\nNew York = Noo York\nYork = Yorrk"
    )
    text = "Nguyen of the US told us: SQL and sqlite in New York, York and Nguyen's."
    assert spoken_form(text, "en", rules) == (
        "win of the U S told us: sequel and sqlite in Noo York, Yorrk and win's."
    )
    assert spoken_form("Der US-Kurs von Nguyen", "de", rules) == "Der U S-Kurs von win"


def test_a_letter_that_only_looks_like_one_of_the_rule_stays() -> None:
    # Ignoring case, the long s matches an s.
    assert spoken_form("\u017fql", "en", {"sql": "sequel"}) == "\u017fql"


def test_a_rule_of_strange_characters_is_only_text() -> None:
    rules = pronunciations("C++ (new) = see plus plus\n.* = dot star\nİ = i")
    assert spoken_form("C++ (new) and .* and İ", "fr", rules) == "see plus plus and dot star and i"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Nguyen", "Line 1: write “word = spoken form”."),
        ("a = b\n\n = win", "Line 3: write “word = spoken form”."),
        ("a =", "Line 1: write “word = spoken form”."),
        (f"{'a' * 61} = b", "Line 1: at most 60 characters before “=” and 120 after it."),
        (f"a = {'b' * 121}", "Line 1: at most 60 characters before “=” and 120 after it."),
        ("\n".join(f"a{n} = b" for n in range(101)), "At most 100 words can have a spoken form."),
    ],
)
def test_a_wrong_line_is_named(text: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence.replace("+", r"\+")):
        pronunciations(text)
