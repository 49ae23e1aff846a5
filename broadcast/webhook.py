"""The webhook: tells an address of the user's choice what needs them.

The sweeper compares what needs a user with what was sent, and a step of the session sends the rest.
A message that is interrupted between its delivery and the note of it is sent a second time.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import attention
from broadcast.attention import WORKS, Need
from sessions_app import credentials, preferences
from sessions_app.background import isolation, steps, sweeper
from sessions_app.background.steps import Claim, Kind
from sessions_app.credentials import Service
from sessions_app.errors import Conflict, NeedsHuman, NotFound, Retry, SmnbError, WaitUntil
from sessions_app.models import SealedKey, Session
from stories.sources.http_client import GuardedClient

NOTIFY = "notify"  # the kind of step
EVERY = 10.0  # seconds between two looks at what needs users
ATTEMPTS = 5
SECONDS = 10.0  # for one message
DELIVERED = f"{WORKS}: the last message was accepted."


class NeedFields(TypedDict):
    """One thing that needs the user."""

    key: Annotated[str, Field(description="Identifies it for as long as it lasts.")]
    what: Annotated[str, Field(description="What it is, as a sentence.")]
    detail: Annotated[str, Field(description="More about it; may be empty.")]
    at: Annotated[str, Field(description="Since when, ISO 8601 in UTC.")]
    url: Annotated[str, Field(description="Page of the studio that solves it.")]


class SessionFields(TypedDict):
    """The session of a message."""

    id: Annotated[str, Field(description="Id of the session.")]
    name: Annotated[str, Field(description="Its name.")]


class WebhookMessage(TypedDict):
    """The JSON body of a message."""

    event: Annotated[str, Field(description="needs_you, or test.")]
    text: Annotated[str, Field(description="All of it as one text, which chat services show.")]
    session: Annotated[SessionFields | None, Field(description="Null for a test.")]
    needs: Annotated[list[NeedFields], Field(description="What was not sent before.")]


def to_send(owner: User) -> list[Need]:
    """Returns what needs a user, except that the webhook itself failed."""
    own = f"key-{Service.WEBHOOK}"
    return [need for need in attention.of_user(owner) if need.key != own]


def message_of(session: Session, needs: list[Need]) -> WebhookMessage:
    text = "\n".join(f"{session.name}: {need.what}" for need in needs)
    page = settings.PUBLIC_URL + reverse("needs")
    return {
        "event": "needs_you",
        "text": f"{text}\n{page}",
        "session": {"id": str(session.pk), "name": session.name},
        "needs": [
            {
                "key": need.key,
                "what": need.what,
                "detail": need.detail,
                "at": need.at,
                "url": page,
            }
            for need in needs
        ],
    }


@sensitive_variables()
def send(owner: User, message: WebhookMessage) -> None:
    """Posts a message to the user's address; raises Retry, WaitUntil or NeedsHuman."""
    parts = credentials.parts(owner, Service.WEBHOOK)
    if parts is None:
        raise credentials.missing(Service.WEBHOOK)
    client = GuardedClient(
        allow_private=settings.SMNB.allow_private_feeds, user_agent="smnb", deadline=SECONDS
    )
    client.post(parts["url"], json.dumps(message).encode())


def send_test(owner: User) -> None:
    """Sends a test and stores its result beside the address; NotFound when there is none."""
    row = credentials.by_service(owner).get(Service.WEBHOOK)
    if row is None:
        raise credentials.missing(Service.WEBHOOK)
    text = "This is a test from SMNB. What needs you is sent to this address."
    verdict = DELIVERED
    try:
        send(owner, {"event": "test", "text": text, "session": None, "needs": []})
    except SmnbError as error:
        verdict = error.sentence
    credentials.record_test(owner, Service.WEBHOOK, verdict, row.set_at)


def notify(claim: Claim) -> None:
    """Sends what has come up in a session since the last message."""
    session, owner = claim.session, claim.session.owner
    needs = [need for need in to_send(owner) if need.session.pk == session.pk]
    known = preferences.of(owner).needs_sent.get(str(session.pk), [])
    fresh = [need for need in needs if need.key not in known]
    row, verdict = credentials.by_service(owner).get(Service.WEBHOOK), ""
    if fresh and row is not None:
        try:
            send(owner, message_of(session, fresh))
            verdict = DELIVERED
        except (Retry, WaitUntil) as error:
            if claim.step.attempts < ATTEMPTS:
                raise
            verdict = error.sentence
        except NeedsHuman as error:
            # Another attempt would fail too; User Settings shows the sentence.
            verdict = error.sentence
    with transaction.atomic():
        claim.complete()
        preferences.note_needs_sent(owner, session, [need.key for need in needs])
    if row is not None and verdict:
        # The address may have been replaced or removed meanwhile.
        with suppress(Conflict, NotFound):
            credentials.record_test(owner, Service.WEBHOOK, verdict, row.set_at)


def watch(_up: float) -> float:
    """Enqueues a message for each session whose needs are not those of the last message."""
    for row in SealedKey.objects.filter(service=Service.WEBHOOK).select_related("owner"):
        with isolation.isolated("Look for what needs a user", row.owner_id):
            keys: dict[str, set[str]] = {}
            for need in to_send(row.owner):
                keys.setdefault(str(need.session.pk), set()).add(need.key)
            sent = preferences.of(row.owner).needs_sent
            changed = [
                session_id
                for session_id in keys.keys() | sent.keys()
                if keys.get(session_id, set()) != set(sent.get(session_id, []))
            ]
            for session in Session.objects.for_user(row.owner).filter(pk__in=changed):
                steps.enqueue(session, NOTIFY, session.pk)
    return EVERY


def register() -> None:
    steps.register(Kind(NOTIFY, "producer", notify, outlives_run=True))
    sweeper.register(watch)
