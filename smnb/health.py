"""Health: each component with its state, for /healthz and /api/health."""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import KombuError

from sessions_app import constraints
from sessions_app.ai_chain import status
from smnb.celery import app

OK, DOWN, DEGRADED = "ok", "down", "degraded"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(plan)} migrations are to be applied" if plan else OK


def _guards() -> str:
    missing = constraints.missing()
    return f"{len(missing)} database guards are missing; run migrate" if missing else OK


def _owner() -> str:
    exists = get_user_model().objects.filter(is_active=True).exists()
    return OK if exists else "nobody can sign in yet"


def _redis() -> str:
    client = redis.Redis.from_url(settings.REDIS.hub, socket_timeout=1, socket_connect_timeout=1)
    with client:
        return OK if client.ping() else "no answer"


def _workers() -> str:
    found = app.control.ping(timeout=1.0, limit=1)
    return OK if found else "no worker answers"


COMPONENTS = {
    "database": _migrations,
    "guards": _guards,
    "owner": _owner,
    "redis": _redis,
    "workers": _workers,
}


def components() -> dict[str, Any]:
    """``{"status": "ok"|"degraded", "components": {name: {"state", "detail"}}}``.

    A chain that is out of sync is told as a degraded component, but it makes nothing unready: the
    session's next operation puts it right.
    """
    found = {name: _ask(function) for name, function in COMPONENTS.items()}
    ready = all(each["state"] == OK for each in found.values())
    return {"status": OK if ready else DEGRADED, "components": {**found, "chain": _chains()}}


def _ask(function: Any) -> dict[str, str]:
    try:
        answer = function()
    except (DatabaseError, redis.RedisError, KombuError, OSError) as error:
        answer = _unreachable(error)
    return {"state": OK if answer == OK else DOWN, "detail": "" if answer == OK else answer}


def _unreachable(error: Exception) -> str:
    return f"not reachable ({type(error).__name__})"


def _chains() -> dict[str, str]:
    """Whether the AI chains are in order, with the rate in per cent."""
    try:
        synced, chains = status.synced_counts()
    except DatabaseError as error:
        return {"state": DOWN, "detail": _unreachable(error)}
    state = OK if synced == chains else DEGRADED
    return {"state": state, "detail": status.summary(synced, chains)}
