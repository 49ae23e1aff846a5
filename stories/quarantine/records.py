"""Quarantine: what belongs to no session yet, until a person adopts or discards it.

Required keys leave no orphans among the stories; what has no home (an import with a dead session
string, an answer that came too late) waits here with its reason, and never joins a session by guess.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from django.contrib.auth.models import User
from pydantic_core import from_json

from stories.models import QuarantinedRecord

MOST_NUMBER = 1e300  # what is larger, databases read in different ways
KINDS = ("story", "usage")


def put(
    kind: str, payload: dict[str, Any], *, old_session: str, old_id: str, reason: str
) -> QuarantinedRecord:
    """Keep a record; the same one put twice is one row."""
    payload = _storable(payload)
    text = json.dumps([kind, old_id, payload], sort_keys=True, ensure_ascii=False)
    row, _ = QuarantinedRecord.objects.get_or_create(
        digest=_digest(text),
        defaults={
            "kind": kind,
            "payload": payload,
            "old_session": _line(old_session),
            "old_id": _line(old_id),
            "reason": _line(reason),
        },
    )
    return row


@dataclass(frozen=True, slots=True)
class Orphan:
    """A row of an import that names no session: ``raw`` is its JSON, ``place`` its file and line."""

    old_id: str
    old_session: str
    reason: str
    at: datetime
    place: str
    raw: bytes


def put_orphans(kind: str, orphans: Iterable[Orphan], owner: User) -> None:
    """Keep rows of an import, each known by its old id alone; none may be there yet."""
    QuarantinedRecord.objects.bulk_create([
        QuarantinedRecord(
            kind=kind, old_session=_line(each.old_session), old_id=each.old_id,
            reason=each.reason, at=each.at, place=each.place, owner=owner,
            payload=_storable(from_json(each.raw)), digest=_digest_of_import(kind, each.old_id),
        )
        for each in orphans
    ])  # fmt: skip


def held(kind: str, old_ids: Collection[str]) -> set[str]:
    """Those old ids of an import that were put here at some time, whatever was decided since."""
    digests = {_digest_of_import(kind, each): each for each in old_ids}
    found = QuarantinedRecord.objects.filter(digest__in=digests).values_list("digest", flat=True)
    return {digests[each] for each in found}


def _digest_of_import(kind: str, old_id: str) -> str:
    return _digest(json.dumps([kind, "import", old_id]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _line(text: str) -> str:
    return _text(text)[:200]


def _text(text: str) -> str:
    """The text without NUL and halves of characters, which PostgreSQL keeps nowhere."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {_text(name): _storable(each) for name, each in value.items()}
    if isinstance(value, int | float) and not -MOST_NUMBER < value < MOST_NUMBER:
        return str(value)[:100] if isinstance(value, float) else f"{value:#x}"[:100]
    return value


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one line of a file: ``error`` is empty when it was put into quarantine."""

    number: int
    error: str = ""


def put_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """Put each JSON line ``{"kind"?, "session"?, "id"?, "reason"?, "payload": {…}}`` in quarantine."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield Line(number, _put_line(line))


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _put_line(line: bytes) -> str:
    try:
        found = json.loads(line, parse_constant=_refuse)
    except ValueError:
        return "is not JSON"
    if not isinstance(found, dict) or not isinstance(found.get("payload"), dict):
        return 'needs an object with a "payload" object'
    kind = str(found.get("kind", "story"))
    if kind not in KINDS:
        return f"kind must be one of: {', '.join(KINDS)}"
    put(
        kind,
        found["payload"],
        old_session=str(found.get("session") or ""),
        old_id=str(found.get("id") or ""),
        reason=str(found.get("reason") or "Put here by hand."),
    )
    return ""
