"""The keys a person keeps here: set, replaced, removed, tested; read only by what uses them."""

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
# The parts of each service's key, in the order in which people are asked for them; the last is the
# one whose end is shown.
PARTS: Mapping[str, tuple[str, ...]] = {
    Service.ANTHROPIC: ("api_key",),
    Service.REDDIT: ("client_id", "client_secret"),
}
_PART = re.compile(r"[!-~]{8,300}")  # printable ASCII: it is sent in a header


def by_service(owner: User) -> dict[str, SealedKey]:
    """The rows of this person by service; nothing in them shows a key but its last characters."""
    return {row.service: row for row in SealedKey.objects.filter(owner=owner).defer("sealed")}


@sensitive_variables()
def save(owner: User, service: str, parts: Mapping[str, str]) -> SealedKey:
    """Set or replace a key; Invalid (without the value) when it cannot be one."""
    wanted = {name: parts.get(name, "").strip() for name in _parts_of(service)}
    for name, value in wanted.items():
        if not _PART.fullmatch(value):
            what = name.replace("_", " ")
            raise Invalid(f"{what}: 8 to 300 letters, digits and signs, without spaces.")
    sealed = encryption.seal(owner.pk, service, json.dumps(wanted))
    last_four = list(wanted.values())[-1][-4:]
    row, _ = SealedKey.objects.update_or_create(
        owner=owner, service=service,
        defaults={"sealed": sealed, "last_four": last_four, "tested_at": None, "verdict": ""},
    )  # fmt: skip
    return row


def delete(owner: User, service: str) -> None:
    """Forget a key; it cannot be brought back."""
    if not SealedKey.objects.filter(owner=owner, service=service).delete()[0]:
        raise missing(service)


@sensitive_variables()
def parts(owner: User, service: str) -> dict[str, str] | None:
    """The key itself by its parts, for who is about to use it; None when the person has none.

    Raises NeedsHuman when it cannot be opened: nobody falls back to another person's key unseen.
    """
    sealed = SealedKey.objects.filter(owner=owner, service=service).values_list("sealed", flat=True)
    found = sealed.first()
    if found is None:
        return None
    opened: dict[str, str] = json.loads(encryption.open_(owner.pk, service, found))
    return opened


def record_test(owner: User, service: str, verdict: str, set_at: datetime) -> None:
    """Keep what a test of the key said that was set at ``set_at``; Conflict when it was replaced."""
    mine = SealedKey.objects.filter(owner=owner, service=service)
    if mine.filter(set_at=set_at).update(tested_at=timezone.now(), verdict=verdict[:300]):
        return
    if not mine.exists():
        raise missing(service)
    raise Conflict("The key was replaced while it was tested. Test the new one.")


def _parts_of(service: str) -> tuple[str, ...]:
    try:
        return PARTS[service]
    except KeyError:
        raise NotFound("There is no such service.") from None


def missing(service: str) -> NotFound:
    _parts_of(service)
    return NotFound(f"You have no {Service(service).label} key here. Set one first.")
