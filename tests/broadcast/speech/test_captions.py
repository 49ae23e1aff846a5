"""Captions: where a sentence is divided, and that each part is shown when its words are heard."""

from __future__ import annotations

from functools import partial

import pytest

from broadcast.models import AudioStream
from broadcast.speech import recorder
from broadcast.speech.engines import Espeak, Passage
from broadcast.speech.pronunciation import spoken_form
from broadcast.stream import plan
from broadcast.transfer.formats.srt_format import captions
from sessions_app.models import Session
from tests.broadcast.stream.listening import RATE, samples

MARK = "\x1f"

# What is written, divided into captions (|), and what is spoken of each of them.
DIVIDED = """
The council paid $3.2 million for 2,500 homes in the old harbour, | and on 12 March the mayor, Dr. Aoife O'Brien, said that it was enough for now.
The council paid 3.2 million dollars for 2,500 homes in the old harbour, | and on 12 March the mayor, Doctor Aoife O'Brien, said that it was enough for now.

The storm, which reached winds of 215 km/h, | destroyed 1,300 buildings and left about 48,000 people without power | until 6:45 p.m. on Sunday.
The storm, which reached winds of 215 kilometres per hour, | destroyed 1,300 buildings and left about 48,000 people without power | until 6 45 p.m. on Sunday.

In 1998 the river rose to 7.3 m, | and by 2004 engineers had raised the dam by 12 ft at a cost of £85m, | according to the ministry.
In 19 98 the river rose to 7.3 metres, | and by 2004 engineers had raised the dam by 12 feet at a cost of 85 million pounds, | according to the ministry.

NASA said that the probe, launched on 2026-02-17 at 3:05 a.m., | will reach the asteroid Apophis in April 2029 after 1.1 billion km.
NASA said that the probe, launched on 17 February 20 26 at 3 oh 5 a.m., | will reach the asteroid Apophis in April 20 29 after 1.1 billion km.

Mr. Kowalski bought 3 kg of apples for 12 USD, | 2 lb of cheese for 9.50 USD and a bottle of wine, | and he paid the whole bill in coins.
Mister Kowalski bought 3 kilograms of apples for 12 US dollars, | 2 pounds of cheese for 9 US dollars and 50 cents and a bottle of wine, | and he paid the whole bill in coins.

The museum lent 240 works, e.g. three paintings by Van Gogh and a bust | from ca. 1485, to galleries in Tokyo, Seoul and São Paulo.
The museum lent 240 works, for example three paintings by Van Gogh and a bust | from about 1485, to galleries in Tokyo, Seoul and São Paulo.

Messrs. Brown, Taylor and Okonkwo of Goldman Sachs & Co. advised the buyer, | and J.P. Morgan Inc. advised the seller of the 49.9% stake.
Messrs. Brown, Taylor and Okonkwo of Goldman Sachs & Company advised the buyer, | and J.P. Morgan Incorporated advised the seller of the 49.9% stake.

The new iPhone 17 Pro costs $1,099 in the US, | £1,099 in Britain and CA$1,549 in Canada, | about 10% more than the model of last year.
The new iPhone 17 Pro costs 1,099 dollars in the US, | 1,099 pounds in Britain and 1,549 Canadian dollars in Canada, | about 10% more than the model of last year.

King Charles III and Queen Camilla will open the 18th Commonwealth Games | in Glasgow on 23 July 2026 before a crowd of 60,000.
King Charles the Third and Queen Camilla will open the 18th Commonwealth Games | in Glasgow on 23 July 20 26 before a crowd of 60,000.

See https://example.org/a/very/long/addres s/that/does/not/fit/into/a/line/at/all for | more on the topic of the day.
See example dot org for | more on the topic of the day.
"""  # noqa: E501
ROWS = [
    tuple([part.strip() for part in line.split("|")] for line in pair.split("\n"))
    for pair in DIVIDED.strip().split("\n\n")
]
SPOKEN = [" ".join(spoken) for _, spoken in ROWS]

english = partial(spoken_form, language="en", rules={})


@pytest.mark.parametrize(("written", "spoken"), ROWS, ids=range(len(ROWS)))
def test_a_sentence_is_divided_where_a_clause_ends(written: list[str], spoken: list[str]) -> None:
    text = " ".join(written).replace("addres s", "address")
    shown = captions(text)
    assert [" ".join(each.split()) for each in shown] == written
    assert all(len(line) <= 42 for each in shown for line in each.split("\n"))
    assert all(each.count("\n") <= 1 for each in shown)
    said = recorder.with_marks(text, english)
    assert [part.strip() for part in said.split(MARK)] == spoken


@pytest.mark.parametrize(
    "text", ["", "\x00", "\x1f", "👍 🛶", "短い。", "a-b-c-" * 99, "word " * 999]
)
def test_each_caption_of_any_text_has_its_part(text: str) -> None:
    parts = recorder.with_marks(text, english).split(MARK)
    assert len(parts) == max(len(captions(text)), 1)
    assert "".join(parts) == english(text.replace(MARK, ""))


def ends(data: bytes) -> float:
    """When the last sound of a file ends, in seconds."""
    sound = samples(data)
    size = RATE // 100
    loud = [sum(map(abs, sound[at : at + size])) for at in range(0, len(sound), size)]
    return (max(at for at, value in enumerate(loud) if value > max(loud) / 50) + 1) / 100


@pytest.mark.parametrize("number", [1, 2, 4, 8])
@pytest.mark.slow
def test_a_caption_begins_with_its_words(number: int) -> None:
    """Compared with how long the words before it take when nothing follows them."""
    engine = Espeak()
    text = " ".join(ROWS[number][0])
    marked = recorder.with_marks(text, english)
    said = engine.speak([Passage(marked)], "en", 180)
    parts = marked.split(MARK)
    assert len(said.times) == len(parts) > 1
    before = [
        ends(engine.speak([Passage("".join(parts[:at]))], "en", 180).data)
        for at in range(1, len(parts))
    ]
    begins = [begin for begin, _ in said.times[1:]]
    assert begins == pytest.approx(before, abs=0.3)
    assert said.times[0][0] == 0
    assert [end for _, end in said.times[:-1]] == begins
    # A mark is not heard.
    plain = engine.speak([Passage(marked.replace(MARK, ""))], "en", 180)
    assert plain.data == said.data


def test_the_stream_shows_captions_at_the_times_of_the_sound(session: Session) -> None:
    row = AudioStream(session=session, parts=[])
    text = "The tide is high in the harbour of the town, and the ferry waits for the end of the storm. Go."
    first = 250 * 1000
    for tempo, times in (
        (1.0, [(0, 100), (100, 221), (233, 250)]),
        (1.16, [(0, 86), (86, 190), (201, 216)]),
    ):
        part = plan._part("notice", first, 500, "Tide", "x.mp3", text)
        part["times"] = plan._times([(0, 2.4), (2.4, 5.3), (5.6, 6.0)], tempo)
        row.parts = [part]
        shown = plan.captions(row, 1000)
        assert [(begin - first, end - first) for begin, end, _ in shown] == times
        assert [text.split()[0] for _, _, text in shown] == ["The", "and", "Go."]
