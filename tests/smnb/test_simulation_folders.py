"""What ``make chaos`` leaves in memory when it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.chaos.__main__ import remove_left_folders


def test_the_next_simulation_removes_the_folders_of_killed_ones(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as ended:
        pass
    killed, running = (tmp_path / f"smnb-simulation-{pid}-x" for pid in (ended.pid, os.getpid()))
    for folder in (killed, running, tmp_path / "other"):
        (folder / "0").mkdir(parents=True)
    remove_left_folders(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", running.name]
