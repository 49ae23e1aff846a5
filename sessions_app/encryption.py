"""Encrypts secrets with keys from outside the database, bound to their owner and service.

The secrets come from ``FIELD_KEYS``, newest first, separated by commas. The first one encrypts, all
of them decrypt. To rotate, put a new secret before the old one and call ``rotate``.
"""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import NamedTuple

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

from sessions_app.errors import NeedsHuman
from sessions_app.models import SealedKey

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
    keys = [
        HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
        for part in secrets.split(",")
        if (secret := part.strip())
    ]
    if not keys:
        raise ImproperlyConfigured("SMNB_FIELD_KEYS: at least one secret, separated by commas.")
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])
