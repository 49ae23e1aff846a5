"""Runs with their changes of state, airings, sounds, episodes, recaps, transfers and slots."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from broadcast.states import State
from sessions_app.models import AILink, Artifact, InSession
from stories.models import Story


class Broadcast(InSession):
    """One run: from Go Live until the session is idle again."""

    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=[(s, s) for s in State], default=State.IDLE)
    epoch = models.PositiveIntegerField(default=0)
    hold = models.JSONField(null=True, blank=True, help_text="null or {code, sentence, until}")
    ending = models.JSONField(
        null=True, blank=True, help_text="A stop that can be undone: null or {when, at, by}"
    )
    since = models.DateTimeField(help_text="When the present state was entered.")
    started_at = models.DateTimeField(null=True, blank=True)
    live_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    peak_audience = models.PositiveIntegerField(
        default=0, db_default=0, help_text="The most viewers and listeners at a time."
    )
    ai_head = models.ForeignKey(
        AILink,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The latest link of the AI chain that this run made.",
    )

    class Meta:
        verbose_name = "broadcast run"
        constraints = (
            models.UniqueConstraint(fields=("session", "number"), name="run_number_once"),
            # A session has at most one run that is not idle, also when two requests start it at
            # once.
            models.UniqueConstraint(
                fields=("session",), condition=~Q(state="idle"), name="run_active_once"
            ),
        )
        # The reaper looks for busy runs every second.
        indexes = (models.Index(fields=("state", "since"), name="run_state"),)

    def __str__(self) -> str:
        return f"run {self.number}"


class StateChange(InSession):
    """One transition of a run, for audits."""

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
            # Each transition raises the epoch, so two of them cannot both follow the same state.
            models.UniqueConstraint(fields=("run", "epoch"), name="change_epoch_once"),
            models.UniqueConstraint(fields=("session", "seq"), name="change_seq_once"),
        )

    def __str__(self) -> str:
        return f"{self.from_state} → {self.to_state}"


class Airing(InSession):
    """When a story was on air, and in which run."""

    run = models.ForeignKey(Broadcast, on_delete=models.PROTECT, related_name="airings")
    story = models.ForeignKey(Story, on_delete=models.PROTECT, related_name="airings")
    aired_at = models.DateTimeField()
    finish_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("run", "story"), name="airing_once"),
            # At most one story of a session is on air.
            models.UniqueConstraint(
                fields=("session",),
                condition=Q(finished_at__isnull=True),
                name="airing_one_at_a_time",
            ),
        )
        indexes = (models.Index(fields=("session", "-id"), name="airing_newest"),)

    def __str__(self) -> str:
        return f"airing of story {self.story_id}"


class Recorded(InSession):
    """A sound file in the data folder."""

    class State(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        FAILED = "failed"
        DROPPED = "dropped"

    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    path = models.CharField(max_length=200, blank=True, help_text="Relative to the data folder.")
    media_type = models.CharField(max_length=40, blank=True)
    bytes = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        abstract = True


class Sound(Recorded):
    """The recorded speech of a story; each version has its own."""

    story = models.ForeignKey(Story, on_delete=models.PROTECT, related_name="sounds")
    version = models.PositiveIntegerField(default=1)
    engine = models.CharField(max_length=24, blank=True)
    voice = models.CharField(max_length=40, blank=True)
    times = models.JSONField(
        default=list,
        db_default=models.Value("[]"),
        help_text="Begin and end of each caption in seconds; empty for a sound of an old version.",
    )

    class Meta:
        constraints = (models.UniqueConstraint(fields=("story", "version"), name="sound_once"),)
        # Retention looks for old sounds in all sessions.
        indexes = (models.Index(fields=("state", "created_at"), name="sound_age"),)

    def __str__(self) -> str:
        return f"sound of story {self.story_id}"


class Episode(Recorded):
    """A finished run as one sound file, for the podcast."""

    run = models.OneToOneField(Broadcast, on_delete=models.PROTECT, related_name="episode")
    title = models.CharField(max_length=200)
    contents = models.JSONField(
        default=list,
        db_default=models.Value("[]"),
        help_text="Its parts in order, as episodes.Part; empty for an episode of an old version.",
    )

    class Meta:
        indexes = (models.Index(fields=("session", "-id"), name="episode_newest"),)

    def __str__(self) -> str:
        return self.title


class AudioStream(InSession):
    """What the audio stream of a session plays; an installation's own, so no export has it."""

    asked_at = models.DateTimeField(help_text="When a listener was last noted.")
    planned = models.ForeignKey(
        Airing,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The latest airing that was planned or passed over.",
    )
    parts = models.JSONField(
        default=list, help_text="The last and the next minutes in order, as plan.Part."
    )
    identified_at = models.DateTimeField(
        null=True, blank=True, help_text="When the station last identifies itself."
    )
    announced_at = models.DateTimeField(
        null=True, blank=True, help_text="When it last says why nothing is read."
    )
    revision = models.PositiveIntegerField(default=0, help_text="Raised by each change of parts.")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("session",), name="audio_stream_once"),)

    def __str__(self) -> str:
        return f"audio stream of {self.session_id}"


class Recap(InSession):
    """The title, summary, topics and keywords of a finished run."""

    run = models.OneToOneField(Broadcast, on_delete=models.PROTECT, related_name="recap")
    title = models.CharField(max_length=200)
    summary = models.TextField()
    topics = models.JSONField(default=list)
    keywords = models.JSONField(default=list, help_text="Three to look into next.")
    link = models.ForeignKey(
        AILink, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        indexes = (models.Index(fields=("session", "-id"), name="recap_newest"),)

    def __str__(self) -> str:
        return self.title


class Transfer(InSession):
    """An export or import of a session; it resumes where it was interrupted."""

    class Way(models.TextChoices):
        EXPORT = "export"
        IMPORT = "import"

    class State(models.TextChoices):
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"

    way = models.CharField(max_length=6, choices=Way)
    format = models.CharField(max_length=4, help_text="json, csv, md, srt or zip.")
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    done = models.PositiveBigIntegerField(default=0, help_text="Rows.")
    total = models.PositiveBigIntegerField(default=0, help_text="Rows.")
    cursor = models.JSONField(default=dict, help_text="How far it has come.")
    error = models.CharField(max_length=500, blank=True)
    artifact = models.ForeignKey(
        Artifact, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)

    class Meta:
        indexes = (models.Index(fields=("session", "-id"), name="transfer_newest"),)

    def __str__(self) -> str:
        return f"{self.way} as {self.format}"


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
