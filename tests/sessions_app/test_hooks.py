"""Topics call their subscribers in order and in the transaction of the sender."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from sessions_app import commands, hooks, sessions
from sessions_app.events import recorder
from sessions_app.files import artifacts
from sessions_app.hooks import Topic
from sessions_app.models import Message, Participant, Session, SessionEvent, Workspace
from sessions_app.realtime import presence
from sessions_app.realtime.grants import Grant
from smnb.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)

Happened = tuple[Session, Mapping[str, Any]]


@pytest.fixture(autouse=True)
def own_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "_topics", dict(hooks._topics))
    monkeypatch.setattr(recorder, "_topics", {})


def test_subscribers_are_called_in_their_order() -> None:
    heard: list[str] = []
    topic: Topic[[str]] = Topic("test.spoken", "A word was spoken.")
    topic.subscribe(lambda word: heard.append(f"first {word}"))
    topic.subscribe(lambda word: heard.append(f"then {word}"))
    topic.send("hello")
    assert heard == ["first hello", "then hello"]


def test_a_topic_without_subscribers_is_not_listed() -> None:
    topic: Topic[[]] = Topic("test.silent", "Nothing.")
    assert topic not in hooks.topics()
    topic.subscribe(lambda: None)
    assert topic in hooks.topics()
    assert topic.subscribers() == [__name__]


def test_an_events_topic_is_sent_in_its_transaction_before_it_has_a_seq(session: Session) -> None:
    heard: list[Happened] = []

    def answer(about: Session, payload: Mapping[str, Any]) -> None:
        heard.append((about, payload))
        assert connection.in_atomic_block
        recorder.add_message(about, "system", "I heard.")

    recorder.on(recorder.SESSION_CHANGED).subscribe(answer)
    sessions.change(session, name="Evening")
    assert [(who.pk, what["session"]["name"]) for who, what in heard] == [(session.pk, "Evening")]
    last = SessionEvent.objects.filter(session=session).order_by("-seq")
    assert [each.type for each in last[:2]] == ["session.changed", "message.added"]


def test_a_subscriber_that_fails_undoes_the_change(session: Session) -> None:
    def fail(_about: Session, _payload: Mapping[str, Any]) -> None:
        raise DatabaseError

    recorder.on(recorder.SESSION_CHANGED).subscribe(fail)
    with pytest.raises(DatabaseError):
        sessions.change(session, name="Evening")
    assert Session.objects.get(pk=session.pk).name == "Morning"


def test_an_undeclared_event_has_no_topic() -> None:
    with pytest.raises(ValueError, match="undeclared event type"):
        recorder.on("no.such")


def last_active(session: Session, user: User) -> Any:
    found = Participant.objects.filter(session=session, user=user).first()
    return found.last_active_at if found else None


def test_a_command_is_its_users_last_activity(session: Session, owner: User) -> None:
    before = timezone.now()
    commands.run("session.change", owner, session, {"name": "Evening"})
    assert last_active(session, owner) > before


def test_a_page_that_opens_and_closes_is_activity_too(
    session: Session, client_of: Callable[[User], Client]
) -> None:
    cookie = client_of(session.owner).cookies["sessionid"].value
    headers = [(b"cookie", f"sessionid={cookie}".encode()), (b"origin", b"http://127.0.0.1:8000")]
    seen: list[Any] = []

    async def visit() -> None:
        socket = WebsocketCommunicator(application, f"/ws/sessions/{session.pk}/", headers=headers)
        connected, _ = await socket.connect(timeout=60)
        assert connected
        for _ in range(300):
            seen[:] = [each async for each in Participant.objects.filter(session=session)]
            if seen:
                break
            await asyncio.sleep(0.05)
        await socket.disconnect(timeout=60)

    async_to_sync(visit)()
    (opened,) = seen
    assert opened.user_id == session.owner_id
    assert last_active(session, session.owner) > opened.last_active_at


def test_the_audience_is_no_participant(session: Session) -> None:
    presence.opened(Grant("watch", session.watch_token, session.pk))
    assert not Participant.objects.exists()


def test_a_failed_note_of_presence_leaves_the_socket_open(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(presence.on_close, "_subscribers", [fail])
    presence.closed(Grant("login", "k", session.pk, session.owner_id))
    assert not Participant.objects.exists()


def test_the_owner_is_warned_once_when_files_come_near_the_quota(session: Session) -> None:
    Workspace.objects.create(pk=1, artifact_quota_mb=10)
    recorder.on(artifacts.STORED).subscribe(artifacts.warn_near_quota)
    for size in (7_900_000, 200_000, 200_000):
        artifacts.store(session, "files", "f", [b"x" * size], media_type="text/plain")
    message = Message.objects.get(session=session, code=artifacts.NEARLY_FULL)
    assert message.text.startswith("The files of this session take 81 % of their quota.")
    assert SessionEvent.objects.filter(session=session).latest("seq").type == artifacts.STORED


def test_an_archive_does_not_count_for_the_quota(session: Session) -> None:
    Workspace.objects.create(pk=1, artifact_quota_mb=10)
    recorder.on(artifacts.STORED).subscribe(artifacts.warn_near_quota)
    for category, size in (("files", 8_000_000), ("archive", 50_000), ("archive", 50_000)):
        artifacts.store(session, category, "f", [b"x" * size], media_type="text/plain")
    assert Message.objects.filter(session=session, code=artifacts.NEARLY_FULL).count() == 1
