"""Stories by a model, checked against their passages: stored, aired, held, counted and shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from broadcast import session_commands
from broadcast.models import Airing, Broadcast
from sessions_app import audits, commands, sessions
from sessions_app.background import steps
from sessions_app.models import Session, SessionEvent, SessionStats, Step
from stories.models import SourcePost, Story
from stories.text.sentences import sentences
from tests.conftest import MakeSession, run_due_steps
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db(transaction=True)

# Stories are made by hand here, with a length of their own and without a broadcast.
BY_HAND = ("texts",)

GoLive = Callable[[Session], Broadcast]
Modelled = Callable[..., Session]
INVENTED = "Nine people died in Port Zane."


@pytest.fixture
def modelled(
    make_session: MakeSession,
    go_live: GoLive,
    anthropic: AnthropicStandIn,
) -> Modelled:
    """A session on air that is narrated by a model, in a control mode."""

    def make(mode: str = "hands-free") -> Session:
        session = make_session(model="claude-haiku-4-5", control_mode=mode)
        sessions.change(session, visible=True)
        go_live(session)
        run_due_steps(session, "poll", most=1)
        return session

    return make


def narrate(session: Session) -> Story:
    step = Step.objects.get(session=session, kind="narrate", state="pending")
    Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
    steps.run(step.pk)
    return Story.objects.filter(session=session).latest("id")


def told(*more: str, lead: str = "") -> Callable[[dict[str, Any]], str]:
    """A model's answer: the title or ``lead``, two sentences of the post, and ``more``."""

    def answer(asked: dict[str, Any]) -> str:
        prompt = asked["messages"][-1]["content"]
        match = re.search(r"\{.*\}", prompt, re.DOTALL)
        assert match is not None
        block = json.loads(match[0])
        found = re.findall(r"\[(\d+)\] (.*?)(?= \[\d+\]|$)", block["text"])[:2]
        said = [lead or f"{block['title'].rstrip('.')}. [0]"]
        said += [f"{text} [{number}]" for number, text in found]
        narration = " ".join([*said, *more])
        labels = {"tone": "developing", "sentiment": "neutral", "topics": ["News"]}
        return json.dumps({"narration": narration, "title": block["title"], **labels})

    return answer


def figures(session: Session) -> tuple[int, int]:
    stats = SessionStats.objects.get(session=session)
    return stats.sentences_dropped, stats.ungrounded_aired


@pytest.mark.databases
def test_a_story_is_stored_with_the_passages_of_each_sentence(
    modelled: Modelled, anthropic: AnthropicStandIn
) -> None:
    anthropic.compose = told()
    session = modelled()
    story = narrate(session)
    assert story.origin == "model"
    assert [row["text"] for row in story.passages] == sentences(story.narrative)
    assert {row["support"] for row in story.passages} == {"passages"}
    assert story.post is not None
    source = f"{story.post.title}\n{story.post.body}"
    shown = [passage for row in story.passages for passage in row["passages"]]
    assert len(shown) >= 3
    assert all(passage["text"].rstrip(".") in source for passage in shown)
    assert {passage["report"] for passage in shown} == {0}
    assert figures(session) == (0, 0)


def test_an_invented_sentence_is_dropped_counted_and_never_aired(
    modelled: Modelled, anthropic: AnthropicStandIn
) -> None:
    anthropic.compose = told(f"{INVENTED} [1]")
    session = modelled()
    story = narrate(session)
    assert story.state == "airing"
    assert story.origin == "model"
    assert "Port Zane" not in story.narrative
    assert [row["text"] for row in story.dropped] == [INVENTED]
    assert figures(session) == (1, 0)
    aired = SessionEvent.objects.get(session=session, type="story.aired")
    assert "Port Zane" not in str(aired.payload["public"])
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_in_hands_free_an_invented_lead_is_told_verbatim_instead(
    modelled: Modelled, anthropic: AnthropicStandIn
) -> None:
    anthropic.compose = told(lead=f"{INVENTED} [1]")
    session = modelled()
    story = narrate(session)
    assert (story.state, story.origin, story.held) == ("airing", "extractive", False)
    assert "Port Zane" not in f"{story.title} {story.narrative} {story.summary}"
    assert "1 sentence dropped: not in the source" in story.note
    assert story.tokenusage_set.count() == 1
    assert figures(session) == (1, 0)
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


@pytest.mark.parametrize("mode", ["balanced", "full-control"])
def test_with_an_editor_an_invented_lead_waits_until_it_is_approved(
    modelled: Modelled, anthropic: AnthropicStandIn, mode: str
) -> None:
    anthropic.compose = told(lead=f"{INVENTED} [1]")
    session = modelled(mode)
    story = narrate(session)
    long_ago = steps.now() - timedelta(hours=1)
    Story.objects.filter(pk=story.pk).update(created_at=long_ago)
    narrate(session)
    story.refresh_from_db()
    assert (story.state, story.held) == ("written", True)
    assert story.passages[0]["support"] == "none"
    assert not Airing.objects.filter(story=story).exists()
    commands.run(
        "session.change", session.owner, session, {"settings": {"control_mode": "hands-free"}}
    )
    narrate(session)
    assert not Airing.objects.filter(story=story).exists()
    commands.run("story.approve", session.owner, session, {"story": story.pk})
    story.refresh_from_db()
    assert not story.held
    assert story.approved_by == session.owner
    assert story.passages[0]["support"] == "editor"
    assert figures(session)[1] == 0


def test_an_edited_story_airs_and_keeps_the_passages_of_what_stayed(
    modelled: Modelled, anthropic: AnthropicStandIn
) -> None:
    anthropic.compose = told(lead=f"{INVENTED} [1]")
    session = modelled("balanced")
    story = narrate(session)
    rest = story.narrative.removeprefix(INVENTED).strip()
    data = {
        "story": story.pk,
        "title": "A new title",
        "text": f"I saw it. {rest}",
        "reason": "Lead",
    }
    commands.run("story.correct", session.owner, session, data)
    story.refresh_from_db()
    assert not story.held
    assert [row["support"] for row in story.passages][:2] == ["editor", "passages"]
    assert [row["text"] for row in story.passages] == sentences(f"I saw it. {rest}")
    assert "Port Zane" not in str(story.passages)


def test_no_more_than_three_stories_wait_for_their_check(
    modelled: Modelled, anthropic: AnthropicStandIn
) -> None:
    anthropic.compose = told(lead=f"{INVENTED} [1]")
    session = modelled("balanced")
    for _ in range(4):
        narrate(session)
    held = Story.objects.filter(session=session, held=True)
    assert held.count() == 3
    assert Story.objects.get(session=session, held=False).origin == "extractive"


@pytest.mark.parametrize("mode", ["prose", "max_tokens"])
def test_prose_and_a_cut_answer_are_matched_and_checked(
    modelled: Modelled, anthropic: AnthropicStandIn, mode: str
) -> None:
    anthropic.compose = told(f"{INVENTED}")
    anthropic.script.append(mode)
    session = modelled()
    story = narrate(session)
    assert story.origin == "model"
    assert "Port Zane" not in story.narrative
    assert {row["support"] for row in story.passages} == {"passages"}


def test_an_answer_of_the_old_shape_is_matched_and_checked(
    modelled: Modelled, anthropic: AnthropicStandIn
) -> None:
    def without_numbers(asked: dict[str, Any]) -> str:
        return re.sub(r" \[\d+\]", "", told(INVENTED)(asked))

    anthropic.compose = without_numbers
    session = modelled()
    story = narrate(session)
    assert story.origin == "model"
    assert [row["text"] for row in story.dropped] == [INVENTED]
    assert all(row["passages"] for row in story.passages)


def test_what_airs_without_a_passage_is_counted(
    modelled: Modelled, anthropic: AnthropicStandIn
) -> None:
    anthropic.compose = told()
    session = modelled("full-control")
    story = narrate(session)
    # As only a fault could leave it: two sentences that no check has seen.
    story.narrative += " It rained. It snowed."
    story.save()
    commands.run("story.approve", session.owner, session, {"story": story.pk})
    story.refresh_from_db()
    assert story.state == "airing"
    assert story.ungrounded_aired == 2
    assert figures(session) == (0, 2)
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_pages_and_api_show_the_passages_and_the_reasons(
    modelled: Modelled, anthropic: AnthropicStandIn
) -> None:
    anthropic.compose = told(f"{INVENTED} [1]")
    session = modelled()
    story = narrate(session)
    assert story.post is not None
    SourcePost.objects.filter(pk=story.post.pk).update(body="")
    owner, stranger = Client(), Client()
    owner.force_login(session.owner)
    page = owner.get(f"/broadcast/{session.pk}/stories/{story.pk}/").content.decode()
    assert "Sources of this story" in page
    assert "Not in its passages" in page
    assert INVENTED in page
    # The feed of the desk asks for them when they are opened.
    path = f"/broadcast/{session.pk}/stories/{story.pk}/"
    desk = owner.get(f"/broadcast/{session.pk}/").content.decode()
    assert f'class="more passages" hx-get="{path}"' in desk
    assert INVENTED not in desk
    part = owner.get(path, headers={"HX-Request": "true"}).content.decode()
    assert part.strip().startswith('<details class="more passages" open>')
    assert INVENTED in part
    address = session_commands.watch_url(session)
    assert address is not None
    watch = stranger.get(f"/watch/{session.watch_token}/").content.decode()
    assert "Sources of this story" in watch
    assert story.passages[1]["passages"][0]["text"].split(",")[0] in watch
    assert "Port Zane" not in watch
    row = owner.get(f"/api/sessions/{session.pk}/stories").json()["items"][0]
    assert row["passages"] == story.passages
    assert row["dropped"] == story.dropped
    stats = owner.get(f"/api/sessions/{session.pk}/stats").json()
    assert (stats["sentences_dropped"], stats["ungrounded_aired"]) == (1, 0)
    live_stats = owner.get(f"/stats/?session={session.pk}").content.decode()
    assert "Sentences dropped" in live_stats
    assert "Ungrounded aired" in live_stats
