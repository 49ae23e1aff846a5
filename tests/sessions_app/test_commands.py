"""Commands are in one registry, check their payloads, and have one effect when retried."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions_app import commands
from sessions_app.errors import Conflict, Invalid
from sessions_app.models import IdempotencyKey, Session
from tests.concurrency import together

pytestmark = pytest.mark.django_db(transaction=True)

WANTED = {"name": "Morning", "sources": [{"kind": "recording", "locator": "demo"}]}


def create(owner: User, wanted: dict[str, Any] = WANTED) -> tuple[int, dict[str, Any]]:
    session = commands.run("session.create", owner, None, wanted)
    return 201, {"id": str(session.pk)}


def test_every_command_has_a_payload_and_a_meaning() -> None:
    found = commands.all_commands()
    assert {"session.create", "broadcast.start", "broadcast.stop"} <= {each.name for each in found}
    assert all(each.meaning.endswith(".") for each in found)


def test_a_payload_with_an_unknown_field_is_refused_by_name(owner: User) -> None:
    with pytest.raises(Invalid, match="color"):
        create(owner, {**WANTED, "color": "red"})


def test_a_wrong_payload_is_refused_without_echoing_its_value(owner: User) -> None:
    with pytest.raises(Invalid) as refused:
        create(owner, {**WANTED, "budget_usd": "a-secret-value"})
    assert "budget_usd" in refused.value.sentence
    assert "a-secret-value" not in refused.value.sentence


def test_a_command_on_a_session_needs_one(owner: User) -> None:
    with pytest.raises(Invalid, match="Choose a session"):
        commands.run("broadcast.start", owner, None, {})


def test_a_command_that_is_refused_halfway_leaves_nothing(owner: User) -> None:
    twice = {**WANTED, "sources": [*WANTED["sources"], *WANTED["sources"]]}
    with pytest.raises(Conflict):
        create(owner, twice)
    assert not Session.objects.exists()


@pytest.mark.databases
def test_a_retry_gets_the_first_answer_and_has_no_second_effect(owner: User) -> None:
    first = commands.run_once(owner, "k", "digest", lambda: create(owner))
    assert commands.run_once(owner, "k", "digest", lambda: create(owner)) == first
    assert Session.objects.count() == 1


def test_a_key_used_for_another_request_is_refused(owner: User) -> None:
    commands.run_once(owner, "k", "digest", lambda: create(owner))
    with pytest.raises(Invalid) as refused:
        commands.run_once(owner, "k", "other", lambda: create(owner))
    assert refused.value.code == "idempotency_key_reused"
    assert Session.objects.count() == 1


def test_an_effect_that_is_refused_leaves_its_key_unused(owner: User) -> None:
    def refuse() -> tuple[int, dict[str, Any]]:
        raise Conflict("Not now.")

    with pytest.raises(Conflict):
        commands.run_once(owner, "k", "digest", refuse)
    assert not IdempotencyKey.objects.exists()
    assert commands.run_once(owner, "k", "digest", lambda: create(owner))[0] == 201


def test_two_people_may_use_the_same_key(owner: User, stranger: User) -> None:
    commands.run_once(owner, "k", "digest", lambda: create(owner))
    commands.run_once(stranger, "k", "digest", lambda: create(stranger))
    assert Session.objects.count() == 2


def test_without_a_key_every_call_counts(owner: User) -> None:
    for _ in range(2):
        commands.run_once(owner, "", "digest", lambda: create(owner))
    assert Session.objects.count() == 2


def test_an_endless_key_is_refused(owner: User) -> None:
    with pytest.raises(Invalid, match="200"):
        commands.run_once(owner, "k" * 201, "digest", lambda: create(owner))


@pytest.mark.databases
def test_ten_retries_at_once_have_one_effect_and_one_answer(owner: User) -> None:
    found = together(10, lambda _: commands.run_once(owner, "k", "digest", lambda: create(owner)))
    assert len({str(answer) for answer in found}) == 1
    assert Session.objects.count() == 1
