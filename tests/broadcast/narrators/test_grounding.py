# ruff: noqa: RUF001 - sentences in Russian
"""The check of each sentence against its passages: what it catches, and what it lets through."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broadcast.narrators.extractive import ExtractiveNarrator
from broadcast.narrators.grounding import Checked, checked
from broadcast.narrators.prompts import passages_of
from broadcast.narrators.quantities import read
from broadcast.narrators.statements import Context, problem
from stories.sources.recording import RecordingSource
from stories.text.sentences import sentences
from stories.types import Brief, Narration, OtherReport, Passage, SpokenSentence

DATA = Path(__file__).parents[2] / "data" / "grounding"
_CASE = re.compile(r"(?P<sign>[+-]) (?:(?P<kind>\w+) )?\[(?P<numbers>[\d,]+)\] (?P<text>.+)")


@dataclass
class Case:
    """A sentence that rests on passages, and the error planted in it; "" for a faithful one."""

    error: str
    text: str
    passages: list[Passage]
    context: Context

    def fails(self) -> bool:
        return problem(self.text, self.passages, self.context) != ""


def cases(half: str) -> Iterator[Case]:
    title, credits_, published = "", "", datetime(2026, 1, 1, tzinfo=UTC)
    report: dict[int, str] = {}
    language: list[str] = []
    lines = (DATA / f"{half}.txt").read_text("utf-8").splitlines()
    reports: dict[str, str] = {}
    for line in lines:
        if line.startswith("# "):
            title = line[2:].split("|")[0].strip()
        elif line[:1].isdigit():
            reports[title] = f"{reports.get(title, '')} {line.split(' ', 1)[1]}"
    for line in lines:
        if line.startswith("# "):
            title, source, author, day, *language = (part.strip() for part in line[2:].split("|"))
            credits_, report = f"{source}. {author}", {}
            published = datetime.fromisoformat(day).replace(tzinfo=UTC)
        elif line[:1].isdigit():
            number, text = line.split(" ", 1)
            report[int(number)] = text
        elif match := _CASE.fullmatch(line):
            numbers = [int(number) for number in match["numbers"].split(",")]
            before = " ".join(text for n, text in report.items() if n < min(numbers))
            passages: list[Passage] = [{"text": report[n], "report": 0} for n in numbers]
            told_in = language[0] if language else "en"
            context = Context(title, credits_, before, published, reports[title], told_in)
            yield Case(match["kind"] or "", match["text"], passages, context)


SETS = (
    "development",
    "heldout",
    "second",
    "third",
    "fourth",
    "translated",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
)


def test_the_labelled_sentences_are_complete() -> None:
    rows = [case for name in SETS for case in cases(name)]
    kinds = Counter(case.error for case in rows)
    assert kinds == {
        "": 932,
        "number": 233,
        "negation": 184,
        "name": 154,
        "date": 95,
        "unit": 76,
        "quote": 121,
        "swap": 63,
        "attribution": 62,
        "invented": 36,
        "direction": 24,
        "cause": 8,
        "hedge": 4,
        "quantifier": 3,
    }
    assert len({case.text for case in rows}) == 1995


@pytest.mark.parametrize(
    ("name", "planted", "caught", "faithful", "flagged"),
    [
        ("development", 100, 100, 100, 0),
        ("heldout", 100, 100, 100, 0),
        ("second", 100, 99, 60, 0),
        ("third", 48, 46, 40, 0),
        ("fourth", 45, 44, 30, 0),
        ("translated", 29, 29, 16, 0),
        ("fifth", 60, 60, 60, 3),
        ("sixth", 30, 30, 31, 2),
        ("seventh", 0, 0, 22, 0),
        ("eighth", 80, 77, 60, 0),
        ("ninth", 80, 76, 60, 0),
        ("tenth", 16, 16, 12, 1),
        ("eleventh", 41, 38, 20, 1),
        ("twelfth", 18, 17, 7, 0),
        ("thirteenth", 117, 115, 120, 2),
        ("fourteenth", 116, 115, 114, 0),
        ("fifteenth", 83, 77, 80, 11),
    ],
)
def test_planted_errors_are_caught_and_faithful_sentences_pass(
    name: str, planted: int, caught: int, faithful: int, flagged: int
) -> None:
    wrong = [case for case in cases(name) if case.error]
    right = [case for case in cases(name) if not case.error]
    assert (len(wrong), len(right)) == (planted, faithful)
    assert sum(case.fails() for case in wrong) >= caught
    assert sum(case.fails() for case in right) <= flagged


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Rovers beat Town.", "Rovers have beaten Town 3-1."),
        ("Town were beaten by Rovers.", "Rovers have beaten Town 3-1."),
        ("Anna Berg, whom Bert Lind had sued, has paid.", "Anna Berg, sued by Bert Lind, paid."),
        ("The trust was blamed by Calder.", "Calder, the supplier, blamed the trust."),
        ("It is closed, so no one may use it.", "The bridge is closed."),
        (
            "The oldest member spoke, not the youngest.",
            "The oldest member spoke, not the youngest.",
        ),
        ("Zofia Nowak, who beat Gregor Tal, is twelve.", "Zofia Nowak, 12, beat Gregor Tal."),
        ("In poor countries the two sell it.", "Marrin and Solvex both sell it in poor countries."),
        ("He said it had paid them no attention.", "“It paid no attention to us,” he said."),
        ("It begins at twenty past five.", "It begins at 5.20 on Friday."),
        ("It sailed only until noon.", "It did not sail after noon, and only until then."),
    ],
)
def test_the_same_said_in_another_order_passes(sentence: str, passage: str) -> None:
    assert problem(sentence, [{"text": passage, "report": 0}], Context()) == ""


@pytest.mark.parametrize(
    ("sentence", "passage", "what"),
    [
        ("Town beat Rovers.", "Rovers have beaten Town 3-1.", "who does what"),
        ("Rovers were beaten by Town.", "Rovers have beaten Town 3-1.", "who does what"),
        ("Tarn acquired Calder.", "Calder bought Tarn for two crowns.", "who does what"),
        ("Anna shot the boar.", "Anna forgave Bert, who shot the boar.", "who does what"),
        ("She left after he lost.", "He left after she lost.", "who does what"),
        ("The boar stunned the ranger.", "The ranger stunned the boar.", "who does what"),
        ("She thanked the mayor.", "The mayor thanked her.", "who does what"),
        ("The dam did not hold.", "The dam held after a first look.", "a negation"),
        ("It will be visible in the south.", "It will be visible in the north.", "south"),
        ("The price has risen.", "The price has fallen.", "risen"),
        ("It won the first prize.", "It won the second prize.", "first"),
        ("It fell by two per cent.", "It fell by two points.", "two"),
        (
            "The bridge is closed after divers saw cracks under a pillar.",
            "The bridge is closed.",
            "divers cracks pillar",
        ),
    ],
)
def test_what_is_turned_round_or_new_is_named(sentence: str, passage: str, what: str) -> None:
    assert what in problem(sentence, [{"text": passage, "report": 0}], Context())


@pytest.mark.parametrize(
    ("sentence", "passage", "language", "what"),
    [
        ("It opens on 3 May.", "Sie öffnet am 3. Mai.", "en", ""),
        ("It opens on 3 June.", "Sie öffnet am 3. Mai.", "en", "3 June"),
        ("It opened on Wednesday.", "Мост открыли в среду.", "en", ""),
        ("It opened on Friday.", "Мост открыли в среду.", "en", "Friday"),
        ("It opens on 30 March.", "橋は3月30日に開通する。", "en", ""),
        ("It opens on 31 March.", "橋は3月30日に開通する。", "en", "31 March"),
        ("Three men came in two hours.", "Trois hommes sont venus en deux heures.", "en", ""),
        ("Five men came.", "Trois hommes sont venus en deux heures.", "en", "Five"),
        ("They came after two days.", "Trois hommes sont venus en deux heures.", "en", "two"),
        ("Sie kostet neun Euro.", "It costs nine euros.", "de", ""),
        ("Sie kostet sieben Euro.", "It costs nine euros.", "de", "7"),
        ("Die Stadt nennt es „einen Skandal“.", "The town calls it a scandal.", "de", "Skandal"),
        ("It costs 340 million yen.", "費用は3億4000万円である。", "en", ""),
        ("It costs 430 million yen.", "費用は3億4000万円である。", "en", "430 million"),
        ("It opens at 8:30 in the evening.", "午後8時30分に開く。", "en", ""),
        ("The bridge is 3 kilometres long.", "طول الجسر 3 كيلومترات.", "en", ""),
        ("The bridge is 4 kilometres long.", "طول الجسر 3 كيلومترات.", "en", "4"),
        ("It ends at ten.", "Es endet um 22 Uhr.", "en", ""),
        ("Prices are falling.", "Les prix sont en hausse.", "en", "“falling”"),
        (
            "A warning was issued for the town.",
            "Aucune alerte n'a été lancée pour la ville.",
            "en",
            "leaves out a negation",
        ),
        ("The mayor said so.", "Le ministre l'a dit mardi.", "en", "the role “mayor”"),
        ("The house approved the law.", "La cámara rechazó la ley el lunes.", "en", "“approved”"),
        ("Nine died and two were hurt.", "Zwei Tote und neun Verletzte am Montag.", "en", "“9”"),
        ("It came on Tuesday evening.", "Es kam am Dienstagabend an.", "en", ""),
        ("It rose by 14 percent.", "Aumentó un 14 por ciento en mayo.", "en", ""),
        ("About 600 hectares burned.", "Rund 600 Hektar verbrannten am Montag.", "en", ""),
        ("Er schloss neue Stellen nicht aus.", "Er schloss neue Stellen aus.", "de", "a negation"),
        (
            "Il club presenterà ricorso domani.",
            "Il club non presenterà ricorso domani.",
            "it",
            "neg",
        ),
        ("Il club non presenterà ricorso oggi.", "Il club non presenterà ricorso oggi.", "it", ""),
        ("Vingt-deux mille places.", "Le stade a 22 000 places.", "fr", ""),
        ("Vingt-trois mille places.", "Le stade a 22 000 places.", "fr", "23000"),
        ("Il a coûté plus de six millions.", "Il a coûté 6,3 millions d'euros.", "fr", ""),
        ("Il est venu vers une heure vingt.", "Il est venu vers 1 h 20 mardi.", "fr", ""),
        ("Il est venu vers trois heures vingt.", "Il est venu vers 1 h 20 mardi.", "fr", "3:20"),
        ("Il rouvre le premier avril.", "Il rouvre le 1er avril.", "fr", ""),
        ("Il rouvre le premier mai.", "Il rouvre le 1er avril.", "fr", "1 May"),
        ("Der Gewinn stieg um gut achtzehn Prozent.", "Er stieg um 18,4 Prozent.", "de", ""),
        ("Der Gewinn stieg um gut 28 Prozent.", "Er stieg um 18,4 Prozent.", "de", "28"),
        ("Sie kostet zweieinhalb Millionen.", "Sie kostet 2,5 Millionen Euro.", "de", ""),
        ("Der einundvierzigjährige Fahrer starb.", "Der Fahrer, 41, starb.", "de", ""),
        ("Der einundfünfzigjährige Fahrer starb.", "Der Fahrer, 41, starb.", "de", "51"),
        ("Usa noventa y cinco litros de agua.", "La planta usa 95 litros de agua.", "es", ""),
        ("Usa treinta y cinco litros de agua.", "La planta usa 95 litros de agua.", "es", "35"),
        ("Ha ventun navi e undicimila posti.", "Il porto ha 21 navi e 11.000 posti.", "it", ""),
        (
            "Ha ventun navi e dodicimila posti.",
            "Il porto ha 21 navi e 11.000 posti.",
            "it",
            "12000",
        ),
        ("Custa dois milhões e meio.", "A ponte custa 2,5 milhões de reais.", "pt", ""),
        ("Custa três milhões e meio.", "A ponte custa 2,5 milhões de reais.", "pt", "3500000"),
        ("Het steeg met achtentwintig procent.", "De winst steeg met 28 procent.", "nl", ""),
        ("Het steeg met negentien procent.", "De winst steeg met 28 procent.", "nl", "19"),
        ("Es flossen 2,8 Tonnen Bronze.", "Um 21.15 Uhr flossen 2,8 Tonnen Bronze.", "de", ""),
        ("Es flossen 2,8 Tonnen.", "Wie um 21.15 Uhr 2,8 Tonnen flossen.", "de", ""),
        ("Chiedono centottantamila euro.", "Chiedono 180 mila euro.", "it", ""),
        ("Chiedono centosettantamila euro.", "Chiedono 180 mila euro.", "it", "170000"),
        ("It was sold in the nineteen-twenties.", "It was sold in the 1920s.", "en", ""),
        ("It was sold in the nineteen-thirties.", "It was sold in the 1920s.", "en", "1930"),
        ("Trade stopped at 84 cents.", "Trade stopped at 0.84 dollars.", "en", ""),
        ("Trade stopped at 48 cents.", "Trade stopped at $0.84.", "en", "48"),
    ],
)
def test_what_is_told_in_another_language_is_compared(
    sentence: str, passage: str, language: str, what: str
) -> None:
    found = problem(sentence, [{"text": passage, "report": 0}], Context(language=language))
    assert what in found
    assert bool(what) == bool(found)


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Der Preis stieg auf 1.234,50 Euro.", "Der Preis stieg auf 1.234,50 Euro."),
        ("Die Brücke ist wegen eines Risses zu.", "Die Brücke ist zu, sie hat einen Riss."),
        ("Il a coûté 2,5 millions d'euros.", "Il a coûté 2,5 millions d'euros."),
        ("В Москве 12 человек.", "В Москве живут 12 человек."),
        ("The price rose to 1,234.50 euros.", "Der Preis stieg auf 1.234,50 Euro."),
        ("Angela Huber has 12 cows.", "Angela Huber hat 12 Kühe."),
        ("Ivan Petrov has 12 cows.", "У Ивана Петрова 12 коров."),
        ("About 5,000 people came.", "In all, 4,987 people came."),
        ("More than 21,000 came.", "A crowd of 21,340 came."),
        ("Some 2.4 million crowns are missing.", "2,397,500 crowns are missing."),
    ],
)
def test_other_languages_formats_and_rounding_pass(sentence: str, passage: str) -> None:
    assert problem(sentence, [{"text": passage, "report": 0}], Context()) == ""


@pytest.mark.parametrize(
    ("sentence", "passage", "what"),
    [
        ("Der Preis stieg auf 1.243,50 Euro.", "Der Preis stieg auf 1.234,50 Euro.", "1.243,50"),
        ("Die Brücke baute Ute Meier.", "Die Brücke baute Eva Meier.", "Ute Meier"),
        ("В Москве 21 человек.", "В Москве живут 12 человек.", "21"),
        ("Angela Gruber has 12 cows.", "Angela Huber hat 12 Kühe.", "Angela Gruber"),
        ("More than 21,000 came.", "A crowd of 20,900 came.", "21,000"),
        ("Nearly 5,000 came.", "5,150 people came.", "5,000"),
        ("About 5,100 people came.", "In all, 4,987 people came.", "5,100"),
        ("About 4,950 people came.", "In all, 4,987 people came.", "4,950"),
        ("5,000 people came.", "In all, 4,987 people came.", "5,000"),
        ("It will open at 9pm.", "It will open at 9am.", "9:00 pm"),
        ("It rose by two per cent.", "It rose by two percentage points.", "%"),
        ("She was 3rd.", "She was 2nd.", "3"),
        ("They call it a “quiet success”.", "They call it a success.", "quiet success"),
    ],
)
def test_what_differs_is_named(sentence: str, passage: str, what: str) -> None:
    assert what in problem(sentence, [{"text": passage, "report": 0}], Context())


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("It has worked for over ten years.", "It has worked for more than a decade."),
        ("She wants a report every quarter.", "She wants quarterly reports."),
        ("He was jailed for 40 months.", "He got three years and four months in prison."),
        ("It took an hour and 52 minutes.", "It took 1 hour and 52 minutes."),
        ("It took just under nine hours.", "It took eight hours and 50 minutes."),
        ("It was down for 169 minutes.", "It was down from 9:42am to 12:31pm."),
        ("For six years he took it.", "He took it between 2017 and 2023."),
        ("It is the first for 39 years.", "It is the first since 1987."),
        ("Two thirds of the clinics are shut.", "Six of the nine clinics are shut."),
        ("About 15 percent of its posts go.", "It will cut 400 of its 2,600 posts."),
        ("Sales fell by almost a fifth.", "Sales fell 18 percent."),
        ("A little more than half of it grew.", "This year 140 tonnes grew, and 260 before."),
        ("By a majority of five they agreed.", "They agreed by 29 to 24."),
        ("Together they paid 30 crowns.", "Anna paid 10 crowns, and Bert 20 crowns."),
        ("Almost two million failed.", "In all, 1.9 million failed."),
        ("It cost a little under a quarter of a million euros.", "It cost 240,000 euros."),
        ("It is just over half a kilometre wide.", "It is 530 metres wide."),
        ("It broke at 18 minutes to ten in the morning.", "It broke at 9:42am."),
        ("It came at six this morning.", "It came at 6am."),
        ("They left before eight o'clock.", "They left before eight."),
        ("From January to June it fell.", "It fell in the first half of the year."),
        ("They may come until May 31.", "They may come until the end of the month."),
        ("It opens in June.", "It opens next month."),
        ("Each weighs less than 250 grams.", "They weigh 240 and 225 grams."),
        ("He may stay two more years.", "He may stay until 2028."),
        ("She is from Ireland.", "She is an Irish novelist."),
        ("It was the third, so there are three.", "It was the third."),
        ("It happened in 2026.", "It happened in May."),
        ("In 2025 it stopped, and in 2026 too.", "It stopped last year, and this year too."),
        ("All except 40 homes have power.", "All but 40 homes have power."),
        ("The warning no longer applies.", "The warning was lifted at six."),
        ("They no longer have any.", "They have run out of it."),
        ("No storm was ever stronger.", "It was the strongest storm."),
        ("She warned against sleeping there.", "She told them not to sleep there."),
        ("A tree hit the van and killed the driver.", "A tree fell on his van and killed him."),
        ("Sixty homes sat in the dark on Monday.", "On Monday 60 homes were without electricity."),
        ("25 million euros in aid came.", "Stig Falk promised aid of 25 million euros."),
        ("The cut is a quarter point.", "It is a cut of a quarter of a point."),
        ("It lost in the first three months.", "It made a first-quarter loss."),
        ("It begins on New Year's Day.", "It begins on January 1."),
        ("It is closed until ten.", "It is closed until 10 p.m."),
        ("It came two minutes from time.", "It came in the 88th minute."),
        ("No one had recognised the painting.", "The painting hung unrecognised at the school."),
        ("It ended at twenty to six.", "It ended at 5:40 p.m."),
        ("The court cleared Bo of murder.", "The court found Bo not guilty of murder."),
        ("The plan was rejected.", "The council didn’t approve the plan."),
        ("No one may use the road.", "The road was closed."),
        ("They did not comply with it.", "It is about their failure to comply."),
        ("His party has nine seats.", "The party of Lund has nine seats."),
    ],
)
def test_what_follows_from_a_passage_passes(sentence: str, passage: str) -> None:
    context = Context(published=datetime(2026, 5, 9, tzinfo=UTC))
    assert problem(sentence, [{"text": passage, "report": 0}], context) == ""


@pytest.mark.parametrize(
    ("sentence", "passage", "what"),
    [
        ("He was jailed for 41 months.", "He got three years and four months in prison.", "41"),
        ("It took just under eight hours.", "It took eight hours and 50 minutes.", "eight"),
        ("It was down for 149 minutes.", "It was down from 9:42am to 12:31pm.", "149"),
        ("For five years he took it.", "He took it between 2017 and 2023.", "five"),
        ("It is the first for 29 years.", "It is the first since 1987.", "29"),
        ("Half of the clinics are shut.", "Six of the nine clinics are shut.", "half"),
        ("About 25 percent of its posts go.", "It will cut 400 of its 2,600 posts.", "25"),
        ("Sales fell by almost a third.", "Sales fell 18 percent.", "a third"),
        ("More than half of it grew.", "This year 120 tonnes grew, and 260 before.", "half"),
        ("By a majority of six they agreed.", "They agreed by 29 to 24.", "six"),
        ("Together they paid 40 crowns.", "Anna paid 10 crowns, and Bert 20 crowns.", "40"),
        ("Almost two million failed.", "In all, 1.6 million failed.", "two million"),
        ("It is half a kilometre wide.", "It is 50 metres wide.", "half a"),
        ("It broke at 18 minutes to ten in the morning.", "It broke at 9:52am.", "9:42"),
        ("They may come until May 30.", "They may come until the end of the month.", "30 May"),
        ("It opens in July.", "It opens next month.", "July"),
        ("Each weighs less than 230 grams.", "They weigh 240 and 235 grams.", "230"),
        ("He may stay three more years.", "He may stay until 2028.", "three"),
        ("She is from Iceland.", "She is an Irish novelist.", "Iceland"),
        ("From July to December it fell.", "It fell in the first half of the year.", "July"),
        ("It happened in 2026.", "It happened in 2024.", "2026"),
        ("This bridge stays until 2026.", "This bridge stays until 2028.", "2026"),
        ("It came last in 2025.", "It came last in 2024.", "2025"),
        ("Lorries may cross it.", "Lorries may not cross it.", "leaves out a negation"),
        ("The road did not close.", "The road was closed.", "a negation"),
        ("The talks did not fail.", "The talks failed on Monday.", "a negation"),
        ("It opens this autumn.", "It opens in spring.", "the season “autumn”"),
        ("It is 4 light-minutes away.", "It is 4 light-years away.", "the number “4”"),
        ("Sales picked up.", "Sales of the firm slowed.", "“quickened” where it has “slowed”"),
        ("Its costs fell by 3 percent.", "Its costs rose by 3 percent, and it lost 5 men.", "fell"),
        ("He blamed rain rather than frost.", "He blamed frost rather than rain.", "rather than"),
        ("It opens in December.", "It opens in the second half of the year.", "December"),
        ("He bakes only rye and wants more.", "He bakes only rye and does not want more.", "neg"),
        ("Town came from behind to beat Rovers.", "Rovers came from behind to beat Town.", "who"),
        ("He flew from Keld to Ashby.", "He flew from Ashby to Keld.", "who does what"),
        (
            "The plant in Keld will close, while the one in Ashby is to be expanded.",
            "The plant in Ashby will close, while the one in Keld is to be expanded.",
            "who does what",
        ),
        ("They voted in favour.", "They voted against.", "favour"),
        ("The judge said it was wrong.", "Anna Berg told the court that it was wrong.", "judge"),
    ],
)
def test_what_does_not_follow_from_a_passage_is_named(
    sentence: str, passage: str, what: str
) -> None:
    context = Context(published=datetime(2026, 5, 9, tzinfo=UTC))
    assert what in problem(sentence, [{"text": passage, "report": 0}], context)


@pytest.mark.parametrize(
    ("sentence", "passage", "what"),
    [
        ("Three were killed and 12 hurt.", "Twelve were killed and three hurt.", "belongs to “3”"),
        ("Three were killed.", "Twelve were killed and three hurt.", "belongs to “3”"),
        (
            "The blast killed three people in twelve villages.",
            "The blast killed twelve people in three villages.",
            "the number “three”",
        ),
        (
            "The museum reopens on Monday after it closes on Friday.",
            "The museum closes on Monday and reopens on Friday.",
            "belongs to “the day”",
        ),
        ("Three died, twelve were hurt.", "Zwölf Tote und drei Verletzte gab es am Montag.", "“3”"),
        (
            "The sales fell while costs rose.",
            "The sales rose while costs fell.",
            "“fell” where it has",
        ),
        ("Prices fell in Keld.", "Prices rose in Keld, though wages fell.", "“fell” where it has"),
        ("Port hired the cook.", "The cook was sacked by Port, which hired a guard.", "“hired”"),
        ("Keld lost to Ashby.", "Keld beat Ashby 2-1 on Friday.", "“ashby” and “keld”"),
        ("Keld tops Ashby after being beaten.", "Ashby were beaten by Keld.", ""),
        ("Vantor sold Harrow Mills to Lenz.", "Harrow Mills sold Vantor to Lenz.", "who does what"),
        ("The mayor said the minister lied.", "The minister said the mayor lied.", "who says"),
        ("All of the schools are open.", "Most of the schools are open.", "“all”"),
        ("Some pupils passed the test.", "All pupils passed the test.", "“some”"),
        ("The plant in Keld closes.", "The plant in Keld may close.", "“may”"),
        ("The thief took two rings.", "The alleged thief took two rings.", "“alleged”"),
        ("The city built a tram line.", "The city plans to build a tram line.", "“plans to”"),
        ("The water is unsafe to drink.", "The water is safe to drink.", "“unsafe”"),
        (
            "Its debt rose from 12 to 3 crowns.",
            "Its debt rose from 3 to 12 crowns.",
            "“12” before “3”",
        ),
        ("She earns 900 crowns a year.", "She earns 900 crowns a month.", "“year” where it has"),
        ("The road is shut from Friday.", "The road is shut until Friday.", "“from Friday”"),
        ("The siren came before the wave.", "The wave came before the siren.", "“after”"),
        ("The fire started because of a cable.", "The fire started because of a fan.", "because"),
        ("No oil leaked.", "Oil leaked, and no sand came.", "a negation"),
        ("Oil leaked.", "No oil leaked, the captain wrote.", "it leaves out a negation"),
        ("Arson could be excluded.", "Arson could not be excluded.", "a negation"),
        (
            "The boat sank one of its funds, the harbour wrote.",
            "The fund sank one of its boats, the harbour wrote.",
            "in the place of",
        ),
    ],
)
def test_what_is_put_together_otherwise_is_named(sentence: str, passage: str, what: str) -> None:
    found = problem(sentence, [{"text": passage, "report": 0}], Context())
    assert what in found
    assert bool(what) == bool(found)


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Three were hurt, and 12 killed.", "Twelve were killed and three hurt."),
        ("It killed 12 and hurt three.", "Twelve were killed and three hurt."),
        ("The costs fell while sales rose.", "The sales rose while costs fell."),
        ("Ashby lost 2-1 to Keld.", "Keld beat Ashby 2-1 on Friday."),
        ("Keld's win over Ashby came late.", "Ashby lost to Keld late."),
        ("The mayor lied, the minister said.", "The minister said the mayor lied."),
        ("Keld might close the plant.", "The plant in Keld may close in the end."),
        ("The city wants to build a tram line.", "The city plans to build a tram line."),
        ("It was not safe to drink the water.", "The water was unsafe to drink."),
        ("After the wave came the siren.", "The wave came before the siren."),
        ("Every school is open.", "All of the schools are open."),
    ],
)
def test_the_same_put_together_in_another_order_passes(sentence: str, passage: str) -> None:
    assert problem(sentence, [{"text": passage, "report": 0}], Context()) == ""


@pytest.mark.parametrize(
    ("sentence", "passage", "what"),
    [
        # The opposite of the verb, also of two words and of a denied one
        (
            "The firm granted the union's request.",
            "The firm turned the union's request down.",
            "granted",
        ),
        ("The coach will stay with the club.", "The coach will leave the club in May.", "“stay”"),
        ("He refused to apologise to her.", "He apologised to her without delay.", "“apologise”"),
        ("Doctors know of a cure.", "Doctors are not aware of a cure.", "“know”"),
        ("Two members opposed the loan.", "Two members, favouring the loan, spoke.", "“opposed”"),
        (
            "The court upheld the fine.",
            "The court acquitted him, overturning the fine.",
            "“upheld”",
        ),
        ("The app requires an account.", "It runs on phones and needs no account.", "“requires”"),
        ("The port stays shut to ferries.", "The port is to reopen to ferries.", "where it has"),
        ("The summit was brought forward.", "The summit was put off.", "“brought”"),
        (
            "The office is sticking to plans for a path.",
            "It dropped plans for a path.",
            "“sticking”",
        ),
        (
            "The club promised to keep the reform.",
            "The club promised to repeal the reform.",
            "“keep”",
        ),
        (
            "The format is still supported.",
            "Support for the format has been removed.",
            "“supported”",
        ),
        ("The plants are diseased.", "The plants are healthy.", "“diseased”"),
        ("They fell asleep much faster.", "They fell asleep no faster than others.", "“faster”"),
        ("The new pump is not safer.", "The new pump is safer than the old one.", "“safer”"),
        # Another name in the place of one of the passages
        ("The lead author, Ada Moor, spoke.", "Lead author Bo Lund spoke on Friday.", "Ada Moor"),
        (
            "Union leader Bo Lund spoke.",
            "Union leader Ada Moor and port chief Bo Lund spoke.",
            "Lund",
        ),
        (
            "The leak was found by Ada Moor of Brix.",
            "The leak was found by Bo Lund of Brix.",
            "Moor",
        ),
        ("“Go,” wrote team leader Ada Moor.", "“Go,” wrote team leader Bo Lund.", "Ada Moor"),
        ("A user called birch has helped.", "A user named pine has helped.", "birch"),
        # Reported words of which the passages have none
        (
            "Bo Lund said that he would sue a rival club.",
            "“I lost two years,” Bo Lund said.",
            "sue rival club",
        ),
    ],
)
def test_what_is_the_opposite_or_of_another_is_named(
    sentence: str, passage: str, what: str
) -> None:
    context = Context(
        before="Ada Moor came.", report="Ada Moor came. A user called birch met a club."
    )
    assert what in problem(sentence, [{"text": passage, "report": 0}], context)


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Schools are to stay open.", "The office does not plan to close schools."),
        ("The format is no longer supported.", "Support for the format has been removed."),
        ("The old format is no longer supported.", "Support for it, due in May, has been removed."),
        ("A panel had not been fastened properly.", "An incorrectly fastened panel was found."),
        ("They said no to two more hives.", "They turned down a request for two more hives."),
        ("The panel threw out the bill.", "The panel rejected the bill."),
        ("It lifted his ban.", "The tribunal overturned a ban imposed in 2024."),
        ("The town keeps its library.", "The town dropped plans to scrap its library."),
        (
            "Bo Lund, 14, was on his last try.",
            "It was the last try of Bo Lund, 14, as none may be older.",
        ),
        ("Healthy adults sleep no better with it.", "It does not help healthy adults to sleep."),
        ("The east side is closed to cyclists.", "Cyclists are not allowed on the east side."),
        ("She said sorry, but did nothing illegal.", "She apologised, but broke no law."),
        ("The alarm was not on at night.", "The alarm had been switched off at night."),
        ("It blocks ads without being asked.", "It blocks ads by default."),
        ("You have to turn the lamp on.", "The lamp is switched off and can be enabled."),
        ("It last won the cup in 1987.", "It has not won the cup since 1987."),
        ("The path will not be made wider.", "The office dropped plans to widen the path."),
        ("The firm doesn't have enough drivers.", "The firm lacked drivers."),
        ("Outside the court, Bo Lund wept.", "Bo Lund wept outside the court."),
        ("His wife was found not guilty.", "His wife was acquitted."),
        ("Captain Bo Lund scored.", "Skipper Bo Lund scored."),
        ("Her lawyer, Ada Moor, spoke.", "Defence counsel Ada Moor spoke."),
        ("The club is to play on Friday.", "The club plays on Friday."),
        ("The schools open late on Friday.", "The schools are to open late on Friday."),
        ("A harp, stolen in May, has been found.", "A harp that was stolen in May has been found."),
        ("Search is fast for ten thousand notes.", "Search is fast with 10,000 notes."),
        ("Brix has lost contact with a probe.", "Engineers lost contact with a probe, Brix said."),
    ],
)
def test_a_denial_or_a_role_in_other_words_passes(sentence: str, passage: str) -> None:
    assert problem(sentence, [{"text": passage, "report": 0}], Context()) == ""


def test_numbers_are_read_from_words() -> None:
    def values(text: str) -> list[tuple[float, str]]:
        return [(one.values[0], one.unit) for one in read(text).quantities]

    assert values("twelve and a half million crowns") == [(12_500_000, "crown")]
    assert values("£2.4m, or half a million dollars") == [(2_400_000, "£"), (500_000, "$")]
    assert values("two hundred and twelve people in the eighty-ninth minute") == [
        (212, ""),
        (89, "minute"),
    ]
    assert read("at twenty past four in the morning").times == ((260, "am"),)
    assert read("on the first of December").dates == read("December 1").dates == ((12, 1),)
    assert read("January the twenty-second").dates == ((1, 22),)
    assert read("In May the second bus came.").dates == ()
    assert values("forty-one dollars and seventy-five cents, or three euros fifty") == [
        (41.75, "$"),
        (3.5, "€"),
    ]
    assert values("between one hundred and two hundred, in nineteen eighty-four") == [
        (100, ""),
        (200, ""),
        (1984, ""),
    ]
    assert values("three point five million, and a hundred and twenty") == [
        (3_500_000, ""),
        (120, ""),
    ]


BRIEF = Brief(
    title="Ferry on Marrow Sound suspended after fire",
    body="The ferry to Tavish Reach is out of service after a fire on Sunday. "
    "All 64 passengers were taken off within twenty minutes. No one was hurt. "
    "The harbour authority is running two water taxis.",
    author="",
    source="Elowen Courier",
    url="",
    published_at=datetime(2026, 11, 16, tzinfo=UTC),
    score=0,
    comments=0,
    priority=0.5,
)


def narrated(*said: tuple[str, list[int] | None], may_wait: bool = False) -> Checked:
    passages = passages_of(BRIEF)
    spoken = tuple(
        SpokenSentence(text, None if numbers is None else tuple(passages[n] for n in numbers))
        for text, numbers in said
    )
    text = " ".join(one.text for one in spoken)
    narration = Narration(
        "Ferry suspended", text, "breaking", "neutral", [], said[0][0], "", spoken
    )
    return checked(narration, BRIEF, may_wait=may_wait)


LEAD = ("The ferry to Tavish Reach is out of service after a fire.", [1])
RESCUE = ("All 64 people on board were off within 20 minutes.", [2])


def test_a_faithful_story_airs_with_its_passages() -> None:
    result = narrated(LEAD, RESCUE, ("The Elowen Courier has this story.", None))
    assert not result.held
    assert not result.dropped
    assert not result.own_words
    assert [(row["support"], [p["text"] for p in row["passages"]]) for row in result.sentences] == [
        ("passages", ["The ferry to Tavish Reach is out of service after a fire on Sunday."]),
        ("passages", ["All 64 passengers were taken off within twenty minutes."]),
        ("link", []),
    ]


def test_one_failed_sentence_is_dropped_with_its_reason() -> None:
    result = narrated(LEAD, ("All 46 passengers were taken off.", [2]), RESCUE)
    assert result.narration.narrative == f"{LEAD[0]} {RESCUE[0]}"
    assert result.dropped == (
        {
            "text": "All 46 passengers were taken off.",
            "reason": "Not in its passages: the number “46”.",
        },
    )
    assert result.narration.note == "1 sentence dropped: not in the source"


def test_a_failed_lead_is_told_verbatim_in_hands_free() -> None:
    result = narrated(("The ferry to Port Zane is out of service.", [1]), RESCUE)
    assert result.own_words
    assert "All 64 passengers were taken off within twenty minutes." in result.narration.narrative
    assert "Port Zane" not in result.narration.narrative
    assert [row["text"] for row in result.dropped] == ["The ferry to Port Zane is out of service."]


def test_a_failed_lead_waits_for_the_editor_with_its_mark() -> None:
    result = narrated(("The ferry to Port Zane is out of service.", [1]), RESCUE, may_wait=True)
    assert result.held
    assert not result.dropped
    assert "Port Zane" in result.narration.narrative
    assert result.sentences[0]["support"] == "none"
    assert result.sentences[0].get("reason") == "Not in its passages: the name “Port Zane”."


def test_more_than_half_failing_is_too_much() -> None:
    wrong = [("46 passengers came.", [2]), ("Nine taxis run.", [4])]
    assert narrated(LEAD, *wrong).own_words
    assert not narrated(LEAD, RESCUE, *wrong).own_words


def test_a_sentence_without_numbers_is_matched_and_then_checked() -> None:
    result = narrated(
        LEAD,
        RESCUE,
        ("The harbour authority runs two water taxis.", None),
        ("The harbour authority runs nine water taxis.", None),
        ("Experts call the weather a riddle.", None),
    )
    assert [row["support"] for row in result.sentences] == ["passages"] * 3
    assert result.sentences[2]["passages"][0]["text"].endswith("two water taxis.")
    assert [row["reason"] for row in result.dropped] == [
        "Not in its passages: the number “nine”.",
        "It rests on no passage.",
    ]


def test_a_link_must_state_nothing_of_its_own() -> None:
    spoken = (
        SpokenSentence("Over to the Elowen Courier.", link=True),
        SpokenSentence("Over to Port Zane, with 12 dead.", link=True),
        SpokenSentence(LEAD[0], (passages_of(BRIEF)[1],)),
    )
    text = " ".join(one.text for one in spoken)
    narration = Narration("Ferry suspended", text, "breaking", "neutral", [], "", "", spoken)
    result = checked(narration, BRIEF, may_wait=False)
    assert [row["support"] for row in result.sentences] == ["link", "passages"]
    assert [row["text"] for row in result.dropped] == ["Over to Port Zane, with 12 dead."]


def test_a_title_that_the_post_does_not_support_becomes_the_posts_own() -> None:
    passages = passages_of(BRIEF)
    spoken = (SpokenSentence(LEAD[0], (passages[1],)),)
    narration = Narration(
        "Nine dead in Port Zane", LEAD[0], "breaking", "neutral", [], "", "", spoken
    )
    result = checked(narration, BRIEF, may_wait=False)
    assert result.narration.title == "Ferry on Marrow Sound suspended after fire"


def test_links_alone_are_no_story() -> None:
    result = narrated(("Here's a story from the Elowen Courier.", None))
    assert result.own_words
    assert "No one was hurt." in result.narration.narrative


def test_the_offline_host_tells_the_whole_recording_without_a_dropped_sentence() -> None:
    source = RecordingSource()
    posts = [post for at in range(0, 84, 2) for post in source.fetch("", "", {"next": at}).posts]
    assert len(posts) > 60
    for number, post in enumerate(posts):
        brief = replace(
            BRIEF, title=post.title, body=post.body, number=number, upcoming="Sound Post"
        )
        result = checked(ExtractiveNarrator().narrate(brief, lambda _: None), brief, may_wait=False)
        assert result.dropped == (), result.dropped
        supports = {row["support"] for row in result.sentences}
        assert supports <= {"passages", "link"}
        joined = " ".join(row["text"] for row in result.sentences)
        assert sentences(joined) == sentences(result.narration.narrative)


@pytest.mark.parametrize("personality", ["formal", "conversational", "analytical", "energetic"])
@pytest.mark.parametrize(
    "title",
    [
        "Opinion: Trams need no timetable",
        "Analysis: What the trams say about us",
        "Breaking: Tram depot in Elowen burns",
        "Update: Tram depot in Elowen burns",
        "Correction: Tram depot in Elowen burns",
        "Tram driver retires after 40 years",
        "I built a tram in my garden",
        "Tram depot in Elowen burns",
    ],
)
def test_no_sentence_of_the_host_itself_is_dropped(personality: str, title: str) -> None:
    body = (
        "I saw it at the depot in Elowen. The tram was old, and my brother drove it for 40 years."
    )
    other = OtherReport("Shore Post", "Fire at depot", "A guard smelled smoke at three o'clock.")
    for number in range(12):
        brief = replace(
            BRIEF,
            title=title,
            body=body,
            author="Ines Calloway",
            source="BBC News",
            personality=personality,
            number=number,
            upcoming="Heise Online",
            others=(other,),
        )
        result = checked(ExtractiveNarrator().narrate(brief, lambda _: None), brief, may_wait=False)
        assert result.dropped == ()


@pytest.mark.parametrize(
    ("sentence", "passage", "language"),
    [
        (
            "The fraud came to light, and nobody saw it until the audit failed to add up.",
            "The fraud was seen only when the audit failed to add up.",
            "en",
        ),
        (
            "She did not paint the last three.",
            "The last three were painted by somebody else.",
            "en",
        ),
        ("He never wrote the letters himself.", "The letters were written by someone else.", "en"),
        (
            "The bank says it knew nothing about the loan.",
            "The bank said it had known nothing about the loan.",
            "en",
        ),
        ("She saw no one in the hall.", "She had seen no one in the hall.", "en"),
        (
            "Drivers should fill the tank to no more than half.",
            "Drivers should not fill the tank above half.",
            "en",
        ),
        (
            "Support for version 3 continues until the end of 2028.",
            "Version 3 will be supported until the end of 2028.",
            "en",
        ),
        (
            "Profit went down four percent, though sales rose.",
            "Profit declined 4 percent although sales rose by 2 percent.",
            "en",
        ),
        (
            "She loved to say that the river chose its bed.",
            "The river chooses its bed, she loved to say, and people pay for it.",
            "en",
        ),
        (
            "The plan the unions oppose would cut forty posts.",
            "The union leader said her members opposed the plan, which would cut 40 posts.",
            "en",
        ),
        (
            "They expect costs of forty to sixty million euros.",
            "The costs are between 40 million and 60 million euros.",
            "en",
        ),
        (
            "He finished in three hours, four minutes and nine seconds.",
            "He finished in 3:04:09.",
            "en",
        ),
        ("Three of five judges agreed.", "The judges agreed by a majority of three to two.", "en"),
        (
            "It opens for two hours in the morning and four in the afternoon.",
            "It opens from 9am to 11am and from 2pm to 6pm.",
            "en",
        ),
        (
            "The shop is open for three hours in the morning and two in the evening.",
            "The shop opens from 8am to 11am and from 6pm to 8pm.",
            "en",
        ),
        ("The pool stays open.", "The pool will remain open.", "en"),
        (
            "The pool has no plans to close.",
            "The pool will remain open and has no plans to close.",
            "en",
        ),
        (
            "The man was released without charge.",
            "A man was questioned and released without charge.",
            "en",
        ),
        ("The fee still applies.", "The fee remains in force and still applies to all.", "en"),
        ("Visitors may stay as long as they pay.", "Visitors can stay if they pay.", "en"),
        (
            "Dogs may come in as long as they are on a lead.",
            "Dogs are not banned as long as they are on a lead.",
            "en",
        ),
        (
            "The museum in Kent, whose sister museum is in London, is open.",
            "The museum in Kent is open; its sister museum in London is closed.",
            "en",
        ),
        (
            "The recall covers the Lark, but not the Heron.",
            "The recall covers the Lark; the Heron, built in Mexico, is not included.",
            "en",
        ),
        (
            "Only the Lark is recalled.",
            "The recall covers the Lark; the larger Heron is not included.",
            "en",
        ),
        (
            "The school in Scotland has 40 pupils.",
            "The school in Norrie, Scotland, has 40 pupils.",
            "en",
        ),
        (
            "Der Kläger will statt einer Revision mit der Stadt verhandeln.",
            "Der Kläger kündigte an, keine Revision einzulegen und stattdessen mit der Stadt zu verhandeln.",
            "de",
        ),
        ("Der Rekord wurde knapp nicht erreicht.", "Sie blieb knapp unter dem Rekord.", "de"),
        (
            "Der Minister will nicht zurücktreten.",
            "Der Minister schloss einen Rücktritt aus.",
            "de",
        ),
        (
            "Ohne Gegenstimme nahm der Rat den Plan an.",
            "Der Rat nahm den Plan einstimmig an, niemand stimmte dagegen.",
            "de",
        ),
        ("Der Verein Rote Brücke hat geklagt.", "Geklagt hatte der Sportverein Rote Brücke.", "de"),
        (
            "Es gibt keine Verletzten, und die Straße ist wieder frei.",
            "Verletzt wurde niemand, die Straße ist wieder frei.",
            "de",
        ),
        (
            "Die Brücke bleibt gesperrt, Lastwagen dürfen nicht fahren.",
            "Die Brücke bleibt für Lastwagen gesperrt.",
            "de",
        ),
        ("Die Polizei fand den Täter nicht.", "Vom Täter fehlt jede Spur.", "de"),
        ("La maire ne démissionnera pas.", "La maire a exclu de démissionner.", "fr"),
        (
            "Personne n'a été blessé dans l'incendie de l'usine.",
            "L'incendie de l'usine n'a fait aucun blessé.",
            "fr",
        ),
        ("Le club jouera sans son capitaine.", "Le capitaine du club ne jouera pas.", "fr"),
        (
            "Le musée rouvre lundi, mais sans son toit de verre.",
            "Le musée rouvre lundi. Son toit de verre n'est pas réparé.",
            "fr",
        ),
        ("No hay tren desde mayo.", "El pueblo lleva seis meses sin tren, desde mayo.", "es"),
        ("Nadie quiso el puesto.", "Ningún aspirante aceptó el puesto.", "es"),
        ("El alcalde no irá a la fiesta.", "El alcalde descartó ir a la fiesta.", "es"),
        ("El puente no abrirá hasta junio.", "El puente abrirá en junio.", "es"),
        ("Il sindaco non si dimette.", "Il sindaco ha escluso le dimissioni.", "it"),
        ("O jogador não viaja com a equipe.", "O jogador fica fora da viagem da equipe.", "pt"),
        (
            "A ponte segue fechada, e nenhum caminhão pode passar.",
            "A ponte está fechada e os caminhões não podem passar.",
            "pt",
        ),
        (
            "They slept four hours, without heat, and she calls it good.",
            "They slept four hours without heat. “It was good, even the nights without heat,” said she.",
            "en",
        ),
        (
            "The museum will stay shut on Mondays, Ana Brolin says, because there are too few guards.",
            "The museum will not open on Mondays for lack of guards, Ana Brolin said.",
            "en",
        ),
        (
            "Nobody was hurt when the crane came down.",
            "The crane fell without injuring anyone.",
            "en",
        ),
        (
            "The firm would not say how many jobs are at risk.",
            "The firm declined to say how many jobs were at risk.",
            "en",
        ),
        (
            "He won't run again, he told the paper.",
            "He told the Courier he was not going to stand for a third term.",
            "en",
        ),
        ("There is still no date for the trial.", "No date has been set for the trial.", "en"),
        (
            "The bridge will stay closed to lorries until May.",
            "The bridge will not reopen to lorries before May.",
            "en",
        ),
        (
            "The mayor denied that she had known.",
            "The mayor said she had not known about it.",
            "en",
        ),
        ("The tunnel has not been used since 1984.", "The tunnel was last used in 1984.", "en"),
        (
            "The two sides could not agree.",
            "The talks between the two sides ended without agreement.",
            "en",
        ),
        ("Neither driver was hurt.", "Both drivers escaped unhurt.", "en"),
        ("Only one of the four lifts works.", "Three of the four lifts are out of order.", "en"),
        ("The town will not pay for the roof.", "The town refused to pay for the roof.", "en"),
        ("He has never missed a match.", "He has played in every match.", "en"),
        ("No other club has won it more often.", "It is the record winner, with 14 titles.", "en"),
        ("They have yet to find the second boat.", "The second boat has not been found.", "en"),
        (
            "The power went off for six thousand homes, but not for the hospital, which has a generator.",
            "About 6,000 homes lost power; the hospital was not affected because it has a generator.",
            "en",
        ),
        (
            "It was not the first time the wall had given way.",
            "The wall had collapsed twice before.",
            "en",
        ),
        ("She doesn't rule out going back to court.", "She said she might go back to court.", "en"),
        (
            "He is free again after nine months.",
            "He was released on Monday after nine months in custody.",
            "en",
        ),
        (
            "The vote was nine to four, with two councillors absent.",
            "Nine councillors voted for it and four against, and two were absent.",
            "en",
        ),
        ("She ran it in just under three hours.", "She ran it in 2:58:12.", "en"),
        ("Tickets cost between eight and twelve dollars.", "Tickets cost $8 to $12.", "en"),
        ("The race took eleven minutes and fifty-two seconds.", "The race took 11:52.", "en"),
        (
            "The bakery isn't closing after all.",
            "The bakery will stay open after all, its owner said.",
            "en",
        ),
        ("The council has no money for it.", "The council said it lacked the money for it.", "en"),
        (
            "Without the grant the choir would have had to stop.",
            "The choir would have folded had it not been for the grant.",
            "en",
        ),
        ("The strike is off.", "The union has called off the strike.", "en"),
        ("He can't remember the evening.", "He said he had no memory of the evening.", "en"),
        ("Not a single seat was empty.", "Every seat was taken.", "en"),
        (
            "The company hasn't commented.",
            "The company did not respond to a request for comment.",
            "en",
        ),
        (
            "Zum Motiv wollte die Polizei nichts sagen.",
            "Die Polizei machte zum Motiv keine Angaben.",
            "de",
        ),
        ("Verletzt wurde niemand.", "Bei dem Brand gab es keine Verletzten.", "de"),
        (
            "Das Schwimmbad bleibt zu, bis das Dach repariert ist.",
            "Das Schwimmbad wird nicht öffnen, solange das Dach nicht repariert ist.",
            "de",
        ),
        (
            "Der Vorstand hatte von den Mängeln nichts gewusst.",
            "Dem Vorstand waren die Mängel nicht bekannt.",
            "de",
        ),
        (
            "Die Partei lehnt den Plan ab, weil er zu teuer sei.",
            "Die Partei stimmt dem Plan nicht zu, weil er zu teuer sei.",
            "de",
        ),
        (
            "Der Museumsleiter Jan Voss ist zufrieden, obwohl weniger Leute kamen.",
            "Museumsleiter Jan Voss zeigte sich zufrieden, auch wenn nicht so viele Besucher kamen wie 2024.",
            "de",
        ),
        (
            "Statt im Juni öffnet die Halle erst im Oktober.",
            "Die Halle öffnet nicht im Juni, sondern im Oktober.",
            "de",
        ),
        (
            "Die Schule bleibt geöffnet, nur die Turnhalle ist gesperrt.",
            "Die Schule ist von der Sperrung der Turnhalle nicht betroffen.",
            "de",
        ),
        (
            "Aucun des trois syndicats n'a signé l'accord.",
            "Les trois syndicats ont refusé de signer l'accord.",
            "fr",
        ),
        (
            "La mairie n'a plus d'argent pour la piscine.",
            "La mairie manque d'argent pour la piscine.",
            "fr",
        ),
        (
            "Le pont restera fermé tant que les travaux ne seront pas finis.",
            "Le pont ne rouvrira pas avant la fin des travaux.",
            "fr",
        ),
        ("Il n'y a pas eu de victime.", "L'accident n'a fait ni mort ni blessé.", "fr"),
        (
            "Le maire assure qu'il ne savait rien.",
            "Le maire dit avoir tout ignoré de l'affaire.",
            "fr",
        ),
        (
            "Seule la bibliothèque reste ouverte.",
            "Tous les services sont fermés, sauf la bibliothèque.",
            "fr",
        ),
        (
            "El alcalde no quiso hablar con la prensa.",
            "El alcalde evitó hablar con la prensa.",
            "es",
        ),
        ("Ya no hay plazas para el viaje.", "Las plazas para el viaje están agotadas.", "es"),
        (
            "La empresa no pagará las horas extra, según el sindicato.",
            "Según el sindicato, la empresa se niega a pagar las horas extra.",
            "es",
        ),
        (
            "Los bomberos siguen sin encontrar al perro.",
            "Los bomberos todavía no han encontrado al perro.",
            "es",
        ),
        ("No hubo heridos.", "El incendio se apagó sin que nadie resultara herido.", "es"),
        ("Nessuno ha visto il ladro.", "Il ladro è fuggito senza essere visto.", "it"),
        (
            "La giunta non ha ancora deciso sul parcheggio.",
            "La giunta deve ancora decidere sul parcheggio.",
            "it",
        ),
        ("Ninguém ficou ferido no acidente.", "O acidente não deixou feridos.", "pt"),
        (
            "A fábrica não vai fechar, diz o sindicato.",
            "O sindicato diz que a fábrica continuará aberta.",
            "pt",
        ),
        (
            "O técnico não quis comentar a derrota.",
            "O técnico recusou-se a comentar a derrota.",
            "pt",
        ),
        (
            "The Tamsin, a ferry from 1931, sank in the harbour overnight, but no one was aboard.",
            "The 1931 ferry Tamsin sank at its berth in the night; there was nobody on board.",
            "en",
        ),
        (
            "Residents have to boil their water until Sunday at least.",
            "Residents were told not to drink tap water without boiling it until at least Sunday.",
            "en",
        ),
        (
            "Its author, Paul Ivers, who teaches chemistry, needed eleven years for it.",
            "Chemistry teacher Paul Ivers worked on the book for 11 years.",
            "en",
        ),
        (
            "The bank earned 1.2 billion dollars, a third more than the year before.",
            "The bank's profit rose 33 percent to $1.2 billion.",
            "en",
        ),
        (
            "Rain put an end to play on the third day, with Harrow needing 88 more runs.",
            "Play was abandoned on day three because of rain with Harrow 88 runs short.",
            "en",
        ),
        (
            "The court in Delby sentenced him to six and a half years.",
            "The Delby court jailed him for six years and six months.",
            "en",
        ),
        (
            "Two hikers who had been missing since Friday have been found alive.",
            "Two hikers missing since Friday were found alive on Sunday.",
            "en",
        ),
        (
            "Police are looking for a white van and haven't ruled out that it was arson.",
            "Police, who are searching for a white van, said arson could not be excluded.",
            "en",
        ),
        (
            "The minister stopped short of an apology.",
            "The minister expressed regret but did not apologise.",
            "en",
        ),
        (
            "The king's visit was put off for the second time.",
            "The king's visit has been postponed again.",
            "en",
        ),
        (
            "Anyone born before 1960 pays nothing.",
            "Admission is free for people born before 1960.",
            "en",
        ),
        (
            "The old mill will be turned into flats instead of being torn down.",
            "The old mill will not be demolished but converted into flats.",
            "en",
        ),
        (
            "Nurses got five percent where they had asked for eight.",
            "The nurses had demanded 8 percent and settled for 5.",
            "en",
        ),
        (
            "The drug helped six in ten patients, against three in ten on a placebo.",
            "The drug worked in 60 percent of patients, compared with 30 percent on placebo.",
            "en",
        ),
        (
            "She beat the favourite, Lena Holt, in three sets.",
            "She defeated top seed Lena Holt 4-6, 6-3, 7-5.",
            "en",
        ),
        (
            "The satellite, as big as a shoebox, will be launched from Kourou next spring.",
            "The shoebox-sized satellite is to lift off from Kourou in spring 2027.",
            "en",
        ),
        (
            "It's the driest autumn since records began in 1884.",
            "No autumn has been drier since measurements started in 1884.",
            "en",
        ),
        (
            "Half the money comes from the state and the other half from donations.",
            "The state pays 50 percent and donors the rest.",
            "en",
        ),
        (
            "The zoo's only elephant, Mira, turned fifty on Tuesday.",
            "Mira, the last elephant at the zoo, celebrated her 50th birthday on Tuesday.",
            "en",
        ),
        (
            "He was 45 minutes late, and by then everyone had gone home.",
            "By the time he arrived, three quarters of an hour late, there was nobody left.",
            "en",
        ),
        (
            "The app is to be available from March and won't cost anything.",
            "The app will be free and is due in March.",
            "en",
        ),
        (
            "Das Stück, das ohne Pause fast drei Stunden dauert, bekam langen Beifall.",
            "Das Stück dauert knapp drei Stunden, eine Pause gibt es nicht, und der Beifall war lang.",
            "de",
        ),
        (
            "Die Gewerkschaft will vorerst nicht streiken.",
            "Die Gewerkschaft verzichtet vorerst auf Streiks.",
            "de",
        ),
        (
            "Trainerin Ute Sander bleibt trotz des Abstiegs.",
            "Trainerin Ute Sander wird den Verein trotz des Abstiegs nicht verlassen.",
            "de",
        ),
        (
            "Im Ort gibt es seit 2019 keinen Laden mehr.",
            "Der letzte Laden im Ort schloss 2019.",
            "de",
        ),
        (
            "Die Feuerwehr konnte das Dach nicht retten.",
            "Das Dach brannte vollständig ab, die Feuerwehr konnte es nicht mehr retten.",
            "de",
        ),
        (
            "Vierzig Prozent der Befragten gaben an, noch nie dort gewesen zu sein.",
            "40 Prozent der Befragten waren nach eigenen Angaben nie dort.",
            "de",
        ),
        (
            "Laut Landrätin Eva Brandt ist das Geld noch nicht da.",
            "Landrätin Eva Brandt sagte, das Geld sei noch nicht eingetroffen.",
            "de",
        ),
        (
            "Le festival n'aura pas lieu cette année, faute d'argent.",
            "Le festival est annulé cette année, faute de moyens.",
            "fr",
        ),
        ("La ligne ne reprendra qu'en avril.", "La ligne reste interrompue jusqu'en avril.", "fr"),
        (
            "Selon la préfète, personne ne dormira dehors cet hiver.",
            "La préfète a promis que nul ne dormirait dehors cet hiver.",
            "fr",
        ),
        ("El partido acabó sin goles.", "El partido terminó con empate a cero.", "es"),
        (
            "La presa está casi vacía y no llueve desde abril.",
            "La presa está al 9 por ciento y la última lluvia cayó en abril.",
            "es",
        ),
        (
            "El museo no cobra entrada los domingos.",
            "La entrada al museo es gratuita los domingos.",
            "es",
        ),
        (
            "O show foi adiado e ainda não tem nova data.",
            "O show foi adiado, sem nova data definida.",
            "pt",
        ),
        (
            "A cidade não tem hospital e o mais próximo fica a 60 quilômetros.",
            "A cidade carece de hospital; o mais próximo fica a 60 quilômetros.",
            "pt",
        ),
        (
            "La nave non è mai arrivata in porto.",
            "La nave è affondata prima di arrivare in porto.",
            "it",
        ),
        (
            "Il comune non venderà la villa, che resta pubblica.",
            "La villa resta pubblica: il comune ha rinunciato alla vendita.",
            "it",
        ),
        (
            "Coach Rita Okello doesn't blame the referee; her side simply ran out of legs.",
            "“We can't blame the referee, we ran out of legs,” said coach Rita Okello.",
            "en",
        ),
    ],
)
def test_a_denial_in_other_words_passes(sentence: str, passage: str, language: str) -> None:
    context = Context(language=language, report=passage, published=datetime(2026, 5, 9, tzinfo=UTC))
    assert problem(sentence, [{"text": passage, "report": 0}], context) == ""


@pytest.mark.parametrize(
    ("sentence", "passage", "language", "what"),
    [
        (
            "The gardens will no longer be open.",
            "The gardens stay open, the town promised.",
            "en",
            "“no” where it has “stay”",
        ),
        (
            "Pupils no longer have to pay for lunch.",
            "Pupils still have to pay for lunch.",
            "en",
            "“no” where it has “still”",
        ),
        (
            "The driver was arrested and charged.",
            "The driver was arrested but freed without charge.",
            "en",
            "leaves out a negation",
        ),
        (
            "Tenants may keep pets even if the owner objects.",
            "Tenants may not keep pets if the owner objects.",
            "en",
            "leaves out a negation",
        ),
        (
            "Bikes cannot be taken, even if they fold.",
            "Bikes can be taken as long as they fold.",
            "en",
            "a negation",
        ),
        (
            "The clinic moved to a house in Kelby.",
            "The office in Kelby said the clinic moved to a house in Norrie.",
            "en",
            "the name “Kelby”",
        ),
        (
            "The offer covers the Heron phone.",
            "The offer covers the Lark phone; the Heron is excluded.",
            "en",
            "the name “Heron”",
        ),
        (
            "She lost the match in three hours, four minutes and eight seconds.",
            "She lost the match in 3:04:09.",
            "en",
            "“eight”",
        ),
        (
            "They expect costs of forty to seventy million euros.",
            "The costs are between 40 million and 60 million euros.",
            "en",
            "“seventy million”",
        ),
        (
            "Three of four judges agreed.",
            "The judges agreed by a majority of three to two.",
            "en",
            "“four”",
        ),
        (
            "Der Kläger kündigte an, Revision einzulegen.",
            "Der Kläger kündigte an, keine Revision einzulegen und stattdessen zu verhandeln.",
            "de",
            "a negation",
        ),
        (
            "Die Brücke ist beschädigt und gilt als unsicher.",
            "Die Brücke ist zwar beschädigt, gilt aber nicht als unsicher.",
            "de",
            "a negation",
        ),
        (
            "Der Rat will die Schule nicht schließen.",
            "Der Rat will die Schule schließen, aber nicht das Bad.",
            "de",
            "a negation",
        ),
        (
            "Die Ministerin wollte sich zu den Vorwürfen äußern.",
            "Die Ministerin wollte sich zu den Vorwürfen nicht äußern.",
            "de",
            "a negation",
        ),
        (
            "Der Trainer wurde entlassen und bekommt eine Abfindung.",
            "Der Trainer wurde entlassen und bekommt keine Abfindung.",
            "de",
            "a negation",
        ),
        (
            "Le directeur est entré au conseil de la banque.",
            "Le directeur n'a pas voulu entrer au conseil de la banque mais reste associé.",
            "fr",
            "a negation",
        ),
        (
            "Le tribunal n'a pas libéré le chauffeur.",
            "Le tribunal, sans débat, a libéré le chauffeur.",
            "fr",
            "a negation",
        ),
        (
            "Le préfet a autorisé le concert.",
            "Le préfet a interdit le concert.",
            "fr",
            "“allowed” where it has “banned”",
        ),
        (
            "El juez no dejó en libertad al chófer.",
            "El juez dejó en libertad al chófer sin fianza.",
            "es",
            "a negation",
        ),
        (
            "La ministra autorizó la mina.",
            "La ministra prohibió la mina.",
            "es",
            "“allowed” where it has “banned”",
        ),
        (
            "O governador vetou a lei das escolas.",
            "O governador sancionou a lei das escolas.",
            "pt",
            "“vetoed”",
        ),
        (
            "O presidente sancionou o reajuste.",
            "O presidente vetou o reajuste.",
            "pt",
            "“approved”",
        ),
        (
            "Il tribunale ha assolto il sindaco.",
            "Il tribunale ha condannato il sindaco.",
            "it",
            "“acquitted”",
        ),
        (
            "El tribunal absolvió al alcalde.",
            "El tribunal condenó al alcalde.",
            "es",
            "“acquitted”",
        ),
        (
            "Il museo chiude il 3 maggio ai visitatori.",
            "Il museo riapre il 3 maggio ai visitatori.",
            "it",
            "“closed” where it has “open",
        ),
        (
            "The museum will open on Mondays, Ana Brolin says.",
            "The museum will not open on Mondays for lack of guards, Ana Brolin said.",
            "en",
            "“open” where it has “open”",
        ),
        (
            "The firm said how many jobs were at risk.",
            "The firm declined to say how many jobs were at risk.",
            "en",
            "leaves out a negation",
        ),
        (
            "The crane fell and injured two people.",
            "The crane fell without injuring anyone.",
            "en",
            "leaves out a negation",
        ),
        (
            "He is going to stand for a third term.",
            "He told the Courier he was not going to stand for a third term.",
            "en",
            "leaves out a negation",
        ),
        (
            "A date has been set for the trial.",
            "No date has been set for the trial.",
            "en",
            "leaves out a negation",
        ),
        (
            "The bridge will reopen to lorries before May.",
            "The bridge will not reopen to lorries before May.",
            "en",
            "leaves out a negation",
        ),
        (
            "The hospital was affected too.",
            "About 6,000 homes lost power; the hospital was not affected because it has a generator.",
            "en",
            "leaves out a negation",
        ),
        (
            "The talks between the two sides ended with an agreement.",
            "The talks between the two sides ended without agreement.",
            "en",
            "leaves out a negation",
        ),
        (
            "The town agreed to pay for the roof.",
            "The town refused to pay for the roof.",
            "en",
            "leaves out a negation",
        ),
        (
            "The second boat has been found.",
            "The second boat has not been found.",
            "en",
            "leaves out a negation",
        ),
        (
            "The union will go ahead with the strike.",
            "The union has called off the strike.",
            "en",
            "“go” where it has “cancelled”",
        ),
        (
            "The owner said the bakery will close after all.",
            "The bakery will stay open after all, its owner said.",
            "en",
            "“close” where it has “open”",
        ),
        (
            "The mayor said she had known about it all along.",
            "The mayor said she had not known about it.",
            "en",
            "leaves out a negation",
        ),
        (
            "The choir lives in Kelby and sings in Norrie.",
            "The choir lives in Norrie and sings in Kelby.",
            "en",
            "in the place of",
        ),
        (
            "The company responded to the request for comment.",
            "The company did not respond to a request for comment.",
            "en",
            "leaves out a negation",
        ),
        (
            "Entries after 5 May will be accepted.",
            "Entries after 5 May will not be accepted.",
            "en",
            "leaves out a negation",
        ),
        (
            "The cave is open to visitors.",
            "The cave is not open to visitors and will stay closed until June.",
            "en",
            "leaves out a negation",
        ),
        (
            "Die Polizei machte zum Motiv Angaben.",
            "Die Polizei machte zum Motiv keine Angaben.",
            "de",
            "a negation",
        ),
        (
            "Bei dem Brand gab es Verletzte.",
            "Bei dem Brand gab es keine Verletzten.",
            "de",
            "a negation",
        ),
        (
            "Die Partei stimmt dem Plan zu.",
            "Die Partei stimmt dem Plan nicht zu, weil er zu teuer sei.",
            "de",
            "a negation",
        ),
        (
            "Die Halle öffnet im Juni.",
            "Die Halle öffnet nicht im Juni, sondern im Oktober.",
            "de",
            "a negation",
        ),
        (
            "Die Schule ist von der Sperrung der Turnhalle betroffen.",
            "Die Schule ist von der Sperrung der Turnhalle nicht betroffen.",
            "de",
            "a negation",
        ),
        (
            "Der Minister schloss Steuererhöhungen nicht aus.",
            "Der Minister schloss Steuererhöhungen aus.",
            "de",
            "a negation",
        ),
        (
            "Die Bahn muss die Strafe zahlen.",
            "Die Bahn muss die Strafe nicht zahlen, entschied das Gericht.",
            "de",
            "a negation",
        ),
        (
            "Les trois syndicats ont accepté de signer l'accord.",
            "Les trois syndicats ont refusé de signer l'accord.",
            "fr",
            "“accepted” where it has “refused”",
        ),
        (
            "La maire compte se représenter en 2028.",
            "La maire ne compte pas se représenter en 2028.",
            "fr",
            "a negation",
        ),
        (
            "Los bomberos ya han encontrado al perro.",
            "Los bomberos todavía no han encontrado al perro.",
            "es",
            "a negation",
        ),
        (
            "El ayuntamiento subirá el impuesto.",
            "El ayuntamiento no subirá el impuesto en 2027.",
            "es",
            "a negation",
        ),
        ("O acidente deixou feridos.", "O acidente não deixou feridos.", "pt", "a negation"),
        (
            "A fábrica vai fechar, diz o sindicato.",
            "O sindicato diz que a fábrica não vai fechar.",
            "pt",
            "a negation",
        ),
        (
            "The author, Peter Ivers, worked on the book for eleven years.",
            "Chemistry teacher Paul Ivers worked on the book for 11 years.",
            "en",
            "the name",
        ),
        (
            "The court in Harrow jailed him for six years and six months.",
            "The Delby court jailed him for six years and six months.",
            "en",
            "the name",
        ),
        (
            "The minister apologised.",
            "The minister expressed regret but did not apologise.",
            "en",
            "negation",
        ),
        (
            "The old mill will be demolished.",
            "The old mill will not be demolished but converted into flats.",
            "en",
            "negation",
        ),
        (
            "Two hikers were found dead on Sunday.",
            "Two hikers missing since Friday were found alive on Sunday.",
            "en",
            "“dead”",
        ),
        (
            "Residents may drink the tap water.",
            "Residents were told not to drink the tap water until Sunday.",
            "en",
            "negation",
        ),
        (
            "Trainerin Ute Sander wird den Verein verlassen.",
            "Trainerin Ute Sander wird den Verein trotz des Abstiegs nicht verlassen.",
            "de",
            "a negation",
        ),
        (
            "Die Feuerwehr konnte das Dach retten.",
            "Das Dach brannte vollständig ab, die Feuerwehr konnte es nicht mehr retten.",
            "de",
            "a negation",
        ),
        (
            "Landrätin Eva Brandt sagte, das Geld sei eingetroffen.",
            "Landrätin Eva Brandt sagte, das Geld sei noch nicht eingetroffen.",
            "de",
            "a negation",
        ),
        (
            "Le festival aura lieu cette année.",
            "Le festival n'aura pas lieu cette année, faute d'argent.",
            "fr",
            "a negation",
        ),
        (
            "El museo cobra entrada los domingos.",
            "El museo no cobra entrada los domingos.",
            "es",
            "a negation",
        ),
        (
            "A cidade tem hospital.",
            "A cidade não tem hospital e o mais próximo fica a 60 quilômetros.",
            "pt",
            "a negation",
        ),
        (
            "Il comune venderà la villa.",
            "Il comune non venderà la villa, che resta pubblica.",
            "it",
            "a negation",
        ),
    ],
)
def test_a_turned_denial_or_another_place_is_named(
    sentence: str, passage: str, language: str, what: str
) -> None:
    context = Context(language=language, report=passage, published=datetime(2026, 5, 9, tzinfo=UTC))
    assert what in problem(sentence, [{"text": passage, "report": 0}], context)


def test_a_title_of_the_report_is_a_name() -> None:
    passages: list[Passage] = [{"text": "The jury called his novel brave.", "report": 0}]
    context = Context(report="The jury called his novel brave. It is \u201cThe Last Ferry\u201d.")
    assert problem("The jury called \u201cThe Last Ferry\u201d brave.", passages, context) == ""
    assert "Late Ferry" in problem(
        "The jury called \u201cThe Late Ferry\u201d brave.", passages, context
    )


@pytest.mark.parametrize(
    ("sentence", "passage", "found"),
    [
        (
            "The vaccine causes cancer and was approved by the agency.",
            "The vaccine does not cause cancer and was not rejected by the agency.",
            "it leaves out a negation",
        ),
        (
            "Turkey kept its ban, and Mr Berg is a suspect.",
            "Turkey did not lift its ban, and Mr Berg is not a suspect.",
            "it leaves out a negation",
        ),
        (
            "The mine stays open, and prices fell sharply in June.",
            "The mine will not close, and prices rose sharply in June.",
            "“fell” where it has “rose”",
        ),
        (
            "The mine stays open and pays 300 dollars a month.",
            "The mine will not close and pays 300 dollars a year.",
            "“month” where it has “year”",
        ),
        ("The mine stays open.", "The mine will not close.", ""),
    ],
)
def test_a_clause_in_other_words_excuses_no_other_clause(
    sentence: str, passage: str, found: str
) -> None:
    context = Context("", "", "", datetime(2026, 11, 1, tzinfo=UTC), passage, "en")
    assert problem(sentence, [{"text": passage, "report": 0}], context) == found


@pytest.mark.parametrize("digit", ["¹", "②", "①"])
def test_digits_that_are_no_decimal_digits_end_no_check(digit: str) -> None:
    passage = f"The study found 12 cases.{digit} The team met 300 patients on May {digit} and 3."
    context = Context("", "", "", datetime(2026, 11, 1, tzinfo=UTC), passage, "en")
    assert problem("The study found 12 cases.", [{"text": passage, "report": 0}], context) == ""
