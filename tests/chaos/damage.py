"""Damages every table and column, as a broken disk or a hand in the database would.

The triggers are dropped and the checks switched off. Each damage must be found by an audit, or its
column is listed as harmless with the reason: no figure, page, attribution or money depends on it.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from django.apps import apps
from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from broadcast import airing
from broadcast.models import Airing, AudioStream
from sessions_app import api_tokens, audits, constraints, credentials, preferences
from sessions_app.background import isolation
from sessions_app.events import archive as events_archive
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.models import Artifact, AuditReport, IdempotencyKey, Session
from stories import stories
from stories.models import QuarantinedRecord, SourcePost, Story, StoryReport, StoryThread
from stories.quarantine import decisions, records
from stories.search import index
from tests.archived_events import archive, grow_old
from tests.broadcast.session_with_history import with_a_past
from tests.broadcast.speech.recorded_session import press
from tests.conftest import MakeSession, run_due_steps

OURS = ("sessions_app", "stories", "broadcast")
# What dropped triggers are found by, whatever else is damaged.
OF_THE_SCHEMA = ("schema", "search-schema")

OF_A_ROW = "Set whenever the row is saved or added; nothing reads it or shows it."
OF_A_SETTING = "A setting that its page shows and lets change; what was made with it has a copy."
OF_A_LIMIT = "A limit of the workspace: Settings shows it, and within its range any value is valid."
OF_A_KEY = "Shown beside a key, which is asked for again where it is missing or does not work."
OF_A_TOKEN = "For its owner to tell tokens apart; a token that is gone is refused, and replaced."
OF_AN_ANSWER = "An answer for repeated requests, deleted after some days; no row is read from it."
OF_A_STEP = "The course of work: what is missing is made again, and audits check what is open."
OF_A_FAILURE = "A note for the operator about work that failed; the next try replaces it."
OF_A_REPORT = "The result of the audits of one day; those of the next day replace it."
OF_PRESENCE = "Who was in a session last; the next request renews it."
OF_THE_ORDER = "Only the order of posts that wait, which people may change at any time."
OF_A_CLAIM = "Read only while a step has the post, and then checked by it."
OF_SOURCE_GROUPS = "A suggestion of sources in Settings; the sources of a session are copies."
OF_A_BOUND = "Bounds the cost of a call that broke off, when it is closed; shown nowhere."
OF_A_STREAM = "The plan of an audio stream for some minutes: without it the stream begins again."
OF_A_FOLDER = "Made with the first file of a session; audits find another name than its files have."
OF_AN_ACT = "Which decisions are undone together; each can be undone alone as well."
OF_PROGRESS = "How far an export has come, shown while it runs."
OF_A_PRICE = "Part of the cost when the call closed, which has columns of its own; shown nowhere."
OF_A_CASE = "A note for the person who decides: what is adopted is the record, which has a digest."
OF_IDENTITY = "A post that is read again and has another id here is known by its address and words."
OF_A_LEASE = "With another epoch or state a worker loses its claim, or the work is done once more."

# Columns and tables whose damage does no harm, each with the reason: no figure, no attribution, no
# money and nothing that a page shows of a session depends on it. The audits find many anyway.
HARMLESS: dict[str, str] = {
    **dict.fromkeys(
        (
            "sessions_app_session.updated_at",
            "sessions_app_workspace.updated_at",
            "sessions_app_preferences.updated_at",
            "sessions_app_participant.created_at",
            "sessions_app_chain.created_at",
            "stories_interest.created_at",
            "stories_trend.created_at",
            "stories_boardkeyword.created_at",
            "stories_quarantinedrecord.created_at",
            "stories_storythread.created_at",
            "stories_storyreport.created_at",
            "broadcast_slot.created_at",
            "broadcast_sound.created_at",
            "broadcast_sound.error",
            "broadcast_episode.error",
        ),
        OF_A_ROW,
    ),
    **dict.fromkeys(
        (
            "sessions_app_preferences",
            "sessions_app_preferences.theme",
            "sessions_app_preferences.byline",
            "sessions_app_preferences.needs_sound",
            "sessions_app_preferences.defaults",
            "sessions_app_workspace",
            "sessions_app_workspace.defaults",
        ),
        OF_A_SETTING,
    ),
    **{
        f"sessions_app_workspace.{name}": OF_A_LIMIT
        for name in (
            "keep_fine_days",
            "keep_answers_days",
            "keep_sounds_days",
            "keep_transitions_days",
            "keep_events_days",
            "artifact_quota_mb",
            "compact_tokens",
            "reset_operations",
            "draft_idle_minutes",
        )
    },
    **{
        f"sessions_app_sealedkey{name}": OF_A_KEY
        for name in ("", ".set_at", ".tested_at", ".verdict")
    },
    **{
        f"sessions_app_apitoken{name}": OF_A_TOKEN
        for name in ("", ".name", ".last_four", ".created_at", ".last_used_at")
    },
    **{
        f"sessions_app_idempotencykey{name}": OF_AN_ANSWER
        for name in ("", ".key", ".digest", ".status", ".answer", ".created_at", ".owner_id")
    },
    **{
        f"sessions_app_step{name}": OF_A_STEP
        for name in (
            "",
            ".session_id",
            ".created_at",
            ".kind",
            ".subject",
            ".due_at",
            ".attempts",
            ".poked_at",
            ".task_id",
            ".last_error",
            ".origin",
            ".updated_at",
        )
    },
    **{
        f"sessions_app_failedwork{name}": OF_A_FAILURE
        for name in (
            "",
            ".rule",
            ".unit",
            ".about_session",
            ".tries",
            ".error",
            ".next_try_at",
            ".created_at",
        )
    },
    **{
        f"sessions_app_auditreport{name}": OF_A_REPORT
        for name in ("", ".day", ".started_at", ".finished_at", ".audits", ".findings", ".details")
    },
    "sessions_app_session.folder": OF_A_FOLDER,
    "stories_quarantinedecision.act": OF_AN_ACT,
    "sessions_app_participant": OF_PRESENCE,
    "sessions_app_participant.last_active_at": OF_PRESENCE,
    "sessions_app_participant.session_id": OF_PRESENCE,
    "stories_sourcepost.rank": OF_THE_ORDER,
    "stories_sourcepost.pinned": OF_THE_ORDER,
    "stories_sourcepost.chosen": OF_THE_ORDER,
    "broadcast_transfer.cursor": OF_PROGRESS,
    "stories_sourcepost.external_id": OF_IDENTITY,
    "stories_sourcepost.epoch": OF_A_CLAIM,
    "stories_sourcepost.attempts": OF_A_CLAIM,
    **{
        f"stories_sourcegroup{name}": OF_SOURCE_GROUPS
        for name in ("", ".name", ".description", ".position", ".sources")
    },
    "stories_tokenusage.max_tokens": OF_A_BOUND,
    "stories_tokenusage.input_upper": OF_A_BOUND,
    "stories_tokenusage.web_searches": OF_A_PRICE,
    "stories_tokenusage.service_tier": OF_A_PRICE,
    "stories_quarantinedrecord.reason": OF_A_CASE,
    "sessions_app_step.state": OF_A_LEASE,
    "sessions_app_step.epoch": OF_A_LEASE,
    "stories_source.cursor": "Where the next poll begins: a post that is known is not added twice.",
    **{
        f"broadcast_audiostream{name}": OF_A_STREAM
        for name in (
            "",
            ".created_at",
            ".asked_at",
            ".planned_id",
            ".parts",
            ".identified_at",
            ".announced_at",
            ".revision",
        )
    },
    "broadcast_transfer.done": OF_PROGRESS,
    "broadcast_transfer.total": OF_PROGRESS,
}


def a_past(make_session: MakeSession) -> None:
    """Two sessions, of which one has something of nearly everything."""
    session = with_a_past(make_session("Evening"))
    make_session("Morning")
    StoryThread.objects.update(story_count=1)
    for story in Story.objects.all():
        # What the history changed without an event, as no product code does, gets one.
        press(story.session, "story.bookmark", story=story.pk, on=True)
    credentials.save(session.owner, "anthropic", {"api_key": "sk-ant-a-key-of-the-owner"})
    api_tokens.make(session.owner)
    records.put("story", {"title": "x"}, old_session="a", old_id="1", reason="No session.")
    now = timezone.now()
    AuditReport.objects.create(day=now.date(), started_at=now, finished_at=now)
    isolation.note("Rule", "unit", None, ValueError())
    with_what_few_sessions_have(session)
    # As on a day after the last upgrade: what was just made may still be without its rows.
    MigrationRecorder.Migration.objects.update(applied=now - timedelta(days=1))
    stored = Artifact.objects.exclude(state=Artifact.State.DROPPED)
    for path in stored.values_list("path", flat=True):
        with suppress(FileNotFoundError):
            os.utime(storage.full_path(path), (now.timestamp() - 86_400,) * 2)


def with_what_few_sessions_have(session: Session) -> None:
    """A report of another post, an export, archived events, preferences and a discarded record."""
    published = Story.objects.filter(session=session).exclude(post=None).latest("pk")
    spare = SourcePost.objects.filter(session=session, state__in=SourcePost.WAITING).latest("pk")
    with transaction.atomic():
        SourcePost.objects.filter(pk=spare.pk).update(state=SourcePost.State.PUBLISHED)
        StoryReport.objects.create(session=session, story=published, post=spare, role="report")
        payload = airing.story_payload(stories.find(session, published.pk))
        recorder.record(session, "story.credited", {"story": payload, "public": {}}, queue=-1)
    press(session, "export.start", format="json")
    run_due_steps(session)
    latest = Airing.objects.filter(session=session).latest("pk")
    AudioStream.objects.create(session=session, asked_at=timezone.now(), planned=latest)
    preferences.choose_theme(session.owner, "dark")
    IdempotencyKey.objects.create(owner=session.owner, key="k", digest="d", status=200)
    decisions.discard(QuarantinedRecord.objects.get(), session.owner)
    grow_old(session, 20)
    with patch.object(events_archive, "NEWEST", 20):
        archive()


@contextmanager
def undone() -> Iterator[None]:
    """Takes back what the block has done to the database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def without_guards() -> Iterator[None]:
    """No trigger and no check refuses a damage; foreign keys wait for a commit that never comes."""
    names = constraints.expected(connection)
    names |= {name for one in index.INDEXES for name, _ in index.triggers(one)}
    with undone(), connection.cursor() as cursor:
        for name in sorted(names):
            cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"')
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        try:
            yield
        finally:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def changed_leaf(value: Any) -> Any:
    """The JSON with another value somewhere inside."""
    if isinstance(value, dict) and value:
        key = min(value)
        return {**value, key: changed_leaf(value[key])}
    if isinstance(value, list) and value:
        return [changed_leaf(value[0]), *value[1:]]
    return "damaged" if value != "damaged" else "broken"


def other_values(column: models.Field[Any, Any], value: Any, chance: random.Random) -> list[Any]:
    """Values that the column does not have, and that the database would store."""
    others: list[Any] = []
    if column.null and value is not None:
        others.append(None)
    if isinstance(column, models.ForeignKey):
        target = column.target_field
        keys = list(
            column.related_model._base_manager.exclude(pk=value).values_list("pk", flat=True)
        )
        others += [
            target.get_db_prep_value(key, connection)
            for key in chance.sample(keys, min(1, len(keys)))
        ]
        others.append(uuid4().hex if isinstance(value, UUID) else 10**9)
    elif column.choices:
        others += [
            chance.choice([key for key, _ in column.flatchoices if key != value]),
            "nonsense" if isinstance(value, str) else 77,
        ]
    elif isinstance(column, models.BooleanField):
        others.append(not value)
    elif isinstance(column, models.FloatField):
        others.append((value or 0) + 0.5)
    elif isinstance(column, models.IntegerField):
        others += [(value or 0) + 1, (value or 0) + chance.randint(2, 10**6), -5]
    elif isinstance(column, models.DateTimeField):
        shift = timedelta(days=chance.randint(2, 30)) * chance.choice((-1, 1))
        base = value or datetime.now().astimezone()
        others.append(column.get_db_prep_value(base + shift, connection))
    elif isinstance(column, models.TimeField):
        others.append(str(time((value.hour + 5) % 24)))
    elif isinstance(column, models.UUIDField):
        others.append(uuid4().hex)
    elif isinstance(column, models.JSONField):
        others += [
            "{",
            json.dumps(type(value)() if isinstance(value, (dict, list)) else {}),
            json.dumps(changed_leaf(value)),
        ]
        others = [other for other in others if other != json.dumps(value)]
    elif isinstance(column, models.BinaryField):
        others.append(b"\x00")
    else:
        text = str(value or "")
        at = chance.randrange(len(text) + 1)
        others += [f"{text[:at]}x{text[at:]}"[: column.max_length or None], *([""] if text else [])]
        others = [other for other in others if other != text] or ["q" * len(text)]
    return others


def found() -> str:
    """The first finding, or ""."""
    for name in audits.names():
        if name not in OF_THE_SCHEMA:
            for finding in audits.run(name):
                return f"{finding.audit}: {finding.detail}"
    return ""


def change(row: models.Model, field: models.Field[Any, Any], other: Any) -> bool:
    """Store another value; returns False where even the bare table refuses it."""
    table, key = row._meta.db_table, row._meta.pk
    query = f'UPDATE "{table}" SET "{field.column}" = %s WHERE "{key.column}" = %s'
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(query, [other, key.get_db_prep_value(row.pk, connection)])
    # Two rows of the same key, nothing where something has to be, or no JSON where it is indexed.
    except (IntegrityError, OperationalError):
        return False
    return True


def remove(row: models.Model) -> None:
    table, key = row._meta.db_table, row._meta.pk
    with connection.cursor() as cursor:
        value = key.get_db_prep_value(row.pk, connection)
        cursor.execute(f'DELETE FROM "{table}" WHERE "{key.column}" = %s', [value])


@dataclass
class Damages:
    """How many damages were done, and which of them no audit found."""

    chance: random.Random
    done: int = 0
    missed: list[str] = field(default_factory=list)
    harmless: int = 0

    def note(self, what: str, name: str) -> None:
        self.done += 1
        if name in HARMLESS:
            self.harmless += 1
        elif not found():
            self.missed.append(what)

    def damage(self, column: models.Field[Any, Any], rows: list[models.Model]) -> None:
        """Damages the column in one row, in one way."""
        name = f"{column.model._meta.db_table}.{column.column}"
        row = self.chance.choice(rows)
        value = getattr(row, column.attname)
        others = other_values(column, value, self.chance)
        self.chance.shuffle(others)
        for other in others:
            with undone():
                if change(row, column, other):
                    self.note(f"{name}: {str(value)[:60]!r} -> {str(other)[:60]!r}", name)
                    break

    def lose(self, model: type[models.Model], rows: list[models.Model]) -> None:
        """Removes one row."""
        with undone():
            remove(self.chance.choice(rows))
            name = model._meta.db_table
            self.note(f"{name}: a row is gone", name)


def damage(only: Iterable[str], seed: int) -> Damages:
    """Damages the columns and tables named, or all; the seed draws the rows and the ways."""
    names = frozenset(only)
    damages = Damages(random.Random(seed))
    with without_guards():
        assert found() == ""
        for model in [model for app in OURS for model in apps.get_app_config(app).get_models()]:
            table = model._meta.db_table
            rows = list(model._base_manager.order_by("pk"))
            if not rows:
                damages.missed.append(f"{table}: there is no row to damage")
                continue
            for column in model._meta.concrete_fields:
                named = not names or f"{table}.{column.column}" in names
                if named and not column.primary_key:
                    damages.damage(column, rows)
            if not names or table in names:
                damages.lose(model, rows)
    return damages
