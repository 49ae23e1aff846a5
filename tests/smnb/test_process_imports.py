"""Each kind of process loads only the libraries that it needs: a library costs start time and memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.smnb.test_registration import ROOT

SETUP = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'smnb.settings'; import django; django.setup()"
# How each process begins, as far as it can without a port and a broker.
PROCESSES = {
    "command": SETUP,
    "web": "import daphne.cli, smnb.asgi",
    "worker": "import smnb.celery; smnb.celery.app.loader.import_default_modules()",
}
# Used by some calls in any process, so imported by these calls.
EVERYWHERE = "anthropic feedparser genai_prices httpx2 lxml markdown_it PIL praw prawcore"
UNUSED = {
    "command": f"{EVERYWHERE} celery cryptography daphne django.test kombu ninja redis smnb.urls",
    "web": f"{EVERYWHERE} celery kombu",
    "worker": f"{EVERYWHERE} cryptography daphne django.test ninja smnb.urls",
}


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_process_loads_no_library_that_it_does_not_use(kind: str) -> None:
    show = "import sys; from django.apps import apps; assert apps.ready; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", f"{PROCESSES[kind]}\n{show}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(run.stdout.split())
    assert {"broadcast.producer", "stories.stories", "structlog"} <= loaded
    assert set(UNUSED[kind].split()) & loaded == set()
