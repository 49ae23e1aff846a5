"""The Celery app. Its messages only wake workers: the work itself is stored in Step rows.

A lost message therefore costs a second, until the sweeper sends it again.
"""

from __future__ import annotations

import os
import signal
from logging.config import dictConfig
from typing import Any

from celery import Celery, signals
from django.conf import settings

from smnb import tracing
from smnb.runner.process import die_with

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smnb.settings")

app = Celery("smnb")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["sessions_app.background"])


@signals.setup_logging.connect
# A receiver of this signal keeps Celery from replacing our handlers with its own.
def use_our_logging(**_: Any) -> None:
    dictConfig(settings.LOGGING)


@signals.worker_process_shutdown.connect
def send_last_spans(**_: Any) -> None:
    """Sends the remaining spans, as a worker's child process exits without running exit handlers."""
    tracing.stop()


@signals.worker_process_init.connect
def die_with_worker(**_: Any) -> None:
    # SIGKILL, as a child without its worker gets no more work; the step that it runs is claimed
    # again.
    die_with(os.getppid(), signal.SIGKILL)
