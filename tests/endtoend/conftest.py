"""One studio for all scenarios, reading from a feed stand-in; each scenario has its own sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endtoend.studio_process import Studio, running


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder: Path = tmp_path_factory.mktemp("studio")
    with running(folder / "var") as found:
        yield found
        assert found.log.exists()
