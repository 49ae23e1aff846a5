"""The API keys that users save here: set, replaced, deleted, tested, and read when they are used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from sessions_app import encryption
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import SealedKey

Service = SealedKey.Service
# The parts of each service's key in the order of the form; the end of the last part is displayed.
PARTS: Mapping[str, tuple[str, ...]] = {
    Service.ANTHROPIC: ("api_key",),
    Service.REDDIT: ("client_id", "client_secret"),
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
            "sealed": encryption.seal(owner.pk, service, json.dumps(values)),
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
    opened: dict[str, str] = json.loads(encryption.open_(owner.pk, service, sealed))
    return opened


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
