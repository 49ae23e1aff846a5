"""System checks: misconfiguration speaks at start-up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections

from sessions_app import integrity


def check_integrity(databases: Iterable[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """smnb.E001: a trigger or constraint that guards the sessions is gone from the live schema."""
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        tables = connections[alias].introspection.table_names()
        if all(model._meta.db_table in tables for model in integrity.session_models()):
            found += [
                checks.Error(
                    f"{name} is missing from the live schema of '{alias}'.",
                    hint="Run manage.py migrate: it restores triggers and constraints.",
                    id="smnb.E001",
                )
                for name in integrity.missing(alias)
            ]
    return found


def check_no_channel_layer(**_: Any) -> list[checks.CheckMessage]:
    """smnb.E002: a channel layer beside the hub would be a second road for live frames."""
    if settings.CHANNEL_LAYERS:
        return [checks.Error("CHANNEL_LAYERS must be empty: the hub delivers.", id="smnb.E002")]
    return []


def register_all() -> None:
    checks.register(check_integrity, checks.Tags.database)
    checks.register(check_no_channel_layer)
