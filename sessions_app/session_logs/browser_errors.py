"""What goes wrong in a browser: told by the page, kept as a line and in the session's devtools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app import context, rate_limits
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.session_logs import redaction, writer

log = structlog.get_logger("browser")

FILE, AUDIENCE_FILE = "browser-errors", "audience-errors"
A_MINUTE = 60  # reports of one person
# Reports of all who watch a session. A day of them is less than the smallest SMNB_LOG_FILE_MB.
AUDIENCE_A_MINUTE, AUDIENCE_A_DAY, DAY = 10, 250, 86_400
# What is broken in our code, and what the network or a policy refused.
KINDS = {
    "error": "error", "rejection": "error", "resource": "warning", "policy": "warning",
    "request": "warning",
}  # fmt: skip


def report(session: Session, user: User, found: Mapping[str, Any]) -> str:
    """Keep a report (see forms); returns the id of its line. Raises TooMany."""
    rate_limits.count("browser errors", user.pk, A_MINUTE)
    told = _said(found)
    asked = {"request": told["asked"]} if "asked" in told else {}
    shown = {name: each for name, each in told.items() if name != "asked"}
    return _kept(session, told, shown, FILE, **asked)


def report_from_audience(session: Session, found: Mapping[str, Any]) -> str:
    """Keep what a page of the audience reports, marked so; as ``report``, with a share of its own.

    Anybody may have sent it: the request it names is told, but the line does not join that one's.
    """
    rate_limits.count("audience's browser errors", session.pk, AUDIENCE_A_MINUTE)
    rate_limits.count("audience's browser errors", session.pk, AUDIENCE_A_DAY, DAY)
    told = {**_said(found), "told_by": "audience"}
    return _kept(session, told, told, AUDIENCE_FILE)


def _said(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value not in ("", None)}


def _kept(
    session: Session, told: dict[str, Any], shown: dict[str, Any], file: str, **fields: str
) -> str:
    """A line with what is shown, and all that was told in a file of the devtools."""
    id_ = context.new_id()
    short = {name: shown[name] for name in shown.keys() - {"stack", "agent"}}
    with context.span(
        told["kind"], **context.session_fields(session), environment="browser", **fields
    ):
        getattr(log, KINDS[told["kind"]])("browser_error", id=id_, **short)
    whole = {"id": id_, "timestamp": recorder.timestamp(timezone.now()), **told}
    line = redaction.redact(json.dumps(whole, ensure_ascii=False, separators=(",", ":")))
    try:
        writer.append(session.folder, writer.DEVTOOLS, file, line.encode() + b"\n")
    except OSError as error:
        log.warning("devtools_not_kept", error=type(error).__name__)
    return id_
