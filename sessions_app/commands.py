"""Commands: every action of a user, in one registry for forms, API, chat and command line.

A command has a name, a payload type and a function. It runs in one transaction, together with the
idempotency key that makes a retry safe.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from sessions_app import sessions
from sessions_app.errors import Invalid, SmnbError
from sessions_app.hooks import Topic
from sessions_app.models import IdempotencyKey, Session


class Payload(BaseModel):
    """Base of all payloads; it refuses unknown fields, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def refuse_nul(cls, data: Any) -> Any:
        """Refuses the NUL character on both databases, as PostgreSQL cannot store it."""
        if isinstance(data, dict) and any("\x00" in v for v in data.values() if isinstance(v, str)):
            raise ValueError("the NUL character cannot be stored")
        return data


class Nothing(Payload):
    """The payload of a command without parameters."""


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command; ``session`` is None for commands that create one."""

    actor: User
    session: Session | None
    payload: Any

    @property
    def target(self) -> Session:
        """The session, or Invalid when the command was run without one."""
        if self.session is None:
            raise Invalid("Choose a session first.", code="no_session")
        return self.session


R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Command(Generic[R]):
    """A command: its name, its payload type, the function that carries it out, and its meaning."""

    name: str
    payload: type[BaseModel]
    function: Callable[[Call], R]
    meaning: str


_registry: dict[str, Command[Any]] = {}


def register(command: Command[Any]) -> None:
    """Adds a command to the registry; called by ``register()`` of the module that defines it."""
    if command.name in _registry:
        raise ValueError(f"two commands are called {command.name}")
    _registry[command.name] = command


def exists(name: str) -> bool:
    """Returns whether a command of this name is registered."""
    return name in _registry


def all_commands() -> list[Command[Any]]:
    """Returns all commands by name."""
    return [_registry[name] for name in sorted(_registry)]


def parse(name: str, data: Any) -> BaseModel:
    """Validates ``data`` as the command's payload; raises Invalid that names each wrong field."""
    try:
        return _registry[name].payload.model_validate(data)
    except ValidationError as error:
        raise Invalid(validation_sentence(error)) from None


def validation_sentence(error: ValidationError) -> str:
    """Describes each wrong field in one sentence, without repeating its value."""
    errors = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in errors)


# A reason after the name of its field, as commands and pydantic write them.
_NAMED = re.compile(r"(?:[a-z_0-9]+\.)*([a-z_]+): (?:Value error, )?(.+)", re.DOTALL)


def reasons(error: SmnbError) -> list[tuple[str, str]]:
    """Returns each reason in plain words with the field that it is about, or "".

    Sentences are written for programs too, so that they may begin with the name of a field.
    """
    fields = {name for each in all_commands() for name in each.payload.model_fields}
    fields.update(sessions.SETTINGS)
    for parts in (error.sentence.split("; "), [error.sentence]):
        named = [found for part in parts if (found := _NAMED.fullmatch(part))]
        if len(named) == len(parts) and all(found[1] in fields for found in named):
            return [(found[1], _in_plain_words(found[2])) for found in named]
    return [("", error.sentence)]


def _in_plain_words(reason: str) -> str:
    """Returns the reason of a command or of pydantic as a person would give it."""
    words = re.sub(r"^(?:Input|String|List|Value) should ", "Must ", reason)
    for before, after in (
        ("less than or equal to", "at most"),
        ("greater than or equal to", "at least"),
        ("Must match pattern", "Must have the form"),
    ):
        words = words.replace(before, after)
    return words[:1].upper() + words[1:]


on_done: Topic[[Session, User]] = Topic("command.done", "A user's command was carried out.")


# With a command object, mypy knows the type of the result; with a name from data it cannot.
@overload
def run(command: Command[R], actor: User, session: Session | None, data: Any) -> R: ...
@overload
def run(command: Command[R] | str, actor: User, session: Session | None, data: Any) -> Any: ...
def run(command: Command[Any] | str, actor: User, session: Session | None, data: Any) -> Any:
    """Runs a command in one transaction.

    ``command`` is the command or its registered name; ``data`` is its payload or the dict of it.
    """
    if isinstance(command, str):
        command = _registry[command]
    payload = data if isinstance(data, command.payload) else parse(command.name, data)
    with transaction.atomic():
        result = command.function(Call(actor, session, payload))
        affected = session or (result if isinstance(result, Session) else None)
        if affected is not None:
            # Inside the transaction, so that an activity is not recorded for a command that failed.
            on_done.send(affected, actor)
        return result


def digest_of(*parts: str) -> str:
    """Returns the SHA-256 of a request's parts."""
    # The separator cannot occur in the parts, so that ("ab", "c") and ("a", "bc") differ.
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


LONGEST_KEY = 200


def run_once(
    actor: User, key: str, digest: str, effect: Callable[[], tuple[int, R]]
) -> tuple[int, R]:
    """Calls ``effect`` at most once for this key; a retry with the same digest gets the first answer.

    Key, effect and answer are one transaction: an effect that raises leaves no key behind. Raises
    Invalid when the key was used for another request.
    """
    if not key:
        return effect()
    if len(key) > LONGEST_KEY:
        raise Invalid(f"Idempotency-Key: at most {LONGEST_KEY} characters.")
    try:
        # Inserting first makes a concurrent retry wait for this transaction.
        with transaction.atomic():
            row = IdempotencyKey.objects.create(owner=actor, key=key, digest=digest)
            status, answer = effect()
            # As JSON right away, so that the first answer and that of a retry are equal.
            row.status, row.answer = status, json.loads(json.dumps(answer, default=str))
            row.save(update_fields=["status", "answer"])
            return status, row.answer
    except IntegrityError:
        # The key exists: an earlier request committed it, or a concurrent one did just now.
        first = IdempotencyKey.objects.filter(owner=actor, key=key).first()
        # The violated constraint was one of the effect's own, so it is not a repetition.
        if first is None:
            raise
        # The same key with another body is a mistake of the client, which must not get a wrong
        # answer.
        if first.digest != digest:
            raise Invalid(
                "This Idempotency-Key was used for another request.", code="idempotency_key_reused"
            ) from None
        return first.status, first.answer
