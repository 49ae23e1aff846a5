"""Files of a session, and the archives of its events and transitions that are stored in them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from sessions_app.models.session import InSession


class Artifact(InSession):
    """A file under the data folder; ``path`` is ``artifacts/<folder>/<category>/<name>``."""

    class Category(models.TextChoices):
        LOGS = "logs"
        RECORDINGS = "recordings"
        SCREENSHOTS = "screenshots"
        DEVTOOLS = "devtools"
        FILES = "files"
        ARCHIVE = "archive"

    class State(models.TextChoices):
        OPEN = "open", "being written"
        READY = "ready"
        DROPPED = "dropped"

    category = models.CharField(max_length=12, choices=Category)
    state = models.CharField(max_length=8, choices=State, default=State.READY)
    name = models.CharField(max_length=160)
    path = models.CharField(max_length=400, unique=True, help_text="Relative to the data folder.")
    media_type = models.CharField(max_length=80, default="application/octet-stream")
    bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Empty while it is written.")
    note = models.CharField(max_length=300, blank=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        # The files page lists one category of a session, newest first.
        indexes = (models.Index(fields=("session", "category", "-id"), name="artifact_newest"),)

    def __str__(self) -> str:
        return self.name


class Archive(InSession):
    """Old events or transitions of a session, without gaps, as compressed JSON lines.

    They are gzipped in the file of ``artifact``. Archives older than artifacts hold zlib data in
    ``packed`` instead.
    """

    class Kind(models.TextChoices):
        EVENTS = "events"
        TRANSITIONS = "transitions"

    kind = models.CharField(max_length=12, choices=Kind, default=Kind.TRANSITIONS)
    first = models.BigIntegerField(help_text="Seq or id of the oldest.")
    last = models.BigIntegerField(help_text="Seq or id of the newest.")
    count = models.PositiveIntegerField()
    joined = models.PositiveIntegerField(default=0, help_text="Transitions other than recoveries.")
    packed = models.BinaryField(null=True, blank=True)
    artifact = models.OneToOneField(
        Artifact, null=True, blank=True, on_delete=models.PROTECT, related_name="archive"
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("session", "kind", "first"), name="archive_once"),
            # Every archive has its data, in the database or in a file.
            models.CheckConstraint(
                condition=models.Q(packed__isnull=False) | models.Q(artifact__isnull=False),
                name="archive_has_content",
            ),
        )
        # Archives are searched from the newest on, for the one that holds a seq or id.
        indexes = (models.Index(fields=("session", "kind", "-last"), name="archive_newest"),)

    def __str__(self) -> str:
        return f"{self.count} {self.kind}"
