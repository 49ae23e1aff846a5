"""Celery: pokes only. What is to be done stands in Step rows; a lost message costs a second."""

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
def _keep_our_handlers(**_: Any) -> None:
    dictConfig(settings.LOGGING)


@signals.worker_process_shutdown.connect
def _send_the_last_spans(**_: Any) -> None:
    """A worker's child ends without the farewell at which spans would be sent."""
    tracing.stop()


@signals.worker_process_init.connect
def _die_with_the_worker(**_: Any) -> None:
    die_with(os.getppid(), signal.SIGKILL)
