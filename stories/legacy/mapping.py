"""Maps documents of the old system to sessions, aired stories and closed usage rows.

Each old session becomes one idle session with its own date. The string in a row that names its
session decides which session it belongs to, or why it belongs to none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from copy import copy
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Generic, TypeVar

from django.contrib.auth.models import User
from django.db import DEFAULT_DB_ALIAS, connection, connections, models

from sessions_app import sessions
from sessions_app.events import recorder
from sessions_app.files.storage import folder_name
from sessions_app.models import Session, SessionStats
from sessions_app.money import from_usd
from stories.legacy.documents import SessionDocument, StoryDocument, UsageDocument
from stories.models import Story, TokenUsage
from stories.text.addresses import canonical_url
from stories.text.cleaning import clean_line, clean_text
from stories.types import SENTIMENTS
from stories.usage import pricing
from stories.usage.types import Counts

NOTE = "From the old system"

# Some models have higher prices for long prompts; up to here each token costs the same.
PLAIN_TOKENS = 100_000


class Rows:
    """Makes the rows of one session from old documents, without storing them."""

    def __init__(self, session: Session) -> None:
        self._stories = RowTemplate(
            Story(session=session, origin=str(Story.Origin.LEGACY), state=str(Story.State.AIRED))
        )
        self._usage = RowTemplate(
            TokenUsage(
                session=session,
                state=str(TokenUsage.State.FINAL),
                max_tokens=0,
                price_version=pricing.VERSION,
            )
        )

    def story(self, document: StoryDocument) -> Story:
        """Returns the story as it was aired, with the words and seconds counted at that time."""
        narrative = clean_text(document.narrative, 20_000)
        item = document.original_item
        title = document.title or (item.title if item else "") or narrative
        note = f"{NOTE}."
        if item is not None:
            # The post itself was not stored in the old system.
            author = f"by {item.author}" if item.author else ""
            subreddit = f"in r/{item.subreddit}" if item.subreddit else ""
            origin = (author, subreddit, canonical_url(item.url or ""))
            note = f"{NOTE}: “{item.title[:160]}” {' '.join(filter(None, origin))}"
        return self._stories.row(
            title=clean_line(title, 300) or clean_line(narrative, 300),
            narrative=narrative,
            summary=clean_text(document.summary or "", 2_000),
            tone=document.tone,
            priority=document.priority,
            agent_type=_identifier(document.agent_type, 16),
            sentiment=document.sentiment if document.sentiment in SENTIMENTS else "neutral",
            topics=[clean_line(topic, 40) for topic in (document.topics or [])[:5]],
            note=clean_line(note, 300),
            word_count=document.word_count,
            duration=document.duration,
            created_at=document.created_at,
            completed_at=document.completed_at,
            legacy_id=document.old_id,
        )

    def usage(self, document: UsageDocument) -> TokenUsage:
        """Returns the call as it was reported, with our own price beside the reported one."""
        cost = price(document.model, document.input_tokens, document.output_tokens)
        return self._usage.row(
            operation=f"{document.request_type}-{document.action}",
            model=_identifier(document.model, 80),
            input_tokens=document.input_tokens,
            output_tokens=document.output_tokens,
            cost_lower=cost or 0,
            cost_upper=cost or 0,
            unpriced=cost is None,
            request_id=_identifier(document.request_id, 80),
            error="" if document.success else clean_line(document.error_message or "failed", 60),
            duration_ms=document.duration,
            created_at=document.timestamp,
            closed_at=document.timestamp,
            legacy_id=document.old_id,
            # repr gives the shortest decimal of the float, which is what the old system wrote.
            reported_cost=from_usd(Decimal(repr(document.estimated_cost))),
        )


def _identifier(text: str, limit: int) -> str:
    # Written by a program, so it needs less cleaning than prose.
    return text.replace("\0", "")[:limit]


def price(model: str, input_tokens: int, output_tokens: int) -> int | None:
    """Returns the cost of a call in 10⁻¹² USD; None where no price is known."""
    if not input_tokens and not output_tokens:
        return 0
    # Above it the price depends on the length of the prompt, so the whole call is priced.
    if input_tokens > PLAIN_TOKENS:
        return _cost(model, input_tokens, output_tokens)
    per_input, per_output = _costs_per_token(model)
    if per_input is None or per_output is None:
        return None
    return per_input * input_tokens + per_output * output_tokens


# An import needs them for every call of a model.
@lru_cache(maxsize=2000)
def _costs_per_token(model: str) -> tuple[int | None, int | None]:
    return _cost(model, 1, 0), _cost(model, 0, 1)


def _cost(model: str, input_tokens: int, output_tokens: int) -> int | None:
    try:
        return pricing.price(model, Counts(input_tokens, output_tokens)).cost
    except pricing.UnknownModel:
        return None


PREFIX = "legacy:"

# Settings of the old system that do not exist here.
DROPPED = ("temperature", "maxTokens", "topP", "frequencyPenalty", "presencePenalty")


_HOST_FORM = re.compile(r"host-session-(\d{13})-\w+")
_TAB_FORM = re.compile(r"session-(\d{13})(?:-\w+)?")
_ID_FORM = re.compile(r"[0-9a-z]{20,40}")


ABSENT = "No session is named."
HOST_FORM = "A name that the host gave itself; no session ever had it."
TAB_FORM = "A name that a browser's tab gave itself; no session ever had it."
UNKNOWN = "The session is not in the export: it was deleted, or its row is damaged."
NO_ID = "The name is not one that a session can have."


def why_without_session(named: str) -> str:
    """Returns the reason why no session belongs to this string."""
    if not named:
        return ABSENT
    if _HOST_FORM.fullmatch(named):
        return HOST_FORM
    if _TAB_FORM.fullmatch(named):
        return TAB_FORM
    return UNKNOWN if _ID_FORM.fullmatch(named) else NO_ID


def moment_named(named: str) -> float | None:
    """Returns the time that the string contains, in seconds since 1970."""
    match = _HOST_FORM.fullmatch(named) or _TAB_FORM.fullmatch(named)
    return int(match[1]) / 1000 if match else None


def imported_sessions(old_ids: Iterable[str]) -> dict[str, Session]:
    """Returns the imported sessions of any owner by their old ids.

    Old rows exist only once, so they belong to the session wherever it was imported.
    """
    possible = [
        PREFIX + old_id for old_id in set(old_ids) if 0 < len(old_id) <= 64 and "\0" not in old_id
    ]
    rows = Session.objects.filter(imported_id__in=possible)
    return {session.imported_id.removeprefix(PREFIX): session for session in rows}


def create_sessions(documents: Sequence[SessionDocument], owner: User) -> None:
    """Creates sessions with their counters and events, in the caller's transaction."""
    created: list[Session] = []
    for document in documents:
        session = Session(
            owner=owner,
            name=clean_line(document.name, 120) or f"Session of {document.made:%Y-%m-%d}",
            type=Session.Type.IMPORTED,
            status=document.status,
            control_mode=document.settings.control_mode,
            imported_id=PREFIX + document.old_id,
            created_at=document.made,
        )
        # A session needs a model, so an empty name is replaced with the default.
        session.model = clean_line(document.settings.model, 80) or session.model
        session.folder = folder_name(session.name, document.made.date(), session.pk)
        created.append(session)
    # The ids are made here and not by the database, so the rows can refer to each other at once.
    Session.objects.bulk_create(created)
    SessionStats.objects.bulk_create([SessionStats(session=session) for session in created])
    for session, document in zip(created, documents, strict=True):
        old = {"id": document.old_id, "broadcast_state": document.broadcast_state}
        shown = {"session": sessions.payload(session), "legacy": old}
        recorder.record(session, recorder.SESSION_CHANGED, shown)


def left_out(documents: Iterable[SessionDocument]) -> Counter[str]:
    """Counts what the sessions lose: settings that do not exist here, and being on air."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(f"setting {name}" for name in DROPPED)
        if document.broadcast_state not in {None, "idle"}:
            counts["stopped"] += 1
    return counts


Row = TypeVar("Row", bound=models.Model)
_STORED_AS_IS = (models.CharField, models.TextField, models.IntegerField, models.BooleanField)


class RowTemplate(Generic[Row]):
    """Makes rows that share most values, faster than a constructor that sets every field."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._defaults = [
            (field.attname, field.get_default)
            for field in row._meta.concrete_fields
            if field.has_default() and callable(field.default)
        ]

    def row(self, **values: object) -> Row:
        """Returns a new row; values are set as attributes and not checked."""
        row = object.__new__(type(self._row))
        # The state object is copied too: rows that share it would all count as saved with the
        # first.
        row.__dict__.update(vars(self._row), _state=copy(self._row._state))
        row.__dict__.update((name, default()) for name, default in self._defaults)
        row.__dict__.update(values)
        return row


def insert(rows: Sequence[models.Model]) -> None:
    """Inserts complete rows of one model, without setting their ids."""
    if not rows:
        return
    fields = [field for field in type(rows[0])._meta.concrete_fields if not field.primary_key]
    values_of = itemgetter(*(field.attname for field in fields))
    # Columns instead of rows, because most columns need no conversion at all.
    columns = list(zip(*(values_of(vars(row)) for row in rows), strict=True))
    database = connections[DEFAULT_DB_ALIAS]
    for index, field in enumerate(fields):
        prepare = field.get_db_prep_save
        overridden = type(field).get_db_prep_save is not models.Field.get_db_prep_save
        if isinstance(field, _STORED_AS_IS) and not overridden:
            continue
        values = columns[index]
        if values.count(values[0]) == len(values):
            # One value for all rows, such as the session: convert it once.
            columns[index] = (prepare(values[0], database),) * len(values)
        else:
            columns[index] = tuple(
                None if value is None else prepare(value, database) for value in values
            )
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    table = quote(rows[0]._meta.db_table)
    with connection.cursor() as cursor:
        # Both drivers send the rows without an answer for each, which is why no ids are set.
        cursor.executemany(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
            list(zip(*columns, strict=True)),
        )
