"""What a stream under way has brought so far, in Redis for an hour; nothing depends on it.

A page that is loaded or reconnected in the middle of a stream shows it. Without Redis nothing is
kept, and the page waits for the next frame, or for the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

import redis
import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

LIFETIME = 3600  # seconds

# Frames that a page gets again when it comes back: by the names of their checkpoints.
_frames: dict[str, str] = {}


def register_frame(name: str, frame_type: str) -> None:
    """Send what is kept under ``name`` as this ephemeral frame to each page that comes back."""
    _frames[name] = frame_type


def save(session_id: UUID, name: str, payload: Mapping[str, Any]) -> None:
    """Keep ``payload``, which is JSON, in the place of what was kept under ``name``."""
    try:
        _redis().set(_key(session_id, name), json.dumps(dict(payload)), ex=LIFETIME)
    except redis.RedisError as error:
        log.warning("checkpoint_not_kept", checkpoint=name, error=type(error).__name__)


def read(session_id: UUID, name: str) -> dict[str, Any] | None:
    """What is kept under ``name``; None when there is nothing."""
    try:
        found = _redis().get(_key(session_id, name))
    except redis.RedisError as error:
        log.warning("checkpoint_not_read", checkpoint=name, error=type(error).__name__)
        return None
    payload = json.loads(found) if isinstance(found, bytes) else None
    return payload if isinstance(payload, dict) else None


def drop(session_id: UUID, name: str) -> None:
    """Forget it: before the result is stored, so that no page shows both."""
    try:
        _redis().delete(_key(session_id, name))
    except redis.RedisError as error:
        log.warning("checkpoint_not_dropped", checkpoint=name, error=type(error).__name__)


def frames(session_id: UUID) -> list[tuple[str, dict[str, Any]]]:
    """The ephemeral frames that bring a page up to the stream: their types and payloads."""
    kept = ((type_, read(session_id, name)) for name, type_ in _frames.items())
    return [(type_, payload) for type_, payload in kept if payload is not None]


def _key(session_id: UUID, name: str) -> str:
    return f"smnb:checkpoint:{session_id}:{name}"


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS.hub, socket_timeout=1, socket_connect_timeout=1)
