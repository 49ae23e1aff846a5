"""Health of the installation: the state of each component, for /healthz and /api/health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import audit_reports, constraints
from sessions_app.ai_chain import status
from sessions_app.background import isolation, steps
from smnb.runner.supervisor import STATUS_FILE, read_status, sentence_of_down

OK, DOWN, DEGRADED = "ok", "down", "degraded"
MOST_SHOWN = 3
LATE_AUDITS = timedelta(hours=48)


class ComponentHealth(TypedDict):
    """The state of one component."""

    state: Annotated[str, Field(description="ok, degraded or down.")]
    detail: Annotated[str, Field(description="What is wrong; empty when the state is ok.")]


class HealthReport(TypedDict):
    """The state of the installation."""

    status: Annotated[
        str, Field(description="ok when all components that requests need are ok, else degraded.")
    ]
    components: Annotated[
        dict[str, ComponentHealth], Field(description="The state of each component by its name.")
    ]


@cache
def known_migrations() -> frozenset[tuple[str, str]]:
    """Returns the app and name of each migration of this version, without loading them."""
    folders = [(app.label, str(Path(app.path) / "migrations")) for app in apps.get_app_configs()]
    return frozenset(
        (label, module.name) for label, path in folders for module in iter_modules([path])
    )


def check_database() -> str:
    # Reads the table of migrations, so it also shows whether the database answers.
    missing = known_migrations() - MigrationRecorder(connection).applied_migrations().keys()
    return f"{len(missing)} migrations are not applied; run migrate" if missing else OK


def check_guards() -> str:
    missing = constraints.missing()
    return f"{len(missing)} database constraints are missing; run migrate" if missing else OK


def check_owner() -> str:
    exists = get_user_model().objects.filter(is_active=True).exists()
    return OK if exists else "there is no active user"


def check_redis() -> str:
    import redis

    client = redis.Redis.from_url(settings.REDIS.hub, socket_timeout=1, socket_connect_timeout=1)
    with client:
        return OK if client.ping() else "no reply"


def check_workers() -> str:
    """Whether each queue has a worker that replies."""
    from smnb.celery import app

    queues, read = steps.queues(), set[str]()
    # The studio has two workers, so two replies usually suffice and nothing waits for a third. Shortly
    # at first, as a worker that is starting replies only to what is asked after that.
    for timeout, limit in ((0.3, 2), (1.0, 2), (1.0, None)):
        replies = app.control.inspect(timeout=timeout, limit=limit).active_queues() or {}
        read |= {queue["name"] for found in replies.values() for queue in found}
        # Fewer than two replies are all that arrived within the timeout.
        if queues <= read or (timeout == 1.0 and len(replies) < 2):
            break
    missing = ", ".join(sorted(queues - read))
    return f"no worker replies for: {missing}" if missing else OK


def processes_down() -> list[str] | None:
    """Returns a sentence for each process of ``make run`` that is down; None without its supervisor."""
    down = read_status(settings.SMNB.data_dir / STATUS_FILE)
    if down is None:
        return None
    return [sentence_of_down(name, each) for name, each in sorted(down.items())]


def check_processes() -> str:
    return " ".join(processes_down() or ()) or OK


# Each returns OK or what is wrong. Requests need all of them.
COMPONENTS: dict[str, Callable[[], str]] = {
    "database": check_database,
    "guards": check_guards,
    "owner": check_owner,
    "redis": check_redis,
    "workers": check_workers,
    "processes": check_processes,
}


def components() -> HealthReport:
    """Checks all components.

    An AI chain that is out of sync is a degraded component, but the status stays ok: the session's
    next operation repairs it. So are work that was set aside and findings of the daily audits, because
    everything else continues.
    """
    # Imported here, as every process loads this module, and few ever check anything.
    from kombu.exceptions import KombuError
    from redis import RedisError

    report: dict[str, ComponentHealth] = {}
    for name, check in COMPONENTS.items():
        try:
            problem = check()
        # One component that is down must not hide the state of the others.
        except (DatabaseError, RedisError, KombuError, OSError) as error:
            problem = _unreachable(error)
        report[name] = (
            {"state": OK, "detail": ""} if problem == OK else {"state": DOWN, "detail": problem}
        )
    ready = all(component["state"] == OK for component in report.values())
    try:
        synced, chains = status.synced_counts()
    except DatabaseError as error:
        report["chain"] = {"state": DOWN, "detail": _unreachable(error)}
    else:
        state = OK if synced == chains else DEGRADED
        report["chain"] = {"state": state, "detail": status.summary(synced, chains)}
    report["work"] = _work()
    report["audits"] = _audits()
    return {"status": OK if ready else DEGRADED, "components": report}


def _work() -> ComponentHealth:
    """Counts what is set aside because it keeps failing; everything else continues without it."""
    try:
        rows = list(isolation.set_aside().order_by("-pk")[:MOST_SHOWN])
        number = isolation.set_aside().count()
    except DatabaseError as error:
        return {"state": DOWN, "detail": _unreachable(error)}
    if not number:
        return {"state": OK, "detail": "nothing is set aside"}
    sentences = " ".join(row.sentence for row in rows)
    return {"state": DEGRADED, "detail": f"{number} set aside. {sentences}"}


def _audits() -> ComponentHealth:
    """Returns the result of the latest daily audits; findings stop nothing else."""
    try:
        latest = audit_reports.latest()
    except DatabaseError as error:
        return {"state": DOWN, "detail": _unreachable(error)}
    if latest is None:
        return {"state": OK, "detail": "the first daily audits are still to come"}
    late = timezone.now() - latest.started_at > LATE_AUDITS
    detail = f"{latest.sentence} They are late." if late else latest.sentence
    return {"state": DEGRADED if latest.findings or late else OK, "detail": detail}


def _unreachable(error: Exception) -> str:
    # Only the type: the message may contain an address or a password.
    return f"not reachable ({type(error).__name__})"


def down(request: HttpRequest) -> Mapping[str, object]:
    """Template context: ``down``, what is down, for signed-in users."""
    return {"down": processes_down() if request.user.is_authenticated else None}
