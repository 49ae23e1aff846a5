"""Structured log lines: all on stderr, and those of a session also in the session's files.

The fields of the context, such as session, run and step, are added to each line. Every line has an
id by which it can be found.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from functools import cache
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

from sessions_app import context
from sessions_app.context import add_context
from sessions_app.session_logs import redaction, writer

log = structlog.get_logger(__name__)

WARN_EVERY_S = 60
MAX_TEXT = 16_000  # characters of one field
# Also the start of Redis, which it reports at every level, with a hint for large installations, and
# addresses that clients have made up.
_ONLY_INFORMS = re.compile(
    r" level=(?:debug|info) |logger=django\.request event=\"Not Found: "
    r"|^redis +\| \d+:[CM] (?!.*(?:[Ff]atal|[Ee]rror|[Cc]an't|[Ff]ailed to))"
    r"|^redis +\| .*overcommit"
)
_FIRST = ("id", "timestamp", "level", "logger", "event")


def add_id(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """structlog processor: adds the line's id, which is the same for every handler."""
    record = event.get("_record")
    if record is None:
        line_id = context.new_id()
    else:
        # Each handler gets its own copy of a record of the standard library, so its id is derived
        # from fields that the copies share.
        marks = (record.created, record.name, record.lineno, record.thread, record.process)
        line_id = f"{int(record.created * 1e6):013x}{hash(marks) & 0xFFFFFFF:07x}"
    event.setdefault("id", line_id)
    return event


def hide_inner(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """structlog processor: removes the fields beginning with ``_``, which are for handlers only."""
    return {key: value for key, value in event.items() if not key.startswith("_")}


def harmless(_logger: object, _name: str, line: str) -> str:
    """structlog processor: hides secrets in a line, and shows characters that a terminal would obey."""
    if not line.isprintable():
        line = "".join(
            char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in line
        )
    return redaction.redact(line)


def shorten_refusals(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """structlog processor: a request that Django refuses, e.g. for its host, is no error of ours."""
    if str(event.get("logger", "")).startswith("django.security."):
        # Anyone can cause it, so it is a line without a traceback.
        event.pop("exc_info", None)
        event["level"] = "warning"
    return event


SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    shorten_refusals,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    add_context,
    add_id,
]


class NotReady(logging.Filter):
    """Drops records about /healthz, whose response already says what is wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "/healthz" not in record.getMessage()


class SessionFiles(logging.Handler):
    """Writes each line of a session to the session's file for its environment.

    When a file cannot be written, only that line of the file is lost; stderr has it too, and a
    warning about it once a minute.
    """

    # For the first warning, however short the machine has been up.
    warned_at = -math.inf

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = _event_of(record)
            folder = event.get("_folder")
            if folder:
                environment = event.get("environment", "server")
                line = redaction.redact(_json(event)).encode("utf-8", "replace") + b"\n"
                writer.append(str(folder), writer.LOGS, str(environment), line)
        except (OSError, TypeError, ValueError) as error:
            now = time.monotonic()
            if now - self.warned_at > WARN_EVERY_S:
                self.warned_at = now
                # Without a session in its context the warning does not come back to this handler.
                with context.scope():
                    log.warning("log_file_failed", error=type(error).__name__)


def _event_of(record: logging.LogRecord) -> MutableMapping[str, Any]:
    """Returns a line's fields; a record of the standard library passes our processors first."""
    if isinstance(record.msg, dict):
        return dict(record.msg)
    event: MutableMapping[str, Any] = {"event": record.getMessage(), "_record": record}
    if record.exc_info:
        event["exc_info"] = record.exc_info
    for processor in SHARED:
        event = processor(None, record.levelname.lower(), event)
    return event


def _json(event: MutableMapping[str, Any]) -> str:
    """Serializes a line with its most important fields first, and long texts shortened."""
    event = structlog.processors.format_exc_info(None, "", hide_inner(None, "", event))
    fields = {name: event[name] for name in _FIRST if name in event} | dict(event)
    for name, value in fields.items():
        if isinstance(value, str) and len(value) > MAX_TEXT:
            # The end of a traceback is its most useful part.
            fields[name] = f"{value[: MAX_TEXT // 4]} […] {value[-MAX_TEXT * 3 // 4 :]}"
    return json.dumps(fields, default=str, ensure_ascii=False, separators=(",", ":"))


# Libraries that log much at INFO.
QUIET_LOGGERS = (
    "axes",
    "daphne",
    "celery",
    "kombu",
    "httpx2",
    "httpcore2",
    "prawcore",
    "asyncio",
)


STUDIO_LOG_BYTES = 20_000_000


def studio_log() -> Path:
    """Returns the file with the log of all processes of this studio."""
    return Path(settings.SMNB.data_dir) / "studio.log"


@cache
def _studio_log_file() -> RotatingFileHandler:
    file = RotatingFileHandler(studio_log(), maxBytes=STUDIO_LOG_BYTES, backupCount=1, delay=True)
    # A full disk must not fill the terminal.
    file.handleError = lambda record: None  # type: ignore[method-assign]
    return file


def say(text: str) -> None:
    """Writes a line to stderr; a closed terminal is ignored."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def relay(line: str) -> None:
    """Writes a line of a process to the studio's log file, and to stderr unless it only informs."""
    # A supervisor may also run without Django.
    if not settings.configured:
        say(line)
        return
    _studio_log_file().handle(logging.makeLogRecord({"msg": line}))
    if settings.SMNB.log == "info" or not _ONLY_INFORMS.search(line):
        say(line)


def quiet_terminal() -> None:
    """Sends what this process only informs of to the studio's log file, not to stderr."""
    if settings.SMNB.log == "info":
        return
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler:
            file = RotatingFileHandler(studio_log(), delay=True)
            file.setFormatter(handler.formatter)
            root.addHandler(file)
            handler.setLevel(logging.WARNING)


def logging_config() -> dict[str, object]:
    """Returns the dictConfig that web, workers, sweeper and commands use."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        # Loggers of modules that were imported before this call would otherwise be silent.
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
                    harmless,
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
        "loggers": {name: {"level": "WARNING"} for name in QUIET_LOGGERS},
    }
