"""Models of the schedule."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from sessions_app.models import InSession


class Slot(InSession):
    """A part of the week in which the session is on air automatically."""

    days = models.PositiveSmallIntegerField(help_text="Bits: 1 = Monday … 64 = Sunday.")
    on_at = models.TimeField()
    off_at = models.TimeField(help_text="Before or at ``on_at``: on the next day.")
    zone = models.CharField(max_length=60, default="UTC", help_text="IANA name of the time zone.")
    enabled = models.BooleanField(default=True)
    run = models.ForeignKey(
        "broadcast.Broadcast",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The run this slot started and will stop.",
    )
    note = models.CharField(max_length=300, blank=True, help_text="How its last turn went.")

    class Meta:
        ordering = ("id",)
        constraints = (models.CheckConstraint(condition=Q(days__range=(1, 127)), name="slot_days"),)

    def __str__(self) -> str:
        return f"{self.on_at:%H:%M} to {self.off_at:%H:%M}"
