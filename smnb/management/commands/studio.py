"""`manage.py studio`: everything `make run` runs, in one foreground process."""

from __future__ import annotations

import http.client
import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from smnb.runner import first_run
from smnb.runner.first_run import AlreadyRunning, only_studio, port_is_free, port_taken_sentence
from smnb.runner.process import ChildSpec, redis_child, say, studio_children
from smnb.runner.redis_server import EmbeddedRedis, NoRedis
from smnb.runner.supervisor import GaveUp, Stopped, Supervisor

READY_WITHIN = 60.0


class PortTaken(Exception):
    """Its text is one sentence for the person at the terminal."""


class Command(BaseCommand):
    help = "Run the whole studio: web, workers, sweeper and, without REDIS_URL, a Redis."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        os.chdir(settings.BASE_DIR)
        try:
            with only_studio(settings.SMNB.data_dir):
                self._run()
        except Stopped:
            say("Stopped.")
        except (AlreadyRunning, PortTaken, NoRedis, GaveUp) as error:
            say(str(error))
            sys.exit(1)

    def _run(self) -> None:
        port: int = settings.SMNB.port
        if not port_is_free("127.0.0.1", port):
            raise PortTaken(port_taken_sentence(port))
        children = studio_children(port, settings.SMNB.host_slots)
        with ExitStack() as cleanup:
            if not settings.SMNB.redis_url:
                children.insert(0, self._redis(settings.SMNB.data_dir, cleanup))
            supervisor = cleanup.enter_context(Supervisor(children))
            if not settings.SMNB.redis_url:
                supervisor.start_first("redis")
            lines = self._prepare()
            say("Starting web, workers and sweeper ...")
            supervisor.start()
            self._announce(supervisor.run(lambda: _answers(port), READY_WITHIN), lines)
            supervisor.run()

    def _redis(self, data_dir: Path, cleanup: ExitStack) -> ChildSpec:
        server = EmbeddedRedis(data_dir)
        server.prepare()
        cleanup.callback(server.remove)
        return redis_child(server)

    def _prepare(self) -> list[str]:
        """Database and first run, in this process; leaves no connection open behind it."""
        say("Preparing the database ...")
        call_command("migrate", interactive=False, verbosity=0)
        lines = first_run.prepare().lines
        connections.close_all()
        return list(lines)

    def _announce(self, ready: bool, lines: list[str]) -> None:
        if not ready:
            say(f"Not ready after {READY_WITHIN:g} s; it goes on trying. See the lines above.")
        with suppress(OSError):
            self.stdout.write("\n".join(lines))
            self.stdout.flush()


def _answers(port: int) -> bool:
    """Whether /healthz says 200: migrations, owner, Redis and a worker are ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
