"""Health: each component with its state, for /healthz and /api/health."""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import KombuError

from sessions_app import integrity
from smnb.celery import app

OK = "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(plan)} migrations are to be applied" if plan else OK


def _guards() -> str:
    missing = integrity.missing()
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
    """``{"status": "ok"|"degraded", "components": {name: {"state", "detail"}}}``."""
    found = {name: _ask(function) for name, function in COMPONENTS.items()}
    healthy = all(each["state"] == OK for each in found.values())
    return {"status": OK if healthy else "degraded", "components": found}


def _ask(function: Any) -> dict[str, str]:
    try:
        answer = function()
    except (DatabaseError, redis.RedisError, KombuError, OSError) as error:
        answer = f"not reachable ({type(error).__name__})"
    return {"state": OK if answer == OK else "down", "detail": "" if answer == OK else answer}
