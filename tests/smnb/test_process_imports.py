"""Each kind of process loads only the libraries that it needs: a library costs start time and memory."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.smnb.test_registration import ROOT

# How each process begins, as far as it can without a port and a broker: all with Django and the apps.
PROCESSES = {
    "command": "",
    "web": "import daphne.cli, smnb.asgi",
    "worker": "import smnb.celery; smnb.celery.app.loader.import_default_modules()",
}
BEGIN = """
import django, json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "smnb.settings"
django.setup()
from django.apps import apps
assert apps.ready
for kind, imports in json.loads(sys.argv[1]).items():
    if not os.fork():
        exec(imports)
        print(kind, *sys.modules, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, kind
"""
# Used by some calls in any process, so imported by these calls.
EVERYWHERE = "anthropic feedparser genai_prices httpx2 lxml markdown_it PIL praw prawcore"
UNUSED = {
    "command": f"{EVERYWHERE} celery cryptography daphne django.test kombu ninja redis smnb.urls",
    "web": f"{EVERYWHERE} celery kombu",
    "worker": f"{EVERYWHERE} cryptography daphne django.test ninja smnb.urls",
}


def test_a_process_loads_no_library_that_it_does_not_use() -> None:
    run = subprocess.run(
        [sys.executable, "-c", BEGIN, json.dumps(PROCESSES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {kind: set(loaded) for kind, *loaded in map(str.split, run.stdout.splitlines())}
    assert found.keys() == PROCESSES.keys()
    for kind, loaded in found.items():
        assert {"broadcast.producer", "stories.stories", "structlog"} <= loaded, kind
        assert set(UNUSED[kind].split()) & loaded == set(), kind
