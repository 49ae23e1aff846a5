"""What several tests of broadcasts begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from broadcast.transfer import importer
from sessions_app.models import Session
from stories.llm import Credentials, credentials
from tests.broadcast.session_with_history import Bring
from tests.broadcast.speech.recorded_session import show, tell, with_engine
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import past
from tests.standins.anthropic import AnthropicStandIn


@pytest.fixture
def anthropic(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicStandIn]:
    """The stand-in for Anthropic, with a key for all users."""
    with AnthropicStandIn() as stand_in:
        found = Credentials(api_key="key-of-the-stand-in", base_url=stand_in.url)
        monkeypatch.setattr(credentials, "anthropic_of", lambda _: found)
        yield stand_in


@pytest.fixture
def traced(owner: User, make_session: MakeSession) -> Session:
    """A session whose run aired three stories in the posts' own words, and ended."""

    def make() -> Session:
        session = make_session(model="extractive")
        tell(session, 3)
        return session

    return past("traced", owner, make)


@pytest.fixture
def heard(owner: User, make_session: MakeSession, settings: Any) -> Session:
    """A session with the sounds of two stories and the episode of their run."""
    with_engine(settings)

    def make() -> Session:
        session = show(make_session("Harbour news", model="extractive"))
        tell(session)
        run_due_steps(session)
        return session

    return past("heard", owner, make)


@pytest.fixture
def bring(tmp_path: Path, owner: User) -> Bring:
    """Brings an archive in from the disk; returns its session."""

    def bring(data: bytes) -> Session:
        path = tmp_path / "session.zip"
        path.write_bytes(data)
        return importer.import_file(path, owner).session

    return bring
