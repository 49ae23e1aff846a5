"""What goes wrong in a browser: told by the page, kept as a line and in the session's devtools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app import context, events, limits, logfiles, redaction
from sessions_app.models import Session

log = structlog.get_logger("browser")

FILE = "browser-errors"
A_MINUTE = 60  # reports of one person
# What is broken in our code, and what the network or a policy refused.
KINDS = {
    "error": "error", "rejection": "error", "resource": "warning", "policy": "warning",
    "request": "warning",
}  # fmt: skip


def report(session: Session, user: User, found: Mapping[str, Any]) -> str:
    """Keep a report (see forms); returns the id of its line. Raises TooMany."""
    limits.count("browser errors", user.pk, A_MINUTE)
    id_ = context.new_id()
    told = {name: value for name, value in found.items() if value not in ("", None)}
    shown = {name: told[name] for name in told.keys() - {"stack", "agent", "asked"}}
    with context.frame(told["kind"], environment="browser"):
        if "asked" in told:
            context.bind(request=told["asked"])
        getattr(log, KINDS[told["kind"]])("browser_error", id=id_, **shown)
    whole = {"id": id_, "timestamp": events.stamp(timezone.now()), **told}
    line = redaction.clean(json.dumps(whole, ensure_ascii=False, separators=(",", ":")))
    try:
        logfiles.append(session.folder, logfiles.DEVTOOLS, FILE, line.encode() + b"\n")
    except OSError as error:
        log.warning("devtools_not_kept", error=type(error).__name__)
    return id_
