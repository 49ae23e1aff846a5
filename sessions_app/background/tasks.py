"""The only Celery task: it runs one step."""

from __future__ import annotations

import structlog
from celery import shared_task
from kombu.exceptions import OperationalError

from sessions_app.background import steps

log = structlog.get_logger(__name__)


@shared_task(name="smnb.run_step")
def run_step(step_id: int) -> None:
    """Claims and runs the step."""
    steps.run(step_id)


def send(step_id: int, queue: str) -> None:
    """Sends the step to a worker; if the broker is down, the sweeper sends it again later."""
    # The message holds only the id: the row is read when it is claimed, so it is never out of date.
    try:
        run_step.apply_async((step_id,), queue=queue)
    except OperationalError as error:
        log.warning("poke_failed", step=step_id, error=type(error).__name__)
