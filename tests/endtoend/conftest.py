"""The two studios that all end-to-end tests share, each test with sessions of its own.

``studio`` has no key for a model; ``newsroom`` has one, and a stand-in answers in place of the API.
Only the tests of starting and stopping start studios of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.endtoend.studio_process import Studio, migrated, running, served_by_uvicorn
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.anthropic_compose import composed
from tests.standins.reddit import RedditStandIn, post

KEY = "canary-0123456789"


@pytest.fixture(scope="session")
def reddit() -> Iterator[RedditStandIn]:
    with RedditStandIn() as stand_in:
        stand_in.publish("tides", [post("a", "The tide is in"), post("b", "The moon is late")])
        yield stand_in


@pytest.fixture(scope="session")
def studio(reddit: RedditStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio without a key; its data is audited after the last test."""
    if os.environ.get("SMNB_TOPOLOGY"):
        from tests.topology.machines import deployed

        folder = tmp_path_factory.mktemp("studio")
        with deployed(folder, REDDIT_URL=reddit.url, REDDIT_OAUTH_URL=reddit.url) as deployment:
            yield deployment.studio
            deployment.studio.audit()
        return
    data = migrated(tmp_path_factory.mktemp("studio") / "var")
    with running(data, REDDIT_URL=reddit.url, REDDIT_OAUTH_URL=reddit.url) as found:
        yield found
        assert found.log.exists()
        found.audit()


@pytest.fixture(scope="session")
def uvicorn(studio: Studio) -> Iterator[tuple[Studio, int]]:
    """The studio by a second web process of the other web server; and its process id."""
    with served_by_uvicorn(studio) as found:
        yield found


@pytest.fixture(scope="session")
def anthropic() -> Iterator[AnthropicStandIn]:
    with AnthropicStandIn() as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def newsroom(
    anthropic: AnthropicStandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Studio]:
    """A studio with a key; its data is audited after the last test."""
    data = migrated(tmp_path_factory.mktemp("newsroom") / "var")
    keys = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": anthropic.url}
    # Tests freeze processes that continue afterwards.
    with running(data, SMNB_SILENT_SECONDS="3600", **keys) as found:
        yield found
        found.audit()


@pytest.fixture
def api(anthropic: AnthropicStandIn) -> Iterator[AnthropicStandIn]:
    """What the newsroom asks; it answers without faults until a test says otherwise."""
    answer_normally(anthropic)
    yield anthropic
    answer_normally(anthropic)


def answer_normally(stand_in: AnthropicStandIn) -> None:
    stand_in.mode, stand_in.text, stand_in.pause = "compose", None, 0.0
    stand_in.compose = composed
    stand_in.script.clear()
