"""Commands: what a person can have done, in one registry for forms, API and command line.

A command has a name, a payload type and a function; running it is one transaction, together with
the idempotency key that makes a retry safe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from sessions_app.errors import Invalid
from sessions_app.hooks import Topic
from sessions_app.models import IdempotencyKey, Session


class Payload(BaseModel):
    """Base of all payloads; an unknown field is refused, so that a slip of the pen is seen."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _sayable(cls, data: Any) -> Any:
        """PostgreSQL keeps no NUL, so it is refused on both databases."""
        if isinstance(data, dict) and any("\x00" in v for v in data.values() if isinstance(v, str)):
            raise ValueError("a character that cannot be kept (NUL)")
        return data


class Nothing(Payload):
    """A command without details."""


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command: by whom, on which session (None for commands that make one)."""

    actor: User
    session: Session | None
    payload: Any

    @property
    def target(self) -> Session:
        if self.session is None:
            raise Invalid("Choose a session first.", code="no_session")
        return self.session


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    payload: type[BaseModel]
    function: Callable[[Call], Any]
    meaning: str


_registry: dict[str, Command] = {}


def register(
    name: str, payload: type[BaseModel], function: Callable[[Call], Any], meaning: str
) -> None:
    """Make a command known, from the ``register()`` of the module that has its function."""
    if name in _registry:
        raise ValueError(f"two commands are called {name}")
    _registry[name] = Command(name, payload, function, meaning)


def known(name: str) -> bool:
    return name in _registry


def all_commands() -> list[Command]:
    return [_registry[name] for name in sorted(_registry)]


def parse(name: str, data: Any) -> BaseModel:
    """Check ``data`` against the command's payload; Invalid names each field that is wrong."""
    try:
        return _registry[name].payload.model_validate(data)
    except ValidationError as error:
        raise Invalid(sentence_of(error)) from None


def sentence_of(error: ValidationError) -> str:
    """What is wrong with which field, without echoing the value."""
    found = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in found)


on_done: Topic[[Session, User]] = Topic("command.done", "A person's command had its effect.")


def run(name: str, actor: User, session: Session | None, data: Any) -> Any:
    """Run a command in one transaction; ``data`` is its payload or the plain dict of it."""
    command = _registry[name]
    payload = data if isinstance(data, command.payload) else parse(name, data)
    with transaction.atomic():
        found = command.function(Call(actor, session, payload))
        touched = session or (found if isinstance(found, Session) else None)
        if touched is not None:
            on_done.tell(touched, actor)
        return found


def digest_of(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def once(
    actor: User, key: str, digest: str, effect: Callable[[], tuple[int, dict[str, Any]]]
) -> tuple[int, dict[str, Any]]:
    """Have ``effect`` at most once for this key; a retry with the same digest gets the first answer.

    Key, effect and answer are one transaction: a refused or crashed effect leaves no key behind.
    Raises Invalid when the key was used for another request.
    """
    if not key:
        return effect()
    if len(key) > 200:
        raise Invalid("Idempotency-Key: at most 200 characters.")
    try:
        with transaction.atomic():
            row = IdempotencyKey.objects.create(owner=actor, key=key, digest=digest)
            status, answer = effect()
            row.status, row.answer = status, json.loads(json.dumps(answer, default=str))
            row.save(update_fields=["status", "answer"])
            return status, row.answer
    except IntegrityError:
        found = IdempotencyKey.objects.filter(owner=actor, key=key).first()
        if found is None:
            raise
        if found.digest != digest:
            raise Invalid(
                "This Idempotency-Key was used for another request.", code="idempotency_key_reused"
            ) from None
        return found.status, found.answer
