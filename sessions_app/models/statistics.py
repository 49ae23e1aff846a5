"""Figures of a session over time and by kind; only ``sessions_app.events`` writes them."""

from __future__ import annotations

from django.db import models

from sessions_app.models.session import InSession


class Bucket(InSession):
    """The figures of a session in the 1, 5, 15 or 60 minutes from ``start`` on."""

    created_at = None  # type: ignore[assignment]
    size = models.PositiveSmallIntegerField(help_text="Minutes: 1, 5, 15 or 60.")
    start = models.DateTimeField()
    story_count = models.BigIntegerField(default=0)
    words = models.BigIntegerField(default=0)
    aired = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    cost_lower = models.BigIntegerField(default=0, help_text="In 10⁻¹² USD.")
    cost_upper = models.BigIntegerField(default=0, help_text="In 10⁻¹² USD.")
    cache_saved = models.BigIntegerField(
        default=0, help_text="Saved by the cache, in 10⁻¹² USD; may be negative."
    )
    calls = models.BigIntegerField(default=0, help_text="Model attempts that ended.")
    bounded = models.BigIntegerField(default=0, help_text="Of them, known by bounds only.")
    failed = models.BigIntegerField(default=0, help_text="Of them, ended with an error.")
    call_ms = models.BigIntegerField(default=0, help_text="Sum over calls with a known length.")
    timed = models.BigIntegerField(default=0, help_text="Calls with a known length.")
    first_token_ms = models.BigIntegerField(default=0, help_text="Sum over ``first_tokens``.")
    first_tokens = models.BigIntegerField(default=0, help_text="Calls with a first token.")
    feed = models.BigIntegerField(default=0, help_text="Posts read.")
    messages = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("session", "size", "start"), name="bucket_once"),
            models.CheckConstraint(condition=models.Q(size__in=(1, 5, 15, 60)), name="bucket_size"),
        )
        # Retention looks for old buckets of the fine sizes in all sessions.
        indexes = (models.Index(fields=("size", "start"), name="bucket_age"),)

    def __str__(self) -> str:
        return f"{self.size} min from {self.start:%H:%M}"


class Tally(InSession):
    """Sums of a session by one key of one dimension, e.g. tone = breaking."""

    created_at = None  # type: ignore[assignment]

    class Dimension(models.TextChoices):
        TONE = "tone"
        PRIORITY = "priority"
        SOURCE = "source"
        MODEL = "model"
        OPERATION = "operation"

    dimension = models.CharField(max_length=12, choices=Dimension)
    key = models.CharField(max_length=200)
    count = models.BigIntegerField(default=0, help_text="Stories, or calls of a model.")
    words = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost_lower = models.BigIntegerField(default=0, help_text="In 10⁻¹² USD.")
    cost_upper = models.BigIntegerField(default=0, help_text="In 10⁻¹² USD.")
    bounded = models.BigIntegerField(default=0, help_text="Calls known by bounds only.")

    class Meta:
        verbose_name_plural = "tallies"
        constraints = (
            models.UniqueConstraint(fields=("session", "dimension", "key"), name="tally_once"),
        )

    def __str__(self) -> str:
        return f"{self.dimension} {self.key}"
