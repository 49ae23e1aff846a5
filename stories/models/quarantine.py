"""Models of quarantine: records without a session, and the decisions about them."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class QuarantinedRecord(models.Model):
    """A record without a session: an imported row of a deleted session, or a late answer.

    The only table of this app whose session is optional. ``adopted_by`` is the session that a
    person has added the record to.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        ADOPTED = "adopted"
        DISCARDED = "discarded"

    kind = models.CharField(max_length=24, help_text="story, usage, …")
    old_session = models.CharField(max_length=200, blank=True, db_index=True)
    old_id = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=200)
    payload = models.JSONField()
    at = models.DateTimeField(null=True, blank=True, help_text="Time in the record itself.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="User who imported it.",
    )
    place = models.CharField(max_length=200, blank=True, help_text="File and line it came from.")
    # Makes an import repeatable: the same record is stored once.
    digest = models.CharField(max_length=64, unique=True, help_text="Of kind, old id and payload.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    adopted_by = models.ForeignKey(
        "sessions_app.Session", null=True, blank=True, on_delete=models.PROTECT
    )
    row_id = models.BigIntegerField(
        null=True, blank=True, help_text="Id of the story or usage row made from it."
    )

    class Meta:
        indexes = (
            # For the admin pages, which list waiting records in groups.
            models.Index(fields=("state", "old_session", "reason"), name="quarantine_group"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.old_id or self.pk}"


class QuarantineDecision(models.Model):
    """A decision about a record, or its reversal; rows are never changed.

    Decisions that were made together share one ``act``, so that they can be undone together.
    """

    class Action(models.TextChoices):
        ADOPT = "adopt"
        DISCARD = "discard"
        UNDO = "undo"

    record = models.ForeignKey(
        QuarantinedRecord, on_delete=models.PROTECT, related_name="decisions"
    )
    act = models.UUIDField(db_index=True)
    action = models.CharField(max_length=8, choices=Action)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    to = models.ForeignKey(
        "sessions_app.Session", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.action} of record {self.record_id}"
