"""Runs all audits once a day in the sweeper, and stores the result for the health page and the admin."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta
from threading import Thread

import structlog
from django.db import close_old_connections, connection
from django.utils import timezone

from sessions_app import audits, context
from sessions_app.audits import Finding
from sessions_app.background import isolation, retention, sweeper
from sessions_app.models import AuditReport, Workspace

log = structlog.get_logger(__name__)

HOUR = 2  # UTC; the audits run at the first opportunity after it
SETTLED = 300.0  # seconds after its start in which a studio does more urgent things
LOOK_EVERY = 60.0  # seconds
LOST = timedelta(hours=3)  # after which a run without an end is repeated
PAUSE = 30.0  # seconds before what was found is looked at again
MOST_DETAILS = 100
KEPT_FOR = timedelta(days=365)


class Daily:
    """A round of the sweeper that runs the audits in a thread of its own, once a day."""

    def __init__(self) -> None:
        self._due = float("-inf")
        self._thread: Thread | None = None

    def __call__(self, up: float) -> None:
        # A single round, as tests and "manage.py sweep" run it, would not live until the end.
        if not SETTLED <= up < math.inf or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LOOK_EVERY
        if self._thread is not None and self._thread.is_alive():
            return
        report = claim(timezone.now())
        if report is not None:
            # A daemon, so that a sweeper which is stopped does not wait for it.
            self._thread = Thread(target=run_and_close, args=(report,), name="audit", daemon=True)
            self._thread.start()


def claim(now: datetime) -> AuditReport | None:
    """Returns the report of today for the one caller who shall run its audits now, else None."""
    if now.hour < HOUR:
        return None
    # The day is unique, so of several sweepers one creates the row.
    report, created = AuditReport.objects.get_or_create(
        day=now.date(), defaults={"started_at": now}
    )
    if created:
        return report
    # The sweeper that began this audit may have died; by its start, one other takes the audit over.
    lost = AuditReport.objects.filter(
        pk=report.pk, finished_at=None, started_at=report.started_at, started_at__lt=now - LOST
    )
    return report if lost.update(started_at=now) else None


def found_twice(only: str = "", pause: float = PAUSE) -> list[Finding]:
    """Runs all audits, or the one named, and returns what they find twice.

    An audit reads one table after another, so a change meanwhile can look like a fault. What is
    found is therefore looked for again after ``pause`` seconds.
    """
    findings = list(audits.run(only))
    if not findings:
        return []
    time.sleep(pause)
    first = {(finding.audit, finding.session) for finding in findings}
    again = [each for name in sorted({name for name, _ in first}) for each in audits.run(name)]
    return [each for each in again if (each.audit, each.session) in first]


def run(report: AuditReport, pause: float = PAUSE) -> None:
    """Runs all audits and stores what they find twice."""
    names, findings = audits.names(), found_twice(pause=pause)
    for finding in findings[:MOST_DETAILS]:
        log.error(
            "audit_finding", audit=finding.audit, about=finding.session, detail=finding.detail
        )
    AuditReport.objects.filter(pk=report.pk).update(
        finished_at=timezone.now(),
        audits=len(names),
        findings=len(findings),
        details=[
            f"{each.audit}: {each.session or 'all'}: {each.detail}"
            for each in findings[:MOST_DETAILS]
        ],
    )


def run_and_close(report: AuditReport) -> None:
    close_old_connections()
    try:
        with (
            context.scope(environment="worker", operation="audit", process="sweeper"),
            # The report of an audit that fails stays without an end, and is repeated after a while.
            isolation.isolated("Daily audits", report.day),
        ):
            run(report)
    finally:
        connection.close()


def latest() -> AuditReport | None:
    """Returns the newest finished report."""
    return AuditReport.objects.exclude(finished_at=None).order_by("-day").first()


def delete_old(_settings: Workspace, now: datetime) -> int:
    """Deletes reports that are older than a year."""
    return retention.delete_chunk(AuditReport.objects.filter(started_at__lt=now - KEPT_FOR))


def register() -> None:
    sweeper.register(Daily())
    retention.register(delete_old)
