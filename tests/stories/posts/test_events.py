"""The judgement of two reports, its reasons, and the index of earlier reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stories.posts.events import Index, Report, judge
from stories.posts.features import features, headline

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLOSED = Report(
    "Harbor bridge in Port Elowen closes for urgent repairs",
    "Engineers have closed the harbor bridge in Port Elowen after finding cracks in two hangers.",
)
REOPENED = Report(
    "Harbor bridge in Port Elowen reopens after repairs",
    "The harbor bridge in Port Elowen is open again. Both cracked hangers have been replaced.",
)
FLOOD = "The Tave rose over its banks in the night, and boats took people off their roofs."
OUTAGE = Report(
    "Storm Petra cuts power to 4,000 homes around Lake Imbry",
    "About 4,000 homes around Lake Imbry are without electricity, most of them in Osselby.",
)


def test_a_turn_of_the_story_is_a_development_with_its_reasons() -> None:
    assert judge(REOPENED, CLOSED).kind == "development"
    assert judge(REOPENED, CLOSED).reasons == (
        "“reopens” now, “closes” before.",
        "Names in both: Port Elowen.",
        "Words in both: bridge, cracked, hangers, Harbor.",
    )


TAKEN = Report(
    "Gunman takes three hostages in bank in Marlow",
    "An armed man has held three people in a bank in Marlow since ten o'clock on Thursday.",
)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Hostages in Marlow freed unhurt, gunman arrested", "development"),
        ("Hostages in Marlow unhurt, gunman says", "duplicate"),
    ],
)
def test_a_reversed_status_is_a_later_turn_where_all_else_agrees(title: str, kind: str) -> None:
    text = (
        "Three people in a bank in Marlow were held by an armed man on Thursday from ten o'clock."
    )
    assert judge(Report(title, text), TAKEN).kind == kind
    assert judge(TAKEN, Report(title, text)).kind == kind


STRIKE = Report(
    "Teachers in Karsia end strike",
    "After nine days teachers in Karsia have ended their strike. Their union agreed to 6.5 percent "
    "more pay over two years, so 41,000 pupils return to school on Monday.",
)


@pytest.mark.parametrize(
    ("title", "text", "kind"),
    [
        (
            "Karsia: lessons from Monday",
            "The teachers' strike in Karsia is over. The union accepted a raise of 6.5 per cent over "
            "two years, and lessons for 41,000 pupils resume on Monday.",
            "duplicate",
        ),
        (
            "Karsia: lessons from Monday",
            "The teachers' strike in Karsia is over. The union accepted a raise of 6.5 per cent over "
            "two years, and lessons for 41,000 pupils resume. Mayor Ida Tonn paid for it.",
            "duplicate",
        ),
        (
            "Karsia: lessons from Monday as mayor Tonn pays",
            "The teachers' strike in Karsia is over. The union accepted a raise of 6.5 per cent over "
            "two years, and lessons for 41,000 pupils resume. Mayor Ida Tonn paid for it.",
            "same event",
        ),
    ],
)
def test_a_report_of_the_same_event_adds_what_its_headline_says(
    title: str, text: str, kind: str
) -> None:
    assert judge(Report(title, text), STRIKE).kind == kind


@pytest.mark.parametrize(
    ("title", "earlier", "kind"),
    [
        (
            "Cracks: Kestrel Air takes its fleet of 14 turboprops out of service",
            "Kestrel Air grounds all 14 of its turboprops over cracks",
            "duplicate",
        ),
        (
            "Cracks: Kestrel Air takes its fleet of 19 turboprops out of service",
            "Kestrel Air grounds all 14 of its turboprops over cracks",
            "development",
        ),
        # One word for the place tells too little.
        ("Bus fares in Brant rise by 8 percent", "Train fares in Brant rise by 8 percent", ""),
    ],
)
def test_headlines_alone_with_one_figure_and_a_name_of_two_words(
    title: str, earlier: str, kind: str
) -> None:
    found = judge(Report(title), Report(earlier)).kind
    assert found == kind if kind else found != "duplicate"


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Two men arrested for murder of two police officers in Karsia", "development"),
        ("Two men arrested for murder of three police officers in Karsia", "unrelated"),
        ("Two men arrested for murder of two police officers in Ostria", "unrelated"),
        ("Two men open a shop for two police officers in Karsia", "unrelated"),
    ],
)
def test_an_arrest_is_a_later_turn_of_the_crime(title: str, kind: str) -> None:
    """The headlines share almost no words but the place, and who was killed."""
    crime = Report("Coroner: a couple of cops, two officers, die after being shot in Karsia city")
    assert judge(Report(title), crime).kind == kind
    assert judge(crime, Report(title)).kind == kind


def test_without_something_is_said_in_one_word_too() -> None:
    trams = Report("Trams in Velmont run driverless from May")
    assert judge(Report("From May trams in Velmont run without drivers"), trams).kind == "duplicate"
    assert judge(Report("From May trams in Velmont run with drivers"), trams).kind != "duplicate"
    assert "homeless" in features(Report("More homeless people in Velmont")).title


def test_a_blocked_sale_is_no_report_of_the_sale() -> None:
    text = (
        "Telecom Ostland sells 7,200 radio masts to Meridian for 3.4 billion and rents them back."
    )
    sale = Report("Telecom Ostland to sell its towers for 3.4 billion", text)
    blocked = "Meridian may not buy the 7,200 radio masts of Telecom Ostland for 3.4 billion."
    assert (
        judge(Report("Telecom Ostland's sale of towers blocked", blocked), sale).kind != "duplicate"
    )


def test_a_modal_verb_is_no_month() -> None:
    assert features(Report("Villagers may go home after march")).days == frozenset()
    assert features(Report("Villagers go home in May")).days == {"may"}


def test_a_span_of_years_is_no_new_figure() -> None:
    earlier = Report(
        "Osk tunnel delayed until 2031",
        "Sundlink has postponed the opening of the tunnel under the Osk strait from 2029 to 2031, "
        "because a shaft flooded. The delay adds 700 million crowns to the costs.",
    )
    text = (
        "The tunnel under the Osk strait will not open before 2031, Sundlink said, and 2029 had been "
        "promised. A shaft flooded, and the delay costs 700 million crowns more."
    )
    assert judge(Report("Osk tunnel opens two years late", text), earlier).kind == "duplicate"
    assert judge(Report("Osk tunnel opens four years late", text), earlier).kind != "duplicate"


def test_other_figures_are_a_development_that_gives_both() -> None:
    more = Report(OUTAGE.title.replace("4,000", "11,500"), "11,500 homes are without electricity.")
    judgement = judge(more, OUTAGE)
    assert judgement.kind == "development"
    assert judgement.reasons[0] == "The figures differ."
    assert judgement.reasons[-1] == "Figures differ: 11500, before 4000."


def test_a_figure_that_both_call_an_estimate_may_differ_by_a_twentieth() -> None:
    one = Report("Nearly 12,000 flee flood in Osselby", FLOOD)
    other = Report("11,850 flee flood in Osselby", FLOOD)
    assert judge(one, other).kind == "duplicate"
    assert judge(Report("Nearly 15,000 flee flood in Osselby", one.text), other).kind != "duplicate"


def test_the_same_text_under_another_headline_is_a_duplicate() -> None:
    assert judge(Report("Cracks shut a bridge", CLOSED.text), CLOSED).kind == "duplicate"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Heavy snow is expected in the northern valley tonight.", "Strong wind on the coast."),
        ("River Tave has reached the quay at Osselby.", "The Ure is over its banks in Brenholm."),
        (
            "Magnitude 4.1, depth 12 km, north of Palma Verde. Sent automatically.",
            "Magnitude 3.7, depth 30 km, west of San Telmo. Sent automatically.",
        ),
    ],
)
def test_one_headline_over_different_texts_is_no_duplicate(one: str, other: str) -> None:
    title = "Severe weather warning"
    assert judge(Report(title, one), Report(title, other)).kind == "unrelated"


def test_the_same_headline_days_later_is_another_event() -> None:
    first = Report("Fog in the Skarrow Hills", published_at=NOON)
    for hours, kind in ((71, "duplicate"), (73, "unrelated")):
        later = Report(first.title, published_at=NOON + timedelta(hours=hours))
        assert judge(later, first).kind == kind


@pytest.mark.parametrize(("sources", "kind"), [("ab", "duplicate"), ("aa", "unrelated")])
def test_one_page_linked_by_two_sources_is_a_duplicate(sources: str, kind: str) -> None:
    one, other = (
        Report(title, url="https://x.test/page", source=source)
        for title, source in zip(("What a bridge", "Cracks in hangers"), sources, strict=True)
    )
    assert judge(one, other).kind == kind


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("UPDATE 1-Ferry runs aground off Skerry Point", "Ferry runs aground off Skerry Point"),
        ("BREAKING: Ferry runs aground - BBC News", "Ferry runs aground"),
        ("Ferry runs aground off Skerry | The Coast & Sea", "Ferry runs aground off Skerry"),
        ("Live: Ferry runs aground off Skerry", "Ferry runs aground off Skerry"),
        ("Live music returns to the pier", "Live music returns to the pier"),
        ("A year of rain - and no end in sight", "A year of rain - and no end in sight"),
    ],
)
def test_what_outlets_put_around_a_headline_is_left_out(title: str, plain: str) -> None:
    if "BBC" in title:
        title = title.replace("aground -", "aground off Skerry -")
        plain += " off Skerry"
    assert headline(title) == plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("南港大橋が緊急補修のため通行止めに", "南港大橋、緊急補修のため通行止め"),
        ("Обвал на карьере под Ольхово", "Обвал на карьере под Ольхово".upper()),
        ("\uff26\uff45\uff52\uff52\uff59 suspended after fire", "Ferry suspended after fire"),
        ("الجسر القديم يغلق يوم الأحد", "الجسر القديم يغلق يوم الأحد"),
    ],
)
def test_other_scripts_and_forms_are_compared(one: str, other: str) -> None:
    assert judge(Report(one), Report(other)).kind == "duplicate"


def test_names_are_whole_and_written_as_in_the_report() -> None:
    found = features(OUTAGE)
    assert found.written["imbry"] == "Lake Imbry"
    assert found.name_of["imbry"] == found.name_of["lak"]
    assert {number.value for number in found.numbers} == {"4000"}


@pytest.mark.parametrize(
    "hostile",
    ["- " * 400, "1-" * 600, "\ufdfa" * 1200, "A b " * 400, "\u201c" * 1200, "update 1-" * 60],
)
def test_hostile_text_is_cut_before_it_is_compared(hostile: str) -> None:
    found = features(Report(hostile, hostile * 50))
    assert len(found.numbers) <= 30
    assert len(found.shingles) <= 1200
    assert judge(Report(hostile, hostile * 50), CLOSED).kind == "unrelated"


def test_the_best_of_several_candidates_is_found_by_its_key() -> None:
    candidates = [(7, Report("Seal count passes 1,000")), (9, CLOSED)]
    match = Index(candidates).best(REOPENED)
    assert match is not None
    assert match.key == 9
    assert Index(candidates).best(Report("Choir sings a crane to sleep")) is None


def test_an_index_finds_a_report_that_was_added_later() -> None:
    index = Index([(7, Report("Seal count passes 1,000"))])
    assert index.best(REOPENED) is None
    index.add(9, CLOSED)
    match = index.best(REOPENED)
    assert match is not None
    assert match.key == 9


def test_one_report_among_two_thousand_is_found() -> None:
    words = ("choir", "seal", "tram", "bakery", "comet", "ferry", "organ", "bees", "coach", "fog")
    index = Index(
        (n, Report(f"{words[n % 10]} {words[n // 10 % 10]} {words[n // 100 % 10]} {n}"))
        for n in range(2000)
    )
    index.add(2001, CLOSED)
    match = index.best(REOPENED)
    assert match is not None
    assert match.key == 2001


def test_a_closer_kind_comes_before_a_higher_score() -> None:
    index = Index([(1, REOPENED), (2, CLOSED)])
    copy = Report("Harbor bridge in Port Elowen closes for urgent repairs", CLOSED.text)
    assert [(match.key, match.judgement.kind) for match in index.matches(copy)] == [
        (2, "duplicate"),
        (1, "development"),
    ]
    gutted = "The Ashby spinning mill in Tavish Reach was gutted by a fire in the night."
    same = Report(
        "Fire guts the Ashby spinning mill in Tavish Reach",
        "Fire has gutted the old Ashby spinning mill in Tavish Reach. Forty workers were led out. "
        "The roof fell in at four in the morning, fire chief Nell Rowntree said.",
    )
    figures = Report(
        "Overnight fire guts Ashby mill in Tavish Reach, 12 workers led out",
        f"{gutted} Twelve workers were led out.",
    )
    new = Report(
        "Overnight fire guts Ashby mill in Tavish Reach, 40 workers led out",
        f"{gutted} Its owner, Piers Holloway, puts the damage at nine million crowns. Fire chief "
        "Nell Rowntree expects to be there until Friday.",
    )
    first, second = Index([(1, same), (2, figures)]).matches(new)
    assert (first.key, first.judgement.kind) == (1, "duplicate")
    assert (second.key, second.judgement.kind) == (2, "development")
    assert second.judgement.score > first.judgement.score


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Boat dealer Tarn & Rook buys Fairlead for 96 million", "duplicate"),
        ("96 million: Tarn & Rook swallows sailmaker Fairlead", "duplicate"),
        ("Regulator blocks purchase of Fairlead by Tarn & Rook", "same event"),
        ("Staff of Fairlead protest against Tarn & Rook", "same event"),
        ("Tarn & Rook buys Fairlead and hires Ida Tonn", "same event"),
        ("Tarn & Rook drops purchase of Fairlead for 96 million", "same event"),
    ],
)
def test_a_turn_is_what_the_headline_adds_and_not_how_it_is_put(title: str, kind: str) -> None:
    earlier = Report(
        "Tarn & Rook to acquire sailmaker Fairlead",
        "The boat dealer Tarn & Rook has agreed to pay 96 million crowns for the sailmaker Fairlead, "
        "which has 340 workers in Lomme.",
    )
    text = (
        "Sails and boats come together: Tarn & Rook of Lomme takes Fairlead over for 96 million "
        "crowns in cash."
    )
    assert judge(Report(title, text), earlier).kind == kind


AGROUND = Report(
    "Ferry runs aground off Lomme",
    "The ferry Elowen ran aground off Lomme on Monday with 212 people on board. The water there was "
    "only 3.4 metres deep.",
    published_at=NOON,
)


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (
            "Captain of ferry off Lomme was drunk",
            "The captain of the ferry Elowen, which ran aground off Lomme with 212 people on board, was "
            "drunk, a test showed.",
        ),
        (
            "Oil leaks from ferry aground off Lomme",
            "Oil is leaking from the ferry Elowen that ran aground off Lomme with 212 people on board. "
            "The water is only 3.4 metres deep.",
        ),
        (
            "Ferry towed off rocks near Lomme",
            "The ferry Elowen, which ran aground off Lomme with 212 people on board, was towed off the "
            "rocks. The water was only 3.4 metres deep.",
        ),
    ],
)
def test_news_in_headline_and_text_is_no_duplicate(title: str, text: str) -> None:
    assert judge(Report(title, text, published_at=NOON), AGROUND).kind == "same event"


def test_a_report_in_another_language_two_days_later_is_no_translation() -> None:
    late = Report(
        "Fähre vor Lomme: Kapitän war betrunken",
        "Der Kapitän der Fähre Elowen, die mit 212 Menschen an Bord vor Lomme auf Grund gelaufen ist, "
        "war betrunken. Das Wasser war dort nur 3,4 Meter tief.",
        published_at=NOON + timedelta(days=2),
    )
    assert judge(late, AGROUND).kind != "duplicate"


@pytest.mark.parametrize(
    ("title", "text", "kind"),
    [
        (
            "Fähre vor Lomme auf Grund gelaufen",
            "Die Fähre Elowen ist am Montag mit 212 Menschen an Bord vor Lomme auf Grund gelaufen. "
            "Das Wasser war dort nur 3,4 Meter tief.",
            "duplicate",
        ),
        (
            "Fähre vor Lomme wieder frei",
            "Die Fähre Elowen, die mit 185 Menschen an Bord war, schwimmt seit Dienstag wieder. Das "
            "Wasser stieg auf 5,1 Meter.",
            "unrelated",
        ),
    ],
)
def test_a_translation_has_the_names_and_figures_of_the_report(
    title: str, text: str, kind: str
) -> None:
    earlier = Report(
        "Ferry runs aground off Lomme",
        "The ferry Elowen ran aground off Lomme on Monday with 212 people on board. The water there "
        "was only 3.4 metres deep.",
    )
    assert judge(Report(title, text), earlier).kind == kind


def test_a_report_of_the_next_day_is_rather_a_later_turn() -> None:
    earlier = Report(
        "Fire at the Kvist brewery in Lomme",
        "Fire broke out in the bottling hall of the Kvist brewery in Lomme on Monday. Some 40,000 "
        "bottles were destroyed.",
        published_at=NOON,
    )
    new = Report(
        "Kvist brewery: police find petrol in the bottling hall",
        "Police have found petrol in the bottling hall of the Kvist brewery in Lomme, where fire "
        "destroyed 40,000 bottles.",
    )
    kinds = [
        judge(replace(new, published_at=NOON + timedelta(hours=hours)), earlier).kind
        for hours in (2, 70)
    ]
    assert kinds == ["same event", "development"]
