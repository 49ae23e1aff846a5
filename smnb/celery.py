"""The Celery app and its only task, which runs one step.

Its messages only wake workers: the work itself is stored in Step rows. A lost message therefore
costs a few seconds, until the sweeper sends it again.
"""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import Callable
from logging.config import dictConfig
from typing import Any

import structlog
from celery import Celery, Task, signals
from celery.concurrency.asynpool import AsynPool, ResultHandler
from celery.concurrency.prefork import TaskPool
from celery.worker.autoscale import Autoscaler
from django.conf import settings
from kombu.exceptions import OperationalError

from smnb import tracing
from smnb.runner.process import die_with, sign

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smnb.settings")
# Celery would run Django's checks, which load all pages and the API, and ignore what they find.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

# Celery warns root about pickle, which no message here uses.
warnings.filterwarnings("ignore", "You're running the worker with superuser")

app = Celery("smnb")
app.config_from_object("django.conf:settings", namespace="CELERY")
log = structlog.get_logger(__name__)


class OnDemand(Autoscaler):
    """Starts a child of a worker when a message needs one; ends those that half a minute did not need.

    Celery's own ends children only after a time without any message.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._needed = 0  # at the same time, since the timer last called

    def _maybe_scale(self, req: object = None) -> bool:
        """Is called with each message, and by a timer without one; returns whether it scaled."""
        running: int = min(self.qty, self.max_concurrency)
        self._needed = max(self._needed, running)
        if running > self.processes:
            self.scale_up(running - self.processes)
            return True
        most = max(self._needed, self.min_concurrency)
        if req is not None:
            return False
        self._needed = running
        # Only when all are idle: one may have been sent a message that it has not confirmed yet.
        if running or self.processes <= most:
            return False
        self._shrink(self.processes - most)
        return True


class AnswerReader(ResultHandler):
    """Reads the answers of children, and waits for none.

    Celery reads a pipe whose number it has for that of a child's answers. If that pipe was closed, another
    one may have its number, and reading from it could stop the worker for ever.
    """

    def _make_process_result(self, hub: Any) -> Callable[[int], None]:
        read = super()._make_process_result(hub)

        def read_answer(number: int) -> None:
            try:
                waits = os.get_blocking(number)
            except OSError:  # closed
                waits = True
            if waits:
                hub.remove_reader(number)
            else:
                read(number)

        return read_answer


class PromptPool(AsynPool):
    """A pool that notices at once when a child has died, and has its task delivered again.

    The kernel closes the pipe of a dying child before the child can be waited for. Celery's own looks
    once, when the pipe closes, and then every five seconds.

    It replaces children between two rounds of the event loop. Celery's own does so while it handles the
    events of a round: new pipes get the numbers of those it closes, and with them their events.
    """

    ResultHandler = AnswerReader

    def register_with_event_loop(self, hub: Any) -> None:
        self._event_loop = hub
        super().register_with_event_loop(hub)

    def maintain_soon(self) -> None:
        self._event_loop.call_later(0, self.maintain_pool)

    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        self._untrack_child_process(proc, hub)
        hub.call_later(0, self._replace, hub, proc, 50)

    def _replace(self, hub: Any, proc: Any, tries: int) -> None:
        self.maintain_pool()
        if proc in self._pool and tries:
            hub.call_later(0.02, self._replace, hub, proc, tries - 1)

    def destroy_queues(self, queues: Any, proc: Any) -> Any:
        removed = super().destroy_queues(queues, proc)
        # Celery's own leaves the numbers of these closed pipes behind, and after a lost connection to
        # Redis it listens to whatever has them then.
        for processes, number in (
            (self._fileno_to_outq, proc.outqR_fd),
            (self._fileno_to_synq, proc.synqW_fd),
        ):
            if processes.get(number) is proc:
                del processes[number]
        return removed


class PromptTaskPool(TaskPool):
    """The pool of our workers; a setting names it."""

    Pool = PromptPool

    def on_start(self) -> None:
        super().on_start()
        # The autoscaler calls this for a message, while the events of a round are handled.
        self.maintain_pool = self._pool.maintain_soon


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
    from sessions_app.background.sending import NotSent

    # The message holds only the id: the row is read when it is claimed, so it is never out of date.
    try:
        run_step.apply_async((step_id,), queue=queue)
    except OperationalError as error:
        log.warning("poke_failed", step=step_id, error=type(error).__name__)
        raise NotSent from error


def message_count(queue: str) -> int:
    """Returns how many messages of a queue no worker has taken; raises NotSent without the broker."""
    from sessions_app.background.sending import NotSent

    # A connection of its own: one of a pool may be shared with a process that was forked since.
    with app.connection_for_write() as broker:
        try:
            broker.ensure_connection(max_retries=1)
            # Redis stores a queue as a list, as all our messages have the same priority.
            return int(broker.default_channel.client.llen(queue))
        except (OperationalError, *broker.connection_errors) as error:
            raise NotSent from error


@signals.setup_logging.connect
# A receiver of this signal keeps Celery from replacing our handlers with its own.
def use_our_logging(**_: Any) -> None:
    dictConfig(settings.LOGGING)


@signals.worker_init.connect
def use_no_pool(**_: Any) -> None:
    """Takes the connections of this worker out of a pool, even if all processes are given one.

    Children would share the connections of a pool that their parent has opened. Celery closes it after
    the fork for its own classes alone.
    """
    from django.db import connections

    for database in connections.settings.values():
        database["OPTIONS"].pop("pool", None)


@signals.worker_init.connect
def sign_in_each_round(**_: Any) -> None:
    """Gives a sign of life in each round of the worker's main loop, and each second without Redis.

    Celery asks ``maybe_shutdown`` then. A timer would be silent while the worker connects again.
    """
    from celery.worker import state
    from celery.worker.consumer import consumer

    maybe_shutdown = state.maybe_shutdown

    def sign_and_ask() -> None:
        sign()
        maybe_shutdown()

    state.maybe_shutdown = consumer.maybe_shutdown = sign_and_ask


@signals.celeryd_after_setup.connect
def load_before_the_fork(instance: Any, **_: Any) -> None:
    """Loads what the tasks of this worker use, so that its children share it and need not wait."""
    if "host" in instance.app.amqp.queues.consume_from:
        load_model_calls()
        # Before each fork too, as the first key may be added later.
        signals.worker_before_create_process.connect(load_model_calls)
    # The collector then leaves these objects alone, and the memory of their pages stays shared.
    gc.collect()
    gc.freeze()


def load_model_calls(**_: Any) -> None:
    """Loads what calls to a model use, if there is a key for one."""
    from django.db import connections

    from stories.llm import credentials

    credentials.preload()
    # A connection must not be shared with a child.
    connections.close_all()
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
