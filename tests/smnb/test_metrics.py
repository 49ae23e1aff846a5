"""The figures for Prometheus: who may read them, and that each is that of the rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from broadcast.models import Broadcast
from sessions_app.background import isolation, steps, sweeper
from sessions_app.models import AuditReport, Session, Step, Tally
from sessions_app.realtime import hub
from smnb.env import ROOT
from tests.conftest import run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(**headers: str) -> Samples:
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float:
    return read()[f"smnb_{name}", tuple(sorted(labels.items()))]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_only_this_machine_or_the_token_may_read(name: str, settings: Any) -> None:
    def status(address: str = "127.0.0.1", **headers: str) -> int:
        return Client(REMOTE_ADDR=address).get("/metrics", headers=headers).status_code

    assert (status(), status("::1"), status("192.0.2.7"), status("")) == (200, 200, 404, 404)
    # What a proxy on this machine passes on comes from elsewhere.
    assert status(**{name: "192.0.2.7"}) == 404
    assert status("192.0.2.7", Authorization="Bearer ") == 404
    token = {"metrics_token": SecretStr("a-token-of-the-scraper")}
    settings.SMNB = settings.SMNB.model_copy(update=token)
    assert status("192.0.2.7", Authorization="Bearer a-token-of-the-scraper") == 200
    assert status("192.0.2.7", Authorization="Bearer another") == 404
    assert Client().post("/metrics").status_code == 405


@pytest.mark.databases
def test_the_figures_are_those_of_the_rows(
    session: Session, go_live: Callable[[Session], Any]
) -> None:
    assert value("sessions_created_last_hour") == 1
    Session.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    assert value("sessions_created_last_hour") == 0
    run = go_live(session)
    due = steps.now() - timedelta(seconds=90)
    Step.objects.filter(session=session, kind="poll").update(due_at=due)
    assert value("steps", kind="poll", state="pending") == 1
    assert 90 <= value("queue_age_seconds", queue="producer") < 200
    assert value("queue_age_seconds", queue="drafting") == 0
    assert value("lease_age_seconds") == 0
    until = steps.now() + steps.LEASE - timedelta(seconds=12)
    Step.objects.filter(session=session, kind="poll").update(state="leased", lease_until=until)
    assert value("steps", kind="poll", state="leased") == 1
    assert 12 <= value("lease_age_seconds") < 100
    assert value("runs", state="starting") == 1
    with pytest.raises(KeyError):
        value("runs_on_hold", reason="budget")
    Broadcast.objects.update(hold={"code": "budget", "sentence": "", "until": None})
    assert value("runs_on_hold", reason="budget") == 1
    assert value("sessions_completed_last_hour") == 0
    Broadcast.objects.filter(pk=run.pk).update(stopped_at=timezone.now())
    assert value("sessions_completed_last_hour") == 1


@pytest.mark.databases
def test_stories_and_model_calls_are_counted(session: Session, go_live: Any) -> None:
    go_live(session)
    run_due_steps(session, most=12)
    session.stats.refresh_from_db()
    assert value("stories_total") == session.stats.story_count > 0
    assert value("posts_waiting") == session.stats.queue
    Tally.objects.create(
        session=session,
        dimension="model",
        key="claude-one",
        count=7,
        bounded=2,
        input_tokens=11,
        output_tokens=13,
        cost_lower=1_500_000_000_000,
        cost_upper=2_000_000_000_000,
    )
    assert value("model_calls_total", model="claude-one") == 7
    assert value("model_calls_bounded_total", model="claude-one") == 2
    assert value("model_tokens_total", model="claude-one", direction="output") == 13
    assert value("model_cost_usd_total", model="claude-one", bound="lower") == 1.5
    assert value("model_cost_usd_total", model="claude-one", bound="upper") == 2.0


def test_failures_the_sweeper_and_the_audits_are_seen() -> None:
    for _ in range(2):
        isolation.note("Rule", "unit", None, ValueError())
    assert (value("failed_work"), value("work_set_aside")) == (1, 0)
    isolation.note("Rule", "unit", None, ValueError())
    assert (value("failed_work"), value("work_set_aside")) == (1, 1)
    sweeper.note_round()
    assert 0 <= value("sweeper_lag_seconds") < 60
    at = timezone.now() - timedelta(hours=1)
    AuditReport.objects.create(day=at.date(), started_at=at, finished_at=at, findings=3, audits=9)
    assert value("audit_findings") == 3
    assert 3600 <= value("audit_age_seconds") < 3700


def test_sockets_and_frames_of_this_process_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Viewer:
        anonymous = False

    class Room:
        viewers = (Viewer(), Viewer())

    class Hub:
        rooms = {"session": Room()}
        frames_sent = 5

    monkeypatch.setattr(hub, "_hubs", {"loop": Hub()})
    assert (value("sockets", audience="owner"), value("sockets", audience="public")) == (2, 0)
    assert value("frames_sent_total") == 5


def test_every_alert_of_the_example_is_about_a_figure_that_there_is(
    session: Session, go_live: Any
) -> None:
    """And the docs say what each of them means."""
    go_live(session)
    sweeper.note_round()
    at = timezone.now()
    AuditReport.objects.create(day=at.date(), started_at=at, finished_at=at)
    Tally.objects.create(session=session, dimension="model", key="claude-one", count=1)
    Broadcast.objects.update(hold={"code": "budget", "sentence": "", "until": None})
    names = {name for name, _ in read()}
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) >= 8
    page = (ROOT / "templates" / "docs" / "operations.html").read_text()
    for alert in alerts:
        used = {word for word in words(alert["expr"]) if word.startswith("smnb_")}
        assert used <= names, alert["alert"]
        assert used or "up{" in alert["expr"]
        assert f'id="alert-{alert["alert"]}"' in page, alert["alert"]
        assert alert["annotations"]["runbook_url"].endswith(f"#alert-{alert['alert']}")


def words(expression: str) -> list[str]:
    return "".join(each if each.isalnum() or each == "_" else " " for each in expression).split()
