"""Settings of users and of the workspace, their encrypted provider keys, API tokens and participants."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from sessions_app.models.session import InSession

DAYS = (MinValueValidator(1), MaxValueValidator(3650))


class Preferences(models.Model):
    """The preferences of a user; ``defaults`` are narration settings of new sessions."""

    class Theme(models.TextChoices):
        SYSTEM = "system", "as the system"
        DARK = "dark"
        LIGHT = "light"

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="preferences",
    )
    theme = models.CharField(max_length=8, choices=Theme, default=Theme.SYSTEM)
    defaults = models.JSONField(default=dict, blank=True)
    byline = models.CharField(
        max_length=80,
        blank=True,
        default="",
        db_default="",
        help_text="Name shown to the audience with stories the user approves or writes.",
    )
    needs_sound = models.BooleanField(
        default=False, db_default=False, help_text="A sound when something new needs the user."
    )
    needs_sent = models.JSONField(
        default=dict,
        blank=True,
        db_default=models.Value("{}"),
        help_text="Which needs the webhook was sent, by session.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"


class SealedKey(models.Model):
    """An encrypted key of a user for a service; it can be replaced and used, but never shown."""

    class Service(models.TextChoices):
        ANTHROPIC = "anthropic", "Anthropic"
        REDDIT = "reddit", "Reddit"
        WEBHOOK = "webhook", "webhook"

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sealed_keys"
    )
    service = models.CharField(max_length=12, choices=Service)
    sealed = models.TextField(help_text="Encrypted, bound to its owner and service.")
    last_four = models.CharField(max_length=4)
    set_at = models.DateTimeField(auto_now=True)
    tested_at = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(max_length=300, blank=True, help_text="Result of the last test.")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("owner", "service"), name="sealed_key_once"),
        )

    def __str__(self) -> str:
        return f"{self.service} …{self.last_four}"


class Workspace(models.Model):
    """The single row of settings that all users of this installation share."""

    defaults = models.JSONField(default=dict, blank=True)
    keep_fine_days = models.PositiveIntegerField(
        default=30, validators=DAYS, help_text="Days the 1- and 5-minute figures are stored."
    )
    keep_answers_days = models.PositiveIntegerField(
        default=7,
        validators=DAYS,
        help_text="Days the answers to repeated API requests are stored.",
    )
    keep_sounds_days = models.PositiveIntegerField(
        default=90, validators=DAYS, help_text="Days the sound of single stories is stored."
    )
    keep_transitions_days = models.PositiveIntegerField(
        default=30, validators=DAYS, help_text="Days until steps of the AI chain are archived."
    )
    keep_events_days = models.PositiveIntegerField(
        default=90, validators=DAYS, help_text="Days until events of sessions are archived."
    )
    artifact_quota_mb = models.PositiveIntegerField(
        default=2048,
        validators=(MinValueValidator(10), MaxValueValidator(1_000_000)),
        help_text="Megabytes that the artifacts of one session may take.",
    )
    compact_tokens = models.PositiveIntegerField(
        default=4000,
        validators=(MinValueValidator(500), MaxValueValidator(100_000)),
        help_text="Tokens after which the context is summarised.",
    )
    reset_operations = models.PositiveIntegerField(
        default=500,
        validators=(MinValueValidator(10), MaxValueValidator(100_000)),
        help_text="Model operations after which the context is reset.",
    )
    draft_idle_minutes = models.PositiveIntegerField(
        default=120,
        validators=(MinValueValidator(5), MaxValueValidator(43_200)),
        help_text="Minutes without activity after which a draft expires.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "workspace"
        # The settings are always read by this key.
        constraints = (
            models.CheckConstraint(condition=models.Q(pk=1), name="workspace_is_one_row"),
        )

    def __str__(self) -> str:
        return "workspace"


class Participant(InSession):
    """A user who works in a session, with the time of the last activity."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    last_active_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("session", "user"), name="participant_once"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} in {self.session_id}"


class ApiToken(models.Model):
    """A bearer token of a user; the token itself is shown once, and only its hash is stored."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    name = models.CharField(max_length=80, default="command line")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token.")
    last_four = models.CharField(max_length=4)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} …{self.last_four}"


class IdempotencyKey(models.Model):
    """The stored answer to a POST, which a retry gets again without a second effect."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("owner", "key"), name="idempotency_key_once"),
        )

    def __str__(self) -> str:
        return self.key
