"""Structured log lines on stderr; session, run and step stand in each through one ContextVar."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from sessions_app.context import add_context

SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    add_context,
]


class NotReady(logging.Filter):
    """Keeps the answers of /healthz out of the log: whoever asks is told there."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "/healthz" not in record.getMessage()


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
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.LogfmtRenderer(
                        key_order=["timestamp", "level", "logger", "event"], bool_as_flag=False
                    ),
                ],
            }
        },
        "filters": {"not_ready": {"()": "smnb.logs.NotReady"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["not_ready"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
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
