"""Health: 200 once everything is ready and never before, with the state of each component."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from sessions_app import api_tokens, constraints
from sessions_app.models import Session
from smnb import health
from smnb.celery import app
from tests.chain_links import join, lose_head
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker answers; that a real one does is shown end to end."""
    monkeypatch.setitem(health.COMPONENTS, "workers", lambda: health.OK)


def ready() -> tuple[int, Any]:
    answer = Client().get("/healthz")
    return answer.status_code, answer.json()


def test_with_everything_there_it_is_200(owner: User, worker: None) -> None:
    status, found = ready()
    assert status == 200
    assert found["status"] == "ok"
    assert set(found) == {
        "status",
        "database",
        "guards",
        "owner",
        "redis",
        "workers",
        "processes",
        "chain",
        "work",
        "audits",
    }


def test_without_an_owner_it_is_not_ready(worker: None) -> None:
    status, found = ready()
    assert (status, found["owner"]) == (503, "down")


def test_without_a_worker_it_is_not_ready(owner: User) -> None:
    status, found = ready()
    assert (status, found["workers"], found["redis"]) == (503, "down", "ok")


class Inspected:
    """Workers that reply to questions about their queues, a few of them at a time."""

    def __init__(self, *workers: list[str]) -> None:
        self.replies = {f"worker{number}@here": read for number, read in enumerate(workers)}
        self.limit: int | None = None

    def __call__(self, timeout: float, limit: int | None) -> Inspected:
        self.limit = limit
        return self

    def active_queues(self) -> dict[str, list[dict[str, str]]]:
        found = list(self.replies.items())[: self.limit]
        return {name: [{"name": queue} for queue in read] for name, read in found}


@pytest.mark.parametrize(
    ("workers", "detail"),
    [
        ([["control", "producer"]], "no worker replies for: drafting, host"),
        ([["host", "drafting"]], "no worker replies for: control, producer"),
        ([["host", "drafting"], ["control", "producer"]], ""),
        # The first two that reply are not all there are.
        ([["host", "drafting"], ["host", "drafting"], ["control", "producer"]], ""),
        ([["host", "drafting"], ["control"]], "no worker replies for: producer"),
    ],
)
def test_every_queue_needs_a_worker(
    owner: User, monkeypatch: pytest.MonkeyPatch, workers: list[list[str]], detail: str
) -> None:
    monkeypatch.setattr(app.control, "inspect", Inspected(*workers))
    found = health.components()
    assert found["components"]["workers"]["detail"] == detail
    assert found["status"] == ("degraded" if detail else "ok")


DOWN = {
    "ended": "signal 9",
    "since": "2026-11-29T00:00:05+00:00",
    "next_start": "2026-11-29T00:00:13+00:00",
}
SENTENCE = "host ended at 00:00:05 UTC (signal 9); it is started again at 00:00:13."


def test_a_process_that_is_down_is_named_in_red_and_on_every_page(
    client: Client, owner: User, worker: None, settings: Any, tmp_path: Path
) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={"data_dir": tmp_path})
    client.force_login(owner)
    # Without the supervisor's file, e.g. under systemd, pages do not ask for it either.
    assert 'id="down"' not in client.get("/settings/").content.decode()
    status = tmp_path / "studio.json"
    status.write_text("{}")
    assert ready()[0] == 200
    assert 'hx-get="/processes/"' in client.get("/settings/").content.decode()
    assert client.get("/processes/").content.decode().strip() == ""
    status.write_text(json.dumps({"host": DOWN}))
    assert ready()[1]["processes"] == "down"
    assert ready()[0] == 503
    assert health.components()["components"]["processes"]["detail"] == SENTENCE
    for page in ("/settings/", "/processes/"):
        assert SENTENCE in client.get(page).content.decode()
    # Nothing about the installation is told to strangers.
    client.logout()
    assert SENTENCE not in client.get("/login/").content.decode()


def test_without_redis_it_is_not_ready_and_says_so(
    owner: User, worker: None, settings: Any
) -> None:
    settings.REDIS = replace(settings.REDIS, hub="redis://127.0.0.1:1/0")
    assert ready()[0] == 503
    found = health.components()["components"]["redis"]
    assert found["state"] == "down"
    assert "not reachable" in found["detail"]
    assert "127.0.0.1" not in found["detail"]


def test_without_the_guards_of_the_database_it_is_not_ready(
    owner: User, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constraints, "missing", lambda: ["fixed_stories_story"])
    assert ready()[1]["guards"] == "down"


def test_with_migrations_to_apply_it_is_not_ready(owner: User, worker: None) -> None:
    newest = MigrationRecorder.Migration.objects.filter(app="broadcast").latest("name")
    newest.delete()
    status, found = ready()
    assert (status, found["database"]) == (503, "down")
    found = health.components()["components"]["database"]
    assert found["detail"] == "1 migrations are not applied; run migrate"


def test_the_known_migrations_are_those_that_django_would_apply() -> None:
    assert health.known_migrations() == set(MigrationLoader(None).disk_migrations)


def test_the_api_shows_each_component_to_who_is_signed_in(owner: User, worker: None) -> None:
    client = Client(headers={"Authorization": f"Bearer {api_tokens.make(owner)}"})
    found = client.get("/api/health").json()
    assert found["status"] == "ok"
    assert all(set(each) == {"state", "detail"} for each in found["components"].values())


def test_the_public_answer_holds_no_details(owner: User) -> None:
    assert set(ready()[1].values()) <= {"ok", "down", "degraded"}


def chains() -> health.ComponentHealth:
    return health.components()["components"]["chain"]


def test_the_chains_are_told_with_their_rate(worker: None, make_session: MakeSession) -> None:
    assert chains() == {"state": "ok", "detail": "EMPTY: no chain has begun"}
    one, other = make_session(), make_session("Evening")
    join(one)
    join(other)
    assert chains() == {"state": "ok", "detail": "SYNCED: 100 % of 2 chains"}
    lose_head(one)
    assert chains() == {"state": "degraded", "detail": "OUT_OF_SYNC: 50 % of 2 chains"}


def test_a_chain_out_of_sync_keeps_nobody_away(worker: None, session: Session) -> None:
    join(session)
    lose_head(session)
    status, found = ready()
    assert (status, found["status"], found["chain"]) == (200, "ok", "degraded")
