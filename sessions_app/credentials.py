"""The API keys that users save here: set, replaced, deleted, tested, and read when they are used."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from sessions_app.errors import Conflict, Invalid, NeedsHuman, NotFound
from sessions_app.models import SealedKey

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_PURPOSE = b"smnb sealed key"


class Rotation(NamedTuple):
    """The number of rows that were encrypted again, and of rows that no key decrypts."""

    resealed: int
    unreadable: int


@sensitive_variables()
def seal(owner_id: int, service: str, plain: str) -> str:
    """Encrypts ``plain``; only ``open_`` with the same owner and service decrypts it."""
    bound = json.dumps([owner_id, service, plain])
    return _fernet(settings.FIELD_KEYS).encrypt(bound.encode()).decode()


@sensitive_variables()
def open_(owner_id: int, service: str, sealed: str) -> str:
    """Decrypts a value; raises NeedsHuman when no key fits, or when it belongs to another user."""
    from cryptography.fernet import InvalidToken

    try:
        bound = json.loads(_fernet(settings.FIELD_KEYS).decrypt(sealed.encode()))
    # "from None", as the original error could show parts of the value in a log.
    except (InvalidToken, ValueError):
        raise _unreadable(service) from None
    # A row copied to another user or service decrypts, but is not accepted.
    if bound[:2] != [owner_id, service]:
        raise _unreadable(service)
    return str(bound[2])


def rotate() -> Rotation:
    """Encrypts every row with the first key. Safe to repeat, and while users change their keys."""
    from cryptography.fernet import InvalidToken

    fernet = _fernet(settings.FIELD_KEYS)
    resealed = unreadable = 0
    # One row at a time and without a lock, as users continue to save keys meanwhile.
    for pk, sealed in SealedKey.objects.order_by("pk").values_list("pk", "sealed"):
        try:
            rotated = fernet.rotate(sealed.encode()).decode()
        except InvalidToken:
            unreadable += 1
            continue
        # A key that was replaced meanwhile is already encrypted with the first secret.
        resealed += SealedKey.objects.filter(pk=pk, sealed=sealed).update(sealed=rotated)
    return Rotation(resealed, unreadable)


def _unreadable(service: str) -> NeedsHuman:
    name = SealedKey.Service(service).label if service in SealedKey.Service else "saved"
    sentence = f"Your {name} key cannot be decrypted any more. Enter it again under User Settings."
    return NeedsHuman(sentence, code="sealed_key")


@lru_cache(maxsize=4)
@sensitive_variables()
def _fernet(secrets: str) -> MultiFernet:
    """Derives one Fernet key from each secret; deriving is slow, hence the cache."""
    # Imported in functions, as few processes ever use a key.
    from cryptography.fernet import Fernet, MultiFernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    keys = [
        HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
        for part in secrets.split(",")
        if (secret := part.strip())
    ]
    if not keys:
        raise ImproperlyConfigured("SMNB_FIELD_KEYS: at least one secret, separated by commas.")
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])


Service = SealedKey.Service
# The parts of each service's key in the order of the form; the end of the last part is displayed.
PARTS: Mapping[str, tuple[str, ...]] = {
    Service.ANTHROPIC: ("api_key",),
    Service.REDDIT: ("client_id", "client_secret"),
    # An address may contain a secret, as those of chat services do.
    Service.WEBHOOK: ("url",),
}
_PART = re.compile(r"[!-~]{8,300}")  # printable ASCII, as it is sent in an HTTP header


def by_service(owner: User) -> dict[str, SealedKey]:
    """Returns the user's saved keys by service, with only the last characters readable."""
    return {row.service: row for row in SealedKey.objects.filter(owner=owner).defer("sealed")}


@sensitive_variables()
def save(owner: User, service: str, parts: Mapping[str, str]) -> SealedKey:
    """Sets or replaces a key; raises Invalid, which does not contain the value, for a wrong one."""
    values = {name: parts.get(name, "").strip() for name in _parts_of(service)}
    for name, value in values.items():
        if not _PART.fullmatch(value):
            label = name.replace("_", " ")
            raise Invalid(f"{label}: must have 8 to 300 letters, digits and signs, and no spaces.")
    # The result of the last test belongs to the replaced key, so it is removed with it.
    row, _ = SealedKey.objects.update_or_create(
        owner=owner,
        service=service,
        defaults={
            "sealed": seal(owner.pk, service, json.dumps(values)),
            "last_four": list(values.values())[-1][-4:],
            "tested_at": None,
            "verdict": "",
        },
    )
    return row


def delete(owner: User, service: str) -> None:
    """Deletes a key permanently."""
    if not SealedKey.objects.filter(owner=owner, service=service).delete()[0]:
        raise missing(service)


@sensitive_variables()
def parts(owner: User, service: str) -> dict[str, str] | None:
    """Returns the key by its parts; None when the user has none.

    Raises NeedsHuman when it cannot be decrypted, so that the caller does not silently use another
    user's key instead.
    """
    rows = SealedKey.objects.filter(owner=owner, service=service)
    sealed = rows.values_list("sealed", flat=True).first()
    if sealed is None:
        return None
    opened: dict[str, str] = json.loads(open_(owner.pk, service, sealed))
    return opened


def in_use(service: str) -> bool:
    """Whether any user has saved a key for the service."""
    return SealedKey.objects.filter(service=service).exists()


def record_test(owner: User, service: str, verdict: str, set_at: datetime) -> None:
    """Saves the result of testing the key set at ``set_at``; Conflict when it was replaced since."""
    rows = SealedKey.objects.filter(owner=owner, service=service)
    # The test took seconds, in which the user may have saved another key.
    if rows.filter(set_at=set_at).update(tested_at=timezone.now(), verdict=verdict[:300]):
        return
    if not rows.exists():
        raise missing(service)
    raise Conflict("The key was replaced while it was tested. Test the new one.")


def _parts_of(service: str) -> tuple[str, ...]:
    try:
        return PARTS[service]
    except KeyError:
        raise NotFound("There is no such service.") from None


def missing(service: str) -> NotFound:
    """Returns the error for a key that the user has not set."""
    _parts_of(service)
    return NotFound(f"You have no {Service(service).label} key here. Set one first.")


def audit() -> Iterator[tuple[object, str]]:
    """Every stored key of a user decrypts and ends with the four characters that pages show."""
    for row in SealedKey.objects.all():
        try:
            parts = json.loads(open_(row.owner_id, row.service, row.sealed))
        except (NeedsHuman, ValueError):
            yield "", f"the {row.service} key of user {row.owner_id} does not decrypt"
        else:
            if list(parts.values())[-1][-4:] != row.last_four:
                yield "", f"the {row.service} key of user {row.owner_id} ends otherwise"
