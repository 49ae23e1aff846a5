"""Going on air: runs, their changes of state, and when each story really was on air."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from broadcast.states import State
from sessions_app.models import InSession
from stories.models import Story


class Broadcast(InSession):
    """One run: from the click on Go Live to idle again."""

    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=[(s, s) for s in State], default=State.IDLE)
    epoch = models.PositiveIntegerField(default=0)
    hold = models.JSONField(null=True, blank=True, help_text="null or {code, sentence, until}")
    since = models.DateTimeField(help_text="When the present state was entered.")
    started_at = models.DateTimeField(null=True, blank=True)
    live_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = "broadcast run"
        constraints = (
            models.UniqueConstraint(fields=("session", "number"), name="run_number_once"),
            models.UniqueConstraint(
                fields=("session",), condition=~Q(state="idle"), name="run_active_once"
            ),
        )
        indexes = (models.Index(fields=("state", "since"), name="run_state"),)

    def __str__(self) -> str:
        return f"run {self.number}"


class StateChange(InSession):
    """The audit row of one transition."""

    run = models.ForeignKey(Broadcast, on_delete=models.PROTECT, related_name="changes")
    from_state = models.CharField(max_length=12)
    to_state = models.CharField(max_length=12)
    cause = models.CharField(max_length=24)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    epoch = models.PositiveIntegerField()
    seq = models.BigIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("run", "epoch"), name="change_epoch_once"),
            models.UniqueConstraint(fields=("session", "seq"), name="change_seq_once"),
        )

    def __str__(self) -> str:
        return f"{self.from_state} → {self.to_state}"


class Airing(InSession):
    """When a story really was on air, in which run."""

    run = models.ForeignKey(Broadcast, on_delete=models.PROTECT, related_name="airings")
    story = models.ForeignKey(Story, on_delete=models.PROTECT, related_name="airings")
    aired_at = models.DateTimeField()
    finish_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("run", "story"), name="airing_once"),
            models.UniqueConstraint(
                fields=("session",),
                condition=Q(finished_at__isnull=True),
                name="airing_one_at_a_time",
            ),
        )
        indexes = (models.Index(fields=("session", "-id"), name="airing_newest"),)

    def __str__(self) -> str:
        return f"airing of story {self.story_id}"
