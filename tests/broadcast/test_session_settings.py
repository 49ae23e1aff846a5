"""What is saved on the page arrives: each narration setting in the model's question, or on air."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast.models import Airing
from sessions_app.background import steps
from sessions_app.models import Session, Step
from stories.llm import Credentials, credentials
from stories.models import Story, TokenUsage
from tests.conftest import MakeSession, run_due_steps
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "personality": "conversational",
    "verbosity": "detailed",
    "pace": "0",
    "language": "en",
    "instructions": "",
    "control_mode": "hands-free",
}
Saved = Callable[..., Session]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicStandIn]:
    """The stand-in for Anthropic, with a key for all users."""
    with AnthropicStandIn() as server:
        found = Credentials("sk-test", server.url)
        monkeypatch.setattr(credentials, "anthropic_of", lambda *_: found)
        yield server


@pytest.fixture
def saved(make_session: MakeSession, owner: User, client_of: Callable[[User], Client]) -> Saved:
    """A session whose settings were saved on its page."""

    def save(**changes: str) -> Session:
        session = make_session()
        form = {**SETTINGS, **changes}
        answer = client_of(owner).post(f"/sessions/{session.pk}/settings/", form)
        assert answer.status_code == 302
        return Session.objects.get(pk=session.pk)

    return save


def narrate(session: Session, go_live: Callable[[Session], Any]) -> None:
    """On air, one poll and one round of the host."""
    go_live(session)
    run_due_steps(session, "poll", most=1)
    pending = Step.objects.filter(session=session, kind="narrate", state="pending")
    pending.update(due_at=steps.now() - timedelta(seconds=1))
    steps.run(pending.get().pk)


def asked(model: AnthropicStandIn) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(model.requests[-1].body)
    return found


def system_prompt(model: AnthropicStandIn) -> str:
    """The system prompt of the latest request, in either of its forms."""
    return json.dumps(asked(model)["system"], ensure_ascii=False)


@pytest.mark.parametrize("name", ["claude-haiku-4-5", "claude-sonnet-5"])
def test_the_model_that_is_chosen_is_asked(
    saved: Saved, model: AnthropicStandIn, go_live: Callable[[Session], Any], name: str
) -> None:
    narrate(saved(model=name), go_live)
    assert asked(model)["model"] == name
    assert TokenUsage.objects.get().operation == "narrate"


def test_extractive_asks_nobody(
    saved: Saved, model: AnthropicStandIn, go_live: Callable[[Session], Any]
) -> None:
    narrate(saved(model="extractive"), go_live)
    assert model.requests == []
    assert Story.objects.get().origin == "extractive"


@pytest.mark.parametrize(
    ("personality", "manner"),
    [
        ("formal", "formal and measured"),
        ("conversational", "warm and conversational"),
        ("analytical", "calm and analytical"),
        ("energetic", "energetic and quick"),
    ],
)
def test_the_personality_is_how_the_host_is_to_sound(
    saved: Saved,
    model: AnthropicStandIn,
    go_live: Callable[[Session], Any],
    personality: str,
    manner: str,
) -> None:
    narrate(saved(personality=personality), go_live)
    assert manner in system_prompt(model)


@pytest.mark.parametrize(
    ("verbosity", "tokens", "words"),
    [("concise", 100, 75), ("detailed", 200, 150), ("comprehensive", 300, 225)],
)
def test_the_verbosity_is_how_long_the_host_is_to_speak(
    saved: Saved,
    model: AnthropicStandIn,
    go_live: Callable[[Session], Any],
    verbosity: str,
    tokens: int,
    words: int,
) -> None:
    narrate(saved(verbosity=verbosity), go_live)
    assert f"About {words} words, in en." in system_prompt(model)
    assert asked(model)["max_tokens"] == 3 * tokens + 1000


def test_the_language_is_the_one_to_speak(
    saved: Saved, model: AnthropicStandIn, go_live: Callable[[Session], Any]
) -> None:
    narrate(saved(language="pt-BR"), go_live)
    assert "words, in pt-BR." in system_prompt(model)


def test_the_instructions_are_wishes(
    saved: Saved, model: AnthropicStandIn, go_live: Callable[[Session], Any]
) -> None:
    narrate(saved(instructions="Focus on breakthroughs, avoid markets."), go_live)
    assert "wishes besides: Focus on breakthroughs, avoid markets." in system_prompt(model)


@pytest.mark.parametrize("pace", [60, 600])
def test_the_pace_is_how_long_a_story_is_on_air(
    saved: Saved, model: AnthropicStandIn, go_live: Callable[[Session], Any], pace: int
) -> None:
    narrate(saved(pace=str(pace)), go_live)
    airing = Airing.objects.select_related("story").get()
    seconds = (airing.finish_at - airing.aired_at).total_seconds()
    assert seconds == airing.story.duration
    assert abs(seconds - airing.story.word_count * 60 / pace) <= 1


@pytest.mark.parametrize(
    ("mode", "pace", "state"),
    [
        ("hands-free", "180", "airing"),
        ("balanced", "180", "written"),
        ("balanced", "0", "airing"),
        ("full-control", "0", "written"),
    ],
)
def test_the_control_mode_decides_what_airs(
    saved: Saved,
    model: AnthropicStandIn,
    go_live: Callable[[Session], Any],
    mode: str,
    pace: str,
    state: str,
) -> None:
    narrate(saved(control_mode=mode, pace=pace), go_live)
    assert Story.objects.get().state == state


def test_a_change_while_on_air_holds_from_the_next_story_on(
    saved: Saved,
    model: AnthropicStandIn,
    go_live: Callable[[Session], Any],
    owner: User,
    client_of: Callable[[User], Client],
) -> None:
    session = saved()
    narrate(session, go_live)
    form = {**SETTINGS, "personality": "energetic"}
    client_of(owner).post(f"/sessions/{session.pk}/settings/", form)
    pending = Step.objects.filter(session=session, kind="narrate", state="pending")
    pending.update(due_at=steps.now() - timedelta(seconds=1))
    steps.run(pending.get().pk)
    assert "energetic and quick" in system_prompt(model)
