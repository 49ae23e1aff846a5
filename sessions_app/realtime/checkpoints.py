"""Stores the text so far of streams under way, in Redis for an hour.

A page that loads or reconnects in the middle of a stream shows it. Nothing else depends on it: without
Redis nothing is stored, and the page waits for the next frame or for the end of the stream.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog

from sessions_app.events import recorder

log = structlog.get_logger(__name__)

LIFETIME = 3600  # seconds

# The type of the ephemeral frame that shows a checkpoint, by the name of the checkpoint.
_frames: dict[str, str] = {}


def register_frame(name: str, frame_type: str) -> None:
    """Sends what is stored under ``name`` as this ephemeral frame to each page that reconnects."""
    _frames[name] = frame_type


def save(session_id: UUID, name: str, payload: Mapping[str, object]) -> None:
    """Stores ``payload``, which is JSON, under ``name`` in place of the earlier one."""
    from redis import RedisError

    # It expires, so that Redis forgets a stream whose worker died.
    try:
        recorder.redis_client().set(_key(session_id, name), json.dumps(dict(payload)), ex=LIFETIME)
    except RedisError as error:
        log.warning("checkpoint_not_kept", checkpoint=name, error=type(error).__name__)


def read(session_id: UUID, name: str) -> dict[str, Any] | None:
    """Returns what is stored under ``name``, or None."""
    from redis import RedisError

    try:
        value = recorder.redis_client().get(_key(session_id, name))
    except RedisError as error:
        log.warning("checkpoint_not_read", checkpoint=name, error=type(error).__name__)
        return None
    payload = json.loads(value) if isinstance(value, bytes) else None
    return payload if isinstance(payload, dict) else None


def drop(session_id: UUID, name: str) -> None:
    """Deletes a checkpoint; called before the result is stored, so that no page shows both."""
    from redis import RedisError

    try:
        recorder.redis_client().delete(_key(session_id, name))
    except RedisError as error:
        log.warning("checkpoint_not_dropped", checkpoint=name, error=type(error).__name__)


def frames(session_id: UUID) -> list[tuple[str, Mapping[str, Any]]]:
    """Returns the types and payloads of the ephemeral frames that show the streams under way."""
    payloads = ((type_, read(session_id, name)) for name, type_ in _frames.items())
    return [(type_, payload) for type_, payload in payloads if payload is not None]


def _key(session_id: UUID, name: str) -> str:
    return f"smnb:checkpoint:{session_id}:{name}"
