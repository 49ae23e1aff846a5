"""Secrets at rest: sealed with keys that live outside the database, bound to owner and service.

The secrets come from ``FIELD_KEYS``, newest first, separated by commas. The first one seals, all of
them open, so that a new one can be put before the old one and ``rotate`` moves the rows over.
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
    """How many rows were sealed anew, and how many no key opens."""

    resealed: int
    unreadable: int


@sensitive_variables()
def seal(owner_id: int, service: str, plain: str) -> str:
    """``plain`` as it may be stored; only ``open_`` with the same owner and service gives it back."""
    whole = json.dumps([owner_id, service, plain])
    return _box(settings.FIELD_KEYS).encrypt(whole.encode()).decode()


@sensitive_variables()
def open_(owner_id: int, service: str, sealed: str) -> str:
    """What was sealed; NeedsHuman when no key opens it, or when it is somebody else's."""
    try:
        whole = json.loads(_box(settings.FIELD_KEYS).decrypt(sealed.encode()))
    except (InvalidToken, ValueError):
        raise _unreadable(service) from None
    if whole[:2] != [owner_id, service]:
        raise _unreadable(service)
    return str(whole[2])


def rotate() -> Rotation:
    """Seal every row with the first key. Safe to repeat, and beside people who change their keys."""
    box = _box(settings.FIELD_KEYS)
    resealed = unreadable = 0
    for pk, sealed in SealedKey.objects.order_by("pk").values_list("pk", "sealed"):
        try:
            fresh = box.rotate(sealed.encode()).decode()
        except InvalidToken:
            unreadable += 1
            continue
        # A key that was set anew meanwhile is sealed with the first secret already.
        resealed += SealedKey.objects.filter(pk=pk, sealed=sealed).update(sealed=fresh)
    return Rotation(resealed, unreadable)


def _unreadable(service: str) -> NeedsHuman:
    name = SealedKey.Service(service).label if service in SealedKey.Service else "saved"
    sentence = f"Your {name} key cannot be opened any more. Enter it again under User Settings."
    return NeedsHuman(sentence, code="sealed_key")


@lru_cache(maxsize=4)
@sensitive_variables()
def _box(secrets: str) -> MultiFernet:
    found = [Fernet(_derived(secret)) for each in secrets.split(",") if (secret := each.strip())]
    if not found:
        raise ImproperlyConfigured("SMNB_FIELD_KEYS: at least one secret, separated by commas.")
    return MultiFernet(found)


def _derived(secret: str) -> bytes:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
    return base64.urlsafe_b64encode(key)
