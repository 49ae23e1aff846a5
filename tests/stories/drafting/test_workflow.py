"""A draft without a key: written by rule, one turn at a time, from what the session read."""

from __future__ import annotations

import pytest

from sessions_app import audits
from sessions_app.models import AILink, Session
from stories.drafting import drafts, prompts
from stories.drafting.turns import Turn
from stories.models import DraftMessage, DraftVersion
from stories.text.sentences import sentences
from tests.chain_links import join
from tests.conftest import MakeSession
from tests.stories.drafting.draft_factory import POSTS, finished, read_posts, started, turn

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
    text = DraftVersion.objects.filter(draft=draft).latest("number").text
    for sentence in sentences(text.replace("From the demo recording: ", "")):
        assert any(sentence in body for body in POSTS.values()), sentence


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
