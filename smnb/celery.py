"""The Celery app and its only task, which runs one step.

Its messages only wake workers: the work itself is stored in Step rows. A lost message therefore
costs a second, until the sweeper sends it again.
"""

from __future__ import annotations

import gc
import os
import signal
import warnings
from logging.config import dictConfig
from typing import Any

import structlog
from celery import Celery, Task, signals
from django.conf import settings
from kombu.exceptions import OperationalError

from smnb import tracing
from smnb.runner.process import die_with

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smnb.settings")
# Celery would run Django's checks, which load all pages and the API, and ignore what they find.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

# Celery warns root about pickle, which no message here uses.
warnings.filterwarnings("ignore", "You're running the worker with superuser")

app = Celery("smnb")
app.config_from_object("django.conf:settings", namespace="CELERY")
log = structlog.get_logger(__name__)


@app.task(name="smnb.run_step", bind=True)
def run_step(task: Task, step_id: int) -> None:
    """Claims and runs the step."""
    # Imported here, as a worker loads the apps after this module.
    from sessions_app.background import steps

    delivery = task.request.delivery_info or {}
    again = bool(delivery.get("redelivered"))
    steps.run(step_id, task.request.id or "", redelivered=again)


def send(step_id: int, queue: str) -> None:
    """Sends the step to a worker; raises NotSent if the broker is down."""
    from sessions_app.background.steps import NotSent

    # The message holds only the id: the row is read when it is claimed, so it is never out of date.
    try:
        run_step.apply_async((step_id,), queue=queue)
    except OperationalError as error:
        log.warning("poke_failed", step=step_id, error=type(error).__name__)
        raise NotSent from error


@signals.setup_logging.connect
# A receiver of this signal keeps Celery from replacing our handlers with its own.
def use_our_logging(**_: Any) -> None:
    dictConfig(settings.LOGGING)


@signals.celeryd_after_setup.connect
def load_before_the_fork(instance: Any, **_: Any) -> None:
    """Loads what the tasks of this worker use, so that its children share it and need not wait."""
    from django.db import connections

    from stories.llm import credentials

    if "host" in instance.app.amqp.queues.consume_from:
        credentials.preload()
    # A connection must not be shared with a child.
    connections.close_all()
    # The collector then leaves these objects alone, and the memory of their pages stays shared.
    gc.collect()
    gc.freeze()


@signals.worker_process_shutdown.connect
def send_last_spans(**_: Any) -> None:
    """Sends the remaining spans, as a worker's child process exits without running exit handlers."""
    tracing.stop()


@signals.worker_process_init.connect
def die_with_worker(**_: Any) -> None:
    # SIGKILL, as a child without its worker gets no more work; the step that it runs is claimed
    # again.
    die_with(os.getppid(), signal.SIGKILL)
