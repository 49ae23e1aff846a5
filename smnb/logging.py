"""Structured log lines: on stderr, and those of a session in its own files too.

Session, run, step and who asked stand in each through one ContextVar. Every line has an id, by which
it is found again.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

from sessions_app import context
from sessions_app.context import add_context
from sessions_app.session_logs import redaction, writer

log = structlog.get_logger(__name__)

TELL_EVERY_S = 60
LONGEST = 16_000  # characters of a text in a line
ENVIRONMENTS = ("browser", "server", "worker", "command", "agent")
_FIRST = ("id", "timestamp", "level", "logger", "event")


def add_id(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """structlog processor: the line's id, the same for every handler."""
    record = event.get("_record")
    event.setdefault("id", context.new_id() if record is None else _id_of(record))
    return event


def _id_of(record: logging.LogRecord) -> str:
    """Each handler sees a copy of a foreign record, so its id follows from what it is."""
    marks = (record.created, record.name, record.lineno, record.thread, record.process)
    return f"{int(record.created * 1e6):013x}{hash(marks) & 0xFFFFFFF:07x}"


def hide_inner(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """structlog processor: what begins with ``_`` is for handlers, not for readers."""
    return {key: value for key, value in event.items() if not key.startswith("_")}


SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    add_context,
    add_id,
]


class NotReady(logging.Filter):
    """Keeps the answers of /healthz out of the log: whoever asks is told there."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "/healthz" not in record.getMessage()


class SessionFiles(logging.Handler):
    """The router: writes each line of a session to the file of its environment.

    Whatever goes wrong with a file costs the line and nothing else; stderr has it too, and is told
    of what went wrong once a minute.
    """

    told = -math.inf

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = _event_of(record)
            folder = event.get("_folder")
            if folder:
                kind = event.get("environment", "server")
                line = redaction.redact(_json(event)).encode("utf-8", "replace") + b"\n"
                writer.append(str(folder), writer.LOGS, str(kind), line)
        except (OSError, TypeError, ValueError) as error:
            self._tell(type(error).__name__)

    def _tell(self, kind: str) -> None:
        now = time.monotonic()
        if now - self.told > TELL_EVERY_S:
            self.told = now
            with context.scope():  # of no session, or the line would come this way
                log.warning("log_file_failed", error=kind)


def _event_of(record: logging.LogRecord) -> MutableMapping[str, Any]:
    """The line as fields; what comes from the standard library goes the way of our own lines."""
    if isinstance(record.msg, dict):
        return dict(record.msg)
    event: MutableMapping[str, Any] = {"event": record.getMessage(), "_record": record}
    if record.exc_info:
        event["exc_info"] = record.exc_info
    for processor in SHARED:
        event = processor(None, record.levelname.lower(), event)
    return event


def _json(event: MutableMapping[str, Any]) -> str:
    event = structlog.processors.format_exc_info(None, "", hide_inner(None, "", event))
    first = {name: event[name] for name in _FIRST if name in event}
    whole = {key: _short(value) for key, value in {**first, **event}.items()}
    return json.dumps(whole, default=str, ensure_ascii=False, separators=(",", ":"))


def _short(value: Any) -> Any:
    """The end of a traceback says most, its beginning the rest."""
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[: LONGEST // 4]} […] {value[-LONGEST * 3 // 4 :]}"
    return value


def logging_config() -> dict[str, Any]:
    """The dictConfig that web, workers, sweeper and commands all use."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": SHARED,
                "processors": [
                    hide_inner,
                    structlog.processors.format_exc_info,
                    structlog.processors.LogfmtRenderer(
                        key_order=["timestamp", "level", "logger", "event"], bool_as_flag=False
                    ),
                ],
            }
        },
        "filters": {"not_ready": {"()": "smnb.logging.NotReady"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["not_ready"],
            },
            "session": {"class": "smnb.logging.SessionFiles"},
        },
        "root": {"handlers": ["stderr", "session"], "level": "INFO"},
        "loggers": {
            name: {"level": "WARNING"}
            for name in (
                "axes",
                "daphne",
                "celery",
                "kombu",
                "httpx2",
                "httpcore2",
                "prawcore",
                "asyncio",
            )
        },
    }
