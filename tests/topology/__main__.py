"""``make topology``: the deployment of deploy/ on this machine, with the end-to-end tests against it.

Uses the nginx on PATH, and without one a relay. Arguments are passed on to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys

ENDTOEND = ("test_scenarios.py", "test_sockets.py", "test_sources.py")


def main() -> int:
    runs = (["tests/topology"], [f"tests/endtoend/{name}" for name in ENDTOEND])
    env = {**os.environ, "SMNB_TOPOLOGY": "1"}
    statuses = [
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *paths, *sys.argv[1:]], env=env, check=False
        ).returncode
        for paths in runs
    ]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
