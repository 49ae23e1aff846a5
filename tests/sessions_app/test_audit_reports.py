"""The daily audits: run by one sweeper a day, and their result where the operator sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from sessions_app import audit_reports, audits
from sessions_app.audit_reports import Daily
from sessions_app.models import AuditReport, Session, SessionStats, Workspace
from smnb import health

pytestmark = pytest.mark.django_db(transaction=True)

NIGHT = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)


@pytest.mark.databases
def test_one_caller_a_day_runs_the_audits() -> None:
    assert audit_reports.claim(NIGHT - timedelta(minutes=1)) is None
    assert audit_reports.claim(NIGHT) is not None
    assert audit_reports.claim(NIGHT + timedelta(hours=1)) is None
    # Its process died: the report has no end, and is taken over after three hours.
    assert audit_reports.claim(NIGHT + timedelta(hours=3, minutes=1)) is not None
    assert audit_reports.claim(NIGHT + timedelta(hours=3, minutes=2)) is None
    audit_reports.run(AuditReport.objects.get(), pause=0)
    assert audit_reports.claim(NIGHT + timedelta(hours=20)) is None
    assert audit_reports.claim(NIGHT + timedelta(days=1)) is not None


def test_findings_are_stored_and_seen(
    session: Session, editor: User, client_of: Callable[[User], Client]
) -> None:
    def report() -> AuditReport:
        AuditReport.objects.all().delete()
        claimed = AuditReport.objects.create(day=timezone.now().date(), started_at=timezone.now())
        audit_reports.run(claimed, pause=0)
        return AuditReport.objects.get()

    assert health._audits() == {"state": "ok", "detail": "the first daily audits are still to come"}
    clean = report()
    assert (clean.findings, clean.details) == (0, [])
    assert health._audits()["state"] == "ok"
    SessionStats.objects.filter(session=session).update(messages=5)
    damaged = report()
    detail = f"counters: {session.pk}: messages: 5 counted, 0 there"
    assert (damaged.findings, damaged.details[0]) == (3, detail)
    seen = health._audits()
    assert (seen["state"], seen["detail"][:13]) == ("degraded", "3 findings in")
    page = client_of(editor).get(f"/admin/sessions_app/auditreport/{damaged.pk}/change/")
    assert detail in page.content.decode()
    AuditReport.objects.update(findings=0, started_at=timezone.now() - timedelta(hours=49))
    assert (health._audits()["state"], health._audits()["detail"][-14:]) == (
        "degraded",
        "They are late.",
    )


def test_what_only_a_change_meanwhile_looked_like_is_no_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([[("", "a row is missing")], []])
    monkeypatch.setattr(audits, "_audits", {"rows": lambda: iter(next(answers))})
    report = AuditReport.objects.create(day=NIGHT.date(), started_at=NIGHT)
    audit_reports.run(report, pause=0)
    assert AuditReport.objects.get().findings == 0


def test_an_audit_that_cannot_read_its_rows_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> Iterator[tuple[object, str]]:
        yield from (("", str(1 / each)) for each in (0,))

    monkeypatch.setattr(audits, "_audits", {"a": broken, "b": lambda: iter([("", "found")])})
    assert [each.detail for each in audits.run()] == [
        "the audit ended early: ZeroDivisionError, see the log",
        "found",
    ]


def test_a_sweeper_audits_once_it_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[AuditReport] = []
    monkeypatch.setattr(audit_reports, "run_and_close", ran.append)
    monkeypatch.setattr(audit_reports, "HOUR", 0)
    daily = Daily()
    daily(float("inf"))
    daily(10.0)
    assert not AuditReport.objects.exists()
    daily(301.0)
    assert daily._thread is not None
    daily._thread.join()
    assert [report.day for report in ran] == [timezone.now().date()]
    # Another sweeper of the same day finds the report.
    other = Daily()
    other(301.0)
    assert other._thread is None


def test_old_reports_are_deleted() -> None:
    for days in (364, 366):
        at = timezone.now() - timedelta(days=days)
        AuditReport.objects.create(day=at.date(), started_at=at)
    assert audit_reports.delete_old(Workspace(), timezone.now()) == 1
    assert AuditReport.objects.count() == 1
