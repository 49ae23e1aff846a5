"""Sessions that timers leave alone: the app that goes on air names those that have a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)

_queries: list[Callable[[], QuerySet[Any, Any]]] = []


def spare(sessions: Callable[[], QuerySet[Any, Any]]) -> None:
    """Have timers leave these sessions alone, whose ids the query gives."""
    _queries.append(sessions)


def others(rows: QuerySet[M], field: str = "session") -> QuerySet[M]:
    """``rows`` without those whose ``field`` is a session that is to be left alone."""
    for sessions in _queries:
        rows = rows.exclude(**{f"{field}__in": sessions()})
    return rows
