"""The session, to which every other row belongs, its counters, and the base model of those rows."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.expressions import Combinable

if TYPE_CHECKING:
    _DateTimeField: TypeAlias = models.DateTimeField[datetime | Combinable, datetime]
else:
    _DateTimeField = models.DateTimeField


class CreatedAt(_DateTimeField):
    """A field with ``auto_now_add`` that leaves a given time unchanged, as imports need it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "auto_now_add": True})

    # Django's own auto_now_add overwrites a value that is given.
    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        given = getattr(model_instance, self.attname)
        return given if add and given else super().pre_save(model_instance, add)

    # Migrations see a plain DateTimeField, as the column is the same.
    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, options


class InSession(models.Model):
    """A row of exactly one session, which is required and cannot be changed.

    The database refuses a row whose parents belong to another session: see
    ``sessions_app.constraints``.
    """

    session = models.ForeignKey("sessions_app.Session", on_delete=models.PROTECT)
    created_at = CreatedAt()

    class Meta:
        abstract = True


Person: TypeAlias = AbstractBaseUser | AnonymousUser

DEFAULT_MODEL = "claude-haiku-5-5"
DEFAULT_PACE = 180  # words a minute


def new_watch_token() -> str:
    """Returns a random part of a public address (256 bits)."""
    return secrets.token_urlsafe(32)


MOST_PRONUNCIATIONS = 100


def pronunciations(text: str) -> dict[str, str]:
    """Returns the words of a list with their spoken forms; raises ValidationError for a wrong line.

    A line is ``word = spoken form``.
    """
    rules: dict[str, str] = {}
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, start=1):
        word, equals, spoken = (part.strip() for part in line.partition("="))
        if line and not (equals and word and spoken):
            raise ValidationError(f"Line {number}: write “word = spoken form”.")
        if len(word) > 60 or len(spoken) > 120:
            raise ValidationError(
                f"Line {number}: at most 60 characters before “=” and 120 after it."
            )
        if line:
            rules[word] = spoken
    if len(rules) > MOST_PRONUNCIATIONS:
        raise ValidationError(f"At most {MOST_PRONUNCIATIONS} words can have a spoken form.")
    return rules


def check_pronunciations(text: str) -> None:
    """Raises ValidationError unless each line of the list is ``word = spoken form``."""
    pronunciations(text)


class SessionQuerySet(models.QuerySet["Session"]):
    def for_user(self, user: Person) -> Self:
        """Returns the sessions of this user; every access of a caller starts here."""
        return self.filter(owner_id=user.pk) if user.is_authenticated else self.none()


class Session(models.Model):
    """A newsroom session: its owner, its narration settings and its public page."""

    class Type(models.TextChoices):
        BROADCAST = "broadcast"
        WRITING = "writing"
        IMPORTED = "imported"
        REPLAY = "replay"

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        ARCHIVED = "archived"

    class Personality(models.TextChoices):
        FORMAL = "formal"
        CONVERSATIONAL = "conversational"
        ANALYTICAL = "analytical"
        ENERGETIC = "energetic"

    class Verbosity(models.TextChoices):
        CONCISE = "concise"
        DETAILED = "detailed"
        COMPREHENSIVE = "comprehensive"

    class ControlMode(models.TextChoices):
        HANDS_FREE = "hands-free", "hands-free: stories air automatically"
        BALANCED = "balanced", "balanced: stories air unless vetoed"
        FULL_CONTROL = "full-control", "full control: stories wait for approval"

    class BreakingRule(models.TextChoices):
        ANY = "any", "one report is enough"
        TWO_OUTLETS = "two-outlets", "two independent outlets"

    class Embedding(models.TextChoices):
        OFF = "off", "not in pages of other sites"
        ANYWHERE = "anywhere", "in pages of any site"

    class AILabel(models.TextChoices):
        ALWAYS = "always", "on every story"
        UNREVIEWED = "unreviewed", "not on stories an editor approved and answers for"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="newsroom_sessions"
    )
    name = models.CharField(max_length=120)
    type = models.CharField(max_length=12, choices=Type, default=Type.BROADCAST)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    model = models.CharField(max_length=80, default=DEFAULT_MODEL)
    personality = models.CharField(
        max_length=16, choices=Personality, default=Personality.CONVERSATIONAL
    )
    verbosity = models.CharField(max_length=16, choices=Verbosity, default=Verbosity.DETAILED)
    pace = models.PositiveIntegerField(
        default=DEFAULT_PACE,
        validators=[MinValueValidator(0), MaxValueValidator(6000)],
        help_text="Words a minute, 60 to 6000; 0 = no waiting on air.",
    )
    language = models.CharField(max_length=35, default="en")
    instructions = models.TextField(max_length=2000, blank=True)
    control_mode = models.CharField(
        max_length=16, choices=ControlMode, default=ControlMode.HANDS_FREE
    )
    ai_label = models.CharField(
        "AI label",
        max_length=10,
        choices=AILabel,
        default=AILabel.ALWAYS,
        db_default=AILabel.ALWAYS,
        help_text="Where pages say how a story was made; feeds and files always carry the mark.",
    )
    breaking_rule = models.CharField(
        "breaking news",
        max_length=12,
        choices=BreakingRule,
        default=BreakingRule.ANY,
        db_default=BreakingRule.ANY,
        help_text="With two outlets, a first report waits up to two hours for a second one.",
    )
    embedding = models.CharField(
        max_length=12,
        choices=Embedding,
        default=Embedding.OFF,
        db_default=Embedding.OFF,
        help_text="Where a frame may show the player of a published session.",
    )
    voice = models.CharField(
        max_length=60,
        blank=True,
        default="",
        db_default="",
        help_text="The voice of the host; empty: the best one for the language.",
    )
    co_voice = models.CharField(
        "second presenter",
        max_length=60,
        blank=True,
        default="",
        db_default="",
        help_text="Reads every other paragraph or sentence; empty: one presenter.",
    )
    pronunciation = models.TextField(
        max_length=4000,
        blank=True,
        default="",
        db_default="",
        validators=[check_pronunciations],
        help_text="How voices say a word, one per line: word = spoken form.",
    )
    budget = models.BigIntegerField(
        null=True, blank=True, validators=[MinValueValidator(0)], help_text="In 10⁻¹² USD."
    )
    folder = models.CharField(
        max_length=120,
        blank=True,
        editable=False,
        help_text="Name of its folder of artifacts; renaming the session does not change it.",
    )
    made_from = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="copies"
    )
    imported_id = models.CharField(
        max_length=120,
        blank=True,
        editable=False,
        help_text="Its id in the export, so that importing it again creates no second session.",
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    visible = models.BooleanField(default=False, help_text="Shown on the public watch page.")
    # Unique, as the public page finds the session by nothing else.
    watch_token = models.CharField(max_length=64, unique=True, default=new_watch_token)
    created_at = CreatedAt()
    updated_at = models.DateTimeField(auto_now=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "id")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(pace=0) | models.Q(pace__range=(60, 6000)),
                name="session_pace",
                violation_error_message="pace: 0, or 60 to 6000 words a minute.",
            ),
            # Two sessions with the same name get different folders; "" is a session without one.
            models.UniqueConstraint(
                fields=("folder",), condition=~models.Q(folder=""), name="session_folder_once"
            ),
            # Importing the same export again finds the session of the first import.
            models.UniqueConstraint(
                fields=("owner", "imported_id"),
                condition=~models.Q(imported_id=""),
                name="session_imported_once",
            ),
        )
        # The session list of an owner is read in this order, a page at a time.
        indexes = (models.Index(fields=("owner", "-created_at", "id"), name="session_owner"),)

    def __str__(self) -> str:
        return self.name


class SessionStats(models.Model):
    """The counters of one session; only ``sessions_app.events.recorder`` writes them."""

    session = models.OneToOneField(
        Session, on_delete=models.PROTECT, primary_key=True, related_name="stats"
    )
    last_seq = models.BigIntegerField(default=0)
    story_count = models.BigIntegerField(default=0)
    words = models.BigIntegerField(default=0)
    narration_seconds = models.BigIntegerField(default=0)
    on_air_seconds = models.BigIntegerField(default=0, help_text="Of finished runs.")
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    cost_lower = models.BigIntegerField(default=0, help_text="In 10⁻¹² USD.")
    cost_upper = models.BigIntegerField(default=0, help_text="In 10⁻¹² USD.")
    cache_saved = models.BigIntegerField(
        default=0, help_text="Saved by the cache, in 10⁻¹² USD; negative where it cost more."
    )
    unpriced = models.BigIntegerField(default=0, help_text="Attempts without a known price.")
    feed = models.BigIntegerField(default=0, help_text="Posts of the session.")
    queue = models.BigIntegerField(default=0, help_text="Posts queued and held.")
    messages = models.BigIntegerField(default=0)
    sentences_dropped = models.BigIntegerField(
        default=0, db_default=0, help_text="Sentences that failed the check before air."
    )
    ungrounded_aired = models.BigIntegerField(
        default=0, db_default=0, help_text="Sentences aired without a passage; expected to be 0."
    )
    last_story_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "session stats"

    def __str__(self) -> str:
        return f"figures of {self.session_id}"
