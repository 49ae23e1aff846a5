"""``studio``: runs all processes of the studio in the foreground; ``make run`` calls it."""

from __future__ import annotations

import http.client
import os
import sys
from contextlib import ExitStack, suppress
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection, connections

from sessions_app import constraints
from smnb import health
from smnb.logging import quiet_terminal, say
from smnb.runner import first_run
from smnb.runner.first_run import (
    AlreadyRunning,
    load_application,
    only_studio,
    port_is_free,
    port_taken_sentence,
    redis_child,
)
from smnb.runner.process import call_in_fork, can_fork, studio_children
from smnb.runner.redis_server import EmbeddedRedis, NoRedis
from smnb.runner.supervisor import STATUS_FILE, GaveUp, Stopped, Supervisor
from stories.search import index

READY_WITHIN = 60.0


class PortTaken(Exception):
    """The port cannot be used; the message is shown in the terminal."""


class Command(BaseCommand):
    help = "Run the whole studio: web, workers, sweeper and, without REDIS_URL, a Redis."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        # The children start "manage.py" by a relative path.
        os.chdir(settings.BASE_DIR)
        try:
            with only_studio(settings.SMNB.data_dir):
                self.run_studio()
        except Stopped:
            say("Stopped.")
        except (AlreadyRunning, PortTaken, NoRedis, GaveUp) as error:
            say(str(error))
            sys.exit(1)

    def run_studio(self) -> None:
        """Starts all processes, prints the addresses, and supervises until a signal."""
        port: int = settings.SMNB.port
        # Before anything starts: Daphne would only find out after the migration.
        if not port_is_free("127.0.0.1", port):
            raise PortTaken(port_taken_sentence(port))
        children = studio_children(port, settings.SMNB.host_slots)
        with ExitStack() as cleanup:
            if not settings.SMNB.redis_url:
                server = EmbeddedRedis(settings.SMNB.data_dir)
                server.prepare()
                # Registered before the supervisor, so it runs after all children have ended.
                cleanup.callback(server.remove)
                children.insert(0, redis_child(server))
            status = settings.SMNB.data_dir / STATUS_FILE
            cleanup.callback(status.unlink, missing_ok=True)
            supervisor = cleanup.enter_context(
                Supervisor(children, status, settings.SMNB.silent_seconds)
            )
            if not settings.SMNB.redis_url:
                # The first run goes live, which sends messages. It also makes a password that is shown
                # once, so nothing that may fail goes on beside it.
                supervisor.start_first("redis")

            def meanwhile() -> None:
                if can_fork():
                    load_application()

            say("Preparing the database ...")
            # This process then has no connection, and none of the memory that migrations take, so
            # that it can be forked again.
            lines = call_in_fork(prepare, meanwhile)
            say("Starting web, workers and sweeper ...")
            supervisor.start()
            if supervisor.run(lambda: _is_healthy(port), READY_WITHIN):
                supervisor.confirm_ready()
            else:
                say(
                    f"Not ready after {READY_WITHIN:g} s; still trying. See studio.log in the data folder."
                )
            # A closed standard output must not end the studio.
            with suppress(OSError):
                self.stdout.write("\n".join(boxed(lines) if self.stdout.isatty() else lines))
                self.stdout.flush()
            supervisor.run()


def prepare() -> list[str]:
    """Migrates the database where it has to be; returns the lines to print at the start."""
    quiet_terminal()
    migrate_if_needed()
    lines = first_run.prepare()
    connections.close_all()
    return lines


def migrate_if_needed() -> None:
    """Migrates a database without the tables, constraints or search indexes of this version."""
    # The command loads all migrations and writes all permissions, also where nothing is left to do.
    if health.check_database() != health.OK or constraints.missing() or index.missing(connection):
        call_command("migrate", interactive=False, verbosity=0)


def boxed(lines: list[str]) -> list[str]:
    """Draws a box around the lines, for a terminal; the last thing that a start prints there."""
    width = max(map(len, lines))
    edge = "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * (width + 2)
    side = "\N{BOX DRAWINGS LIGHT VERTICAL}"
    return [f"┌{edge}┐", *(f"{side} {line:{width}} {side}" for line in lines), f"└{edge}┘"]


def _is_healthy(port: int) -> bool:
    """Whether /healthz returns 200: migrations, owner, Redis and a worker are ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
