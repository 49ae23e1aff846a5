"""An answer whose usage is impossible or missing is bounded and holds nothing up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from broadcast.models import Broadcast
from sessions_app import audits, commands
from sessions_app.background import sweeper
from sessions_app.models import FailedWork, Session
from stories.models import Story, TokenUsage
from tests.conftest import MakeSession, run_due_steps
from tests.standins.anthropic import AnthropicStandIn
from tests.stories.llm.test_reported_usage import END, START, stream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ({**START, "input_tokens": 10**15}, END),
        (START, {"output_tokens": 10**30}),
        (None, None),
    ],
)
def test_there_is_a_story_and_the_session_comes_to_rest(
    make_session: MakeSession,
    go_live: Callable[[Session], Broadcast],
    anthropic: AnthropicStandIn,
    tmp_path: Path,
    start: object,
    end: object,
) -> None:
    path = tmp_path / "answer.sse"
    path.write_bytes(stream(start, end))
    anthropic.mode = path
    session = make_session(model="claude-haiku-5-5")
    go_live(session)
    run_due_steps(session, "poll", most=1)
    run_due_steps(session, "narrate", most=1)
    assert Story.objects.count() == 1
    row = TokenUsage.objects.get()
    assert (row.state, row.error) == ("bounded", "")
    assert 0 <= row.cost_lower < row.cost_upper < 10**10
    commands.run("broadcast.stop", session.owner, session, {})
    run_due_steps(session)
    sweeper.sweep()
    assert Broadcast.objects.get().state == "idle"
    assert not FailedWork.objects.exists()
    assert list(audits.run()) == []
