"""Quarantine: records that belong to no session, until a person adopts or discards them.

A story must have a session. A record without one, such as an imported row of a deleted session or an
answer that arrived too late, waits here with its reason. The program never assigns a session.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from pydantic_core import from_json

from sessions_app.errors import refuse_constant
from stories.models import QuarantinedRecord

MOST_NUMBER = 1e300  # Databases differ in how they read larger numbers.
KINDS = ("story", "usage")


def put(
    kind: str, payload: Mapping[str, object], *, old_session: str, old_id: str, reason: str
) -> QuarantinedRecord:
    """Stores a record; storing the same one again returns the existing row."""
    storable, session, old_id = _storable(payload), _line(old_session), _line(old_id)
    # The digest is unique, so two processes that store the same record get one row.
    row, _ = QuarantinedRecord.objects.get_or_create(
        digest=_digest_of(kind, old_id, storable, session),
        defaults={
            "kind": kind,
            "payload": storable,
            "old_session": session,
            "old_id": old_id,
            "reason": _line(reason),
        },
    )
    return row


@dataclass(frozen=True, slots=True)
class Orphan:
    """An imported row without a session; ``raw`` is its JSON, ``place`` its file and line."""

    old_id: str
    old_session: str
    reason: str
    at: datetime
    place: str
    raw: bytes


def put_orphans(kind: str, orphans: Iterable[Orphan], owner: User) -> None:
    """Stores rows of an import, identified by their old ids; none may be stored already."""
    QuarantinedRecord.objects.bulk_create(
        QuarantinedRecord(
            kind=kind,
            old_session=_line(orphan.old_session),
            old_id=orphan.old_id,
            reason=orphan.reason,
            at=orphan.at,
            place=orphan.place,
            owner=owner,
            payload=_storable(from_json(orphan.raw)),
            digest=_digest_of_import(kind, orphan.old_id),
        )
        for orphan in orphans
    )


def stored_ids(kind: str, old_ids: Collection[str]) -> set[str]:
    """Returns those old ids of an import that are stored here, in any state."""
    # By digest, because only the digest has an index.
    by_digest = {_digest_of_import(kind, old_id): old_id for old_id in old_ids}
    rows = QuarantinedRecord.objects.filter(digest__in=by_digest)
    return {by_digest[digest] for digest in rows.values_list("digest", flat=True)}


def _digest_of_import(kind: str, old_id: str) -> str:
    return _digest(json.dumps([kind, "import", old_id]))


def is_as_put_aside(record: QuarantinedRecord) -> bool:
    """Whether the digest of a record is that of its content, and its session the one it names."""
    if record.digest == _digest_of_import(record.kind, record.old_id):
        named = record.payload.get("session_id") or ""
        return _line(named).strip() == record.old_session.strip()
    content = [record.kind, record.old_id, record.payload]
    # A record of an earlier version has a digest without its session.
    return record.digest in (_digest_of(*content, record.old_session), _digest_of(*content))


def _digest_of(*content: object) -> str:
    # Sorted keys, so that the same record gives the same digest however its JSON was written.
    return _digest(json.dumps(content, sort_keys=True, ensure_ascii=False))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _line(text: str) -> str:
    return _text(text)[:200]


def _text(text: str) -> str:
    """Returns the text without NUL and surrogates, which PostgreSQL cannot store."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _storable(value: object) -> object:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_text(name): _storable(item) for name, item in value.items()}
    # Stored as text, so that both databases return the same.
    if isinstance(value, int | float) and not -MOST_NUMBER < value < MOST_NUMBER:
        return str(value)[:100] if isinstance(value, float) else f"{value:#x}"[:100]
    return value


@dataclass(frozen=True, slots=True)
class Line:
    """The result for one line of a file; ``error`` is empty when it was put into quarantine."""

    number: int
    error: str = ""


def put_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """Puts each line ``{"kind"?, "session"?, "id"?, "reason"?, "payload": {…}}`` into quarantine."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line, parse_constant=refuse_constant)
        except ValueError:
            yield Line(number, "is not JSON")
            continue
        if not isinstance(data, dict) or not isinstance(data.get("payload"), dict):
            yield Line(number, 'needs an object with a "payload" object')
            continue
        kind = str(data.get("kind", "story"))
        if kind not in KINDS:
            yield Line(number, f"kind must be one of: {', '.join(KINDS)}")
            continue
        put(
            kind,
            data["payload"],
            old_session=str(data.get("session") or ""),
            old_id=str(data.get("id") or ""),
            reason=str(data.get("reason") or "Put here by hand."),
        )
        yield Line(number)
