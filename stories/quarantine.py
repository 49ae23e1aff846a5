"""Quarantine: what belongs to no session yet, until a person adopts or discards it.

Required keys leave no orphans among the stories; what has no home (an import with a dead session
string, an answer that came too late) waits here with its reason, and never joins a session by guess.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from sessions_app import events
from sessions_app.errors import Conflict, Invalid
from sessions_app.models import Session
from sessions_app.series import Extra
from stories import feed, posts
from stories.booking import story_shares
from stories.models import QuarantinedRecord, Story
from stories.text import clean_line, clean_text, word_count

State = QuarantinedRecord.State
KINDS = ("story",)
STANDARD_PACE = 150


def put(
    kind: str, payload: dict[str, Any], *, old_session: str, old_id: str, reason: str
) -> QuarantinedRecord:
    """Keep a record; the same one put twice is one row."""
    text = json.dumps([kind, old_id, payload], sort_keys=True, ensure_ascii=False)
    row, _ = QuarantinedRecord.objects.get_or_create(
        digest=hashlib.sha256(text.encode()).hexdigest(),
        defaults={
            "kind": kind,
            "payload": payload,
            "old_session": old_session[:200],
            "old_id": old_id[:200],
            "reason": reason[:200],
        },
    )
    return row


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


def _put_line(line: bytes) -> str:
    try:
        found = json.loads(line)
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


def _decide(record: QuarantinedRecord, actor: User, state: str, session: Session | None) -> None:
    """One of several deciders wins; the row keeps who, when and where to."""
    moved = QuarantinedRecord.objects.filter(pk=record.pk, state=State.WAITING).update(
        state=state, decided_by=actor, decided_at=timezone.now(), adopted_by=session
    )
    if not moved:
        raise Conflict("This record has been decided on already.", state=record.state)


def discard(record: QuarantinedRecord, actor: User) -> None:
    with transaction.atomic():
        _decide(record, actor, State.DISCARDED, None)


def adopt(record: QuarantinedRecord, session: Session, actor: User) -> Story:
    """Make the record a story of the session, marked as legacy; raises Invalid when it cannot be."""
    with transaction.atomic():
        _decide(record, actor, State.ADOPTED, session)
        story = _story(record, session)
        story.save(force_insert=True)
        events.record(
            session,
            feed.WRITTEN,
            {
                "story": feed.payload(story),
                "queue": posts.queue_payload(session),
                "adopted": record.pk,
            },
            story.completed_at,
            Extra(shares=story_shares(story, ())),
            story_count=1,
            words=story.word_count,
            narration_seconds=story.duration,
        )
        return story


def _story(record: QuarantinedRecord, session: Session) -> Story:
    data = record.payload
    narrative = clean_text(str(data.get("narrative") or ""), 20_000)
    if not narrative:
        raise Invalid(f"Record {record.pk} has no narrative, so it cannot become a story.")
    words = word_count(narrative)
    return Story(
        session=session,
        origin=Story.Origin.LEGACY,
        state=Story.State.AIRED,
        title=clean_line(str(data.get("title") or narrative), 300),
        narrative=narrative,
        summary=clean_text(str(data.get("summary") or ""), 2_000),
        tone=_choice(data, "tone", Story.Tone.values, Story.Tone.DEVELOPING),
        priority=_choice(data, "priority", Story.Priority.values, Story.Priority.MEDIUM),
        sentiment=_choice(data, "sentiment", ["positive", "neutral", "negative"], "neutral"),
        topics=[clean_line(str(t), 40) for t in _list(data.get("topics"))[:5]],
        note="Adopted from quarantine.",
        word_count=words,
        duration=max(1, round(words * 60 / (session.pace or STANDARD_PACE))),
        completed_at=timezone.now(),
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _choice(data: dict[str, Any], key: str, allowed: list[str], otherwise: str) -> str:
    value = data.get(key)
    return value if value in allowed else otherwise
