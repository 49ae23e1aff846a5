"""A client that a public generator makes from /api/openapi.json reads a running studio."""

from __future__ import annotations

import compileall
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.endtoend.studio_process import Studio
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.slow

PACKAGE = "smnb_client"
RECORDING = {"kind": "recording", "locator": "demo"}

Read = Callable[..., Any]


@pytest.fixture(scope="module")
def client_folder(newsroom: Studio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the generated package."""
    folder = tmp_path_factory.mktemp("client")
    document, config = folder / "openapi.json", folder / "config.yaml"
    document.write_text(json.dumps(newsroom.get("/openapi.json")))
    config.write_text("post_hooks: []\n")
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    options = ["--path", str(document), "--output-path", str(folder / PACKAGE)]
    # A part of the document that the generator cannot use is a warning, and fails here.
    result = subprocess.run(
        [*generator, *options, "--config", str(config), "--fail-on-warning"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture
def read(
    client_folder: Path, newsroom: Studio, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Calls an operation of the generated client: ``read("list_stories", session_id=...)``."""
    monkeypatch.syspath_prepend(str(client_folder))
    package = importlib.import_module(PACKAGE)
    client = package.AuthenticatedClient(base_url=newsroom.url, token=newsroom.token)

    def call(operation: str, **arguments: Any) -> Any:
        module = importlib.import_module(f"{PACKAGE}.api.sessions.{operation}")
        return module.sync(client=client, **arguments)

    return call


def test_the_generated_client_compiles(client_folder: Path) -> None:
    assert len(list((client_folder / PACKAGE / "models").glob("*.py"))) > 100
    assert compileall.compile_dir(str(client_folder / PACKAGE), quiet=1, workers=1)


def test_the_generated_client_reads_a_session_its_stories_and_its_usage(
    newsroom: Studio, api: AnthropicStandIn, read: Read
) -> None:
    session_id = newsroom.create("Read by a client", RECORDING, pace=0)
    newsroom.command(session_id, "start")
    newsroom.wait_stories(session_id, 3)
    newsroom.command(session_id, "stop")
    newsroom.wait_state(session_id, "idle")
    newsroom.wait_filed(session_id)

    session = read("read_session", session_id=session_id)
    assert (session.id, session.name) == (session_id, "Read by a client")
    assert session.settings.pace == 0

    stories = read("list_stories", session_id=session_id, limit=2)
    assert [story.id for story in stories.items] == [
        story["id"] for story in newsroom.items(session_id, "stories")[:2]
    ]
    assert stories.items[0].post.source == "demo"
    older = read("list_stories", session_id=session_id, cursor=stories.next_)
    assert older.items[0].id < stories.items[-1].id

    usage = read("list_usage", session_id=session_id, limit=500)
    rows = newsroom.items(session_id, "usage")
    assert [(row.attempt, row.input_tokens, row.cost) for row in usage.items] == [
        (row["attempt"], row["input_tokens"], row["cost"]) for row in rows
    ]
    assert sum(row.input_tokens for row in usage.items) > 0


def test_the_generated_client_reads_an_error(read: Read) -> None:
    problem = read("read_session", session_id="00000000-0000-4000-8000-000000000000")
    assert (type(problem).__name__, problem.code) == ("Problem", "not_found")
