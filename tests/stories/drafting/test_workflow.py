"""A draft without a key: written by rule, one turn at a time, from what the session read."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from sessions_app import audits
from sessions_app.models import AILink, Session
from stories.drafting import drafts, prompts
from stories.drafting.offline_agent import LABEL
from stories.drafting.turns import Turn
from stories.models import Draft, DraftMessage, DraftVersion, SourcePost, Story, StoryThread
from stories.posts.duplicates import overtakes
from stories.text.sentences import sentences
from tests.chain_links import join
from tests.conftest import MakeSession
from tests.stories.drafting.draft_factory import POSTS, finished, press, read_posts, started, turn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def room(make_session: MakeSession) -> Session:
    """A session that asks no model and has read the posts."""
    session = make_session(model="extractive")
    read_posts(session)
    return session


def test_a_draft_is_researched_outlined_written_read_and_approved(room: Session) -> None:
    draft = finished(started(room))
    roles = list(DraftMessage.objects.filter(draft=draft).values_list("role", flat=True))
    assert roles[:4] == ["researcher", "writer", "reader", "writer"]
    assert roles[-1] == "expert"
    assert (draft.phase, draft.turns, drafts.progress(draft)) == ("done", len(roles), 100)
    assert list(audits.run()) == []


def test_nothing_is_invented(room: Session) -> None:
    draft = finished(started(room))
    label, heading, *parts, sources = text_of(draft).split("\n\n")
    assert (label, heading, sources) == (LABEL, "Timeline", "Sources: the demo recording (2)")
    assert parts[-2:] == [
        "Open questions",
        "Only one source reports this, the demo recording. Does another confirm it?",
    ]
    for part in parts[:-2]:
        when, _, passages = part.partition(", the demo recording: ")
        assert re.fullmatch(r"\d+ [A-Z][a-z]+ \d{4}, \d\d:\d\d", when)
        for sentence in sentences(passages):
            assert any(sentence in body for body in POSTS.values()), sentence


DAY = {
    "Storm is expected to hit Port Elowen": (
        "The storm may reach Port Elowen on Tuesday, forecasters said. Ferries could stop.",
        datetime(2026, 11, 23, 8, 10, tzinfo=UTC),
    ),
    "Storm in Port Elowen kills two": (
        "The storm killed two people in Port Elowen. The storm tore the roof off the ferry hall.",
        datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
    ),
    "Storm in Port Elowen kills five": (
        "The storm killed five people in Port Elowen, the police said. “We saw the sea come up the "
        "street,” said the harbour master of Port Elowen.",
        datetime(2026, 11, 24, 17, 30, tzinfo=UTC),
    ),
    "Port Elowen ferry hall to be rebuilt after the storm": (
        "The ferry hall of Port Elowen will be rebuilt in spring, the mayor said after the storm.",
        datetime(2026, 11, 26, 12, 5, tzinfo=UTC),
    ),
}


def read_the_day(session: Session) -> None:
    # The newest is read first, as feeds have it.
    read_posts(session, {title: body for title, (body, _) in reversed(DAY.items())})
    for title, (_, at) in DAY.items():
        rows = SourcePost.objects.filter(session=session, title=title)
        rows.update(published_at=at, outlet="Harbour Post" if "five" in title else "Elowen Times")


def text_of(draft: Draft) -> str:
    return DraftVersion.objects.filter(draft=draft).latest("number").text


def test_a_dossier_is_in_the_order_of_time_without_what_was_overtaken(
    make_session: MakeSession,
) -> None:
    session = make_session(model="extractive")
    read_the_day(session)
    draft = finished(started(session, keywords=["storm", "insurance"], words=80))
    assert text_of(draft).split("\n\n") == [
        "Assembled without a model: passages of the sources in their own words, in the order of time.",
        "Timeline",
        "24 November 2026, 17:30, Harbour Post: The storm killed five people in Port Elowen, the police "
        "said.",
        "26 November 2026, 12:05, Elowen Times: The ferry hall of Port Elowen will be rebuilt in "
        "spring, the mayor said after the storm.",
        "Quotes",
        "24 November 2026, 17:30, Harbour Post: “We saw the sea come up the street,” said the harbour "
        "master of Port Elowen.",
        "Open questions",
        "No report mentions insurance.",
        "Sources: Harbour Post, Elowen Times",
    ]


def test_a_dossier_in_another_language_has_no_english_words(make_session: MakeSession) -> None:
    session = make_session(model="extractive")
    read_the_day(session)
    draft = finished(started(session, keywords=["storm"], words=50, language="de"))
    first, *_ = text_of(draft).split("\n\n")
    assert first.startswith("2026-11-24 17:30, Harbour Post: The storm killed five people")


def test_a_dossier_is_about_the_thread_of_its_best_passage(make_session: MakeSession) -> None:
    session = make_session(model="extractive")
    read_posts(session)
    posts = {post.title: post for post in SourcePost.objects.filter(session=session)}
    titles = list(POSTS)[:2]
    for number, title in enumerate(titles):
        thread = StoryThread.objects.create(session=session, title=title)
        Story.objects.create(
            session=session,
            post=posts[title],
            thread=thread,
            origin="post",
            state="aired",
            title=f"Story {number}",
            narrative=posts[title].body,
            tone="analysis",
            priority="low",
            word_count=50,
            duration=20,
            completed_at=timezone.now(),
        )
    draft = finished(started(session, keywords=["ferry", "repairs", "engines"]))
    assert "engines were replaced" in text_of(draft)
    assert "cafés at the pier" not in text_of(draft)


@pytest.mark.parametrize(
    ("title", "earlier", "overtaken"),
    [
        ("Storm kills five", "Storm kills two", True),
        ("Parliament approves the budget", "Parliament is expected to vote on the budget", True),
        ("Bridge reopens", "Bridge closed after crash", True),
        ("Ferry counts four thousand passengers", "Ferry runs again", False),
        ("Storm kills two in Elowen", "Storm kills two", False),
        ("Two cafés open", "Two cafés to open in five towns", True),
    ],
)
def test_a_headline_replaces_another_by_figures_or_a_turn(
    title: str, earlier: str, overtaken: bool
) -> None:
    assert overtakes(title, earlier) is overtaken


def test_a_person_keeps_an_edited_dossier(room: Session) -> None:
    draft = turn(started(room), 4)
    text = f"{text_of(draft)}\n\nA person added this sentence."
    press(
        room, "save", draft=draft.pk, version=draft.version, title="Mine", text=text, reason="Mine"
    )
    assert "A person added this sentence." in text_of(finished(draft))


def test_what_is_said_twice_is_found_by_the_reader_and_left_out(room: Session) -> None:
    draft = finished(started(room))
    first, last = (each.text for each in draft.versions.order_by("number")[:2])
    assert first.count("runs again after eleven weeks") == 2
    assert last.count("runs again after eleven weeks") == 1


def test_every_turn_of_the_rules_joins_the_chain(room: Session) -> None:
    draft = finished(started(room))
    links = AILink.objects.filter(session=room, source="draft", model="extractive")
    assert links.count() == draft.turns
    assert all(each.link for each in draft.messages.all())


def test_a_keyword_that_nothing_names_waits_for_something_to_read(room: Session) -> None:
    draft = turn(started(room, keywords=["volcano"]))
    assert (draft.state, draft.note_code, draft.turns) == ("waiting", "no_material", 0)
    read_posts(room, {"Volcano wakes": "The volcano on the island woke up on Monday morning."})
    assert turn(draft).turns == 1


def test_a_summary_that_is_still_to_be_written_leaves_the_one_before(room: Session) -> None:
    known = join(room, "compaction", summary="A mill turns.")
    join(room, "compaction")
    draft = started(room)
    task = prompts.task_of(draft, Turn("researcher", "research", "research"), ())
    assert task.before == "A mill turns."
    assert prompts.context_head(draft, ()) == known
