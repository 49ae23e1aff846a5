"""Stores errors that a page reports from its browser: as a log line, and in full in devtools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import structlog
from django import forms
from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app import context, rate_limits
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.session_logs import redaction, writer

log = structlog.get_logger("browser")

FILE, AUDIENCE_FILE = "browser-errors", "audience-errors"
A_MINUTE = 60  # reports of one user
# Reports from the audience of a session. A day of them fits the smallest SMNB_LOG_FILE_MB.
AUDIENCE_A_MINUTE = 10
AUDIENCE_A_DAY = 250
DAY = 86_400  # seconds
MARGIN = 500
# The level of each kind: errors of our code, and warnings for what the network or a policy refused.
KINDS = {
    "error": "error",
    "rejection": "error",
    "resource": "warning",
    "policy": "warning",
    "request": "warning",
}


def report(session: Session, user: User, fields: Mapping[str, object]) -> str:
    """Stores a report (see the forms below); returns the id of its line. Raises TooMany."""
    rate_limits.count("browser errors", user.pk, A_MINUTE)
    details = {name: value for name, value in fields.items() if value not in ("", None)}
    # The line belongs to the request that failed, so the log shows both together.
    request = {"request": str(details["asked"])} if "asked" in details else {}
    shown = {name: value for name, value in details.items() if name != "asked"}
    return _store(session, details, shown, FILE, **request)


def count_from_audience(session: Session) -> None:
    """Counts a report from a public page, before anything of it is read. Raises TooMany."""
    # Per session and not per address: anyone may read a public page through many addresses.
    rate_limits.count("audience's browser errors", session.pk, AUDIENCE_A_MINUTE)
    rate_limits.count("audience's browser errors", session.pk, AUDIENCE_A_DAY, DAY)


def report_from_audience(session: Session, fields: Mapping[str, object]) -> str:
    """Stores a report from a public page, marked as such.

    Anyone can send it, so its line names the request but is not filed under it.
    """
    details = {name: value for name, value in fields.items() if value not in ("", None)}
    details["told_by"] = "audience"
    return _store(session, details, details, AUDIENCE_FILE)


def _store(
    session: Session,
    details: Mapping[str, object],
    shown: Mapping[str, object],
    file: str,
    **fields: str,
) -> str:
    """Logs a line with the fields ``shown``, and appends all details to a file of the devtools."""
    line_id, kind = context.new_id(), str(details["kind"])
    short = {name: shown[name] for name in shown.keys() - {"stack", "agent"}}
    with context.span(kind, **context.session_fields(session), environment="browser", **fields):
        getattr(log, KINDS[kind])("browser_error", id=line_id, **short)
    whole = {"id": line_id, "timestamp": recorder.timestamp(timezone.now()), **details}
    line = redaction.redact(json.dumps(whole, ensure_ascii=False, separators=(",", ":")))
    try:
        writer.append(session.folder, writer.DEVTOOLS, file, line.encode() + b"\n")
    except OSError as error:
        log.warning("devtools_not_kept", error=type(error).__name__)
    return line_id


class BrowserErrorForm(forms.Form):
    """One error as static/js/errors.js reports it; ``asked`` is the id of the failed request."""

    kind = forms.ChoiceField(choices=[(name, name) for name in KINDS])
    message = forms.CharField(max_length=500)
    source = forms.CharField(max_length=300, required=False)
    line = forms.IntegerField(min_value=0, max_value=10**9, required=False)
    column = forms.IntegerField(min_value=0, max_value=10**9, required=False)
    stack = forms.CharField(max_length=4000, required=False)
    page = forms.CharField(max_length=300, required=False)
    status = forms.IntegerField(min_value=0, max_value=999, required=False)
    asked = forms.RegexField(r"^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$", required=False)

    def report(self, agent: str) -> Mapping[str, object]:
        """Returns the fields of the report, with the browser's User-Agent."""
        return {**self.cleaned_data, "agent": agent[:300]}


class CutField(forms.CharField):
    """Untrusted text: cut to a length, printable, and redacted."""

    def __init__(self, limit: int, *, lines: bool = False, required: bool = False) -> None:
        super().__init__(required=required)
        self._limit, self._allowed = limit, "\n" if lines else ""

    def to_python(self, value: Any) -> str:
        # Cut before it is redacted, as anyone may send it; with a margin, so that a secret at the end
        # is still recognized.
        text = redaction.redact((super().to_python(value) or "")[: self._limit + MARGIN])
        # Some terminals that show the log would obey control characters.
        plain = (char if char.isprintable() or char in self._allowed else " " for char in text)
        return "".join(plain)[: self._limit].strip()


class AudienceErrorForm(BrowserErrorForm):
    """A report from a public page; text that is too long is cut instead of refused."""

    message = CutField(300, required=True)
    source = CutField(200)
    stack = CutField(2000, lines=True)
    page = CutField(200)

    def report(self, agent: str) -> Mapping[str, object]:
        return super().report(CutField(200).clean(agent))
