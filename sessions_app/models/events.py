"""Events of a session, steps of background work, and messages."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.lookups import IsNull
from django.utils import timezone

from sessions_app.models.ai_chain import AILink
from sessions_app.models.session import InSession


class AboutStory(models.Func):
    """The id of the story that a payload is about, as text.

    The database uses an index on this expression only for queries that spell it the same way.
    """

    # As text on both databases, because PostgreSQL's operator returns text.
    template = "CAST(JSON_EXTRACT(%(expressions)s, '$.story.id') AS TEXT)"
    output_field = models.TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        path = "(%(expressions)s #>> '{story,id}')"
        return self.as_sql(compiler, connection, template=path, **more)


class AboutPost(models.Func):
    """The id of the post that a payload is about, as text."""

    template = "CAST(JSON_EXTRACT(%(expressions)s, '$.post.id') AS TEXT)"
    output_field = models.TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        path = "(%(expressions)s #>> '{post,id}')"
        return self.as_sql(compiler, connection, template=path, **more)


class SessionEvent(InSession):
    """An event of a session; ``seq`` has no gaps within a session and is in commit order."""

    seq = models.BigIntegerField()
    type = models.CharField(max_length=40)
    payload = models.JSONField()
    at = models.DateTimeField(default=timezone.now)
    # ``at`` is the time of an event.
    created_at = None  # type: ignore[assignment]

    class Meta:
        ordering = ("session_id", "seq")
        constraints = (
            # Two writers that compute the same seq cannot both commit.
            models.UniqueConstraint(fields=("session", "seq"), name="event_seq_once"),
            models.CheckConstraint(condition=Q(seq__gte=1), name="event_seq_from_1"),
        )
        indexes = (
            # Traces look up the events of one story or post. Most events have neither.
            models.Index(
                models.F("session"),
                AboutStory("payload"),
                name="event_of_story",
                condition=Q(IsNull(AboutStory("payload"), False)),
            ),
            models.Index(
                models.F("session"),
                AboutPost("payload"),
                name="event_of_post",
                condition=Q(IsNull(AboutPost("payload"), False)),
            ),
        )

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class Step(InSession):
    """A piece of background work of at most 90 s; the row is both its outbox and its lease."""

    class State(models.TextChoices):
        PENDING = "pending"
        LEASED = "leased"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN = (State.PENDING, State.LEASED)

    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=40, help_text="Id of the row the step is about.")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    due_at = models.DateTimeField()
    # Raised by each claim; a worker whose epoch is lower has lost the step.
    epoch = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    poked_at = models.DateTimeField(null=True, blank=True)
    task_id = models.CharField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text="The message by which it was claimed last; delivered again, it takes the lease over.",
    )
    last_error = models.CharField(max_length=500, blank=True)
    origin = models.JSONField(
        null=True,
        editable=False,
        help_text="Its cause, for logs: request, user, operation and trace.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            # Enqueueing the same work twice gives one step.
            models.UniqueConstraint(
                fields=("kind", "subject"),
                condition=Q(state__in=("pending", "leased")),
                name="step_open_once",
            ),
            models.CheckConstraint(
                condition=Q(state="leased", lease_until__isnull=False)
                | (~Q(state="leased") & Q(lease_until__isnull=True)),
                name="step_lease_when_leased",
            ),
        )
        indexes = (
            # The sweeper reads due and expired steps in each round. Most steps are done, so the
            # indexes hold only the open ones.
            models.Index(fields=("due_at",), condition=Q(state="pending"), name="step_due"),
            models.Index(fields=("lease_until",), condition=Q(state="leased"), name="step_lease"),
            # "enqueue" looks up the open steps of a session.
            models.Index(fields=("session", "state"), name="step_session_state"),
            models.Index(fields=("kind", "subject"), name="step_by_subject"),
        )

    def __str__(self) -> str:
        return f"{self.kind}({self.subject})"


class Message(InSession):
    """A message in a session, e.g. a notice about a source, a question of the owner or its answer."""

    class Role(models.TextChoices):
        HUMAN = "human"
        HOST = "host"
        PRODUCER = "producer"
        SYSTEM = "system"

    role = models.CharField(max_length=12, choices=Role)
    code = models.CharField(max_length=40, blank=True)
    text = models.CharField(max_length=2000)
    reply_to = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="replies"
    )
    link = models.ForeignKey(
        AILink, null=True, blank=True, on_delete=models.PROTECT, related_name="messages"
    )
    # {"commands": [{"command", "payload", "sentence"}], "outcome"}: see PlanPayload in the recorder.
    plan = models.JSONField(null=True, blank=True, help_text="Commands proposed to the user.")
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        # The chat is read from its newest message on, a page at a time by key.
        indexes = (models.Index(fields=("session", "-id"), name="message_newest"),)

    def __str__(self) -> str:
        return self.text[:60]


class FailedWork(models.Model):
    """A unit of background work that keeps failing; ``sessions_app.background.isolation`` writes it.

    ``about_session`` is no foreign key: the row is a note for the operator and no part of a
    session, and a rule as a whole belongs to none.
    """

    rule = models.CharField(max_length=60)
    unit = models.CharField(max_length=200)
    about_session = models.UUIDField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=60, blank=True)
    next_try_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "failed work"
        constraints = (models.UniqueConstraint(fields=("rule", "unit"), name="failed_work_once"),)

    def __str__(self) -> str:
        return f"{self.rule} {self.unit}"

    @property
    def sentence(self) -> str:
        """What failed, and what happens now."""
        return (
            f"“{self.rule}” failed {self.tries} times for {self.unit} ({self.error}) and is set "
            "aside. Everything else continues. It is tried again once a day; the studio's log has "
            "the error."
        )


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


class AuditReport(models.Model):
    """The result of all audits on one day; ``sessions_app.audit_reports`` writes it."""

    day = models.DateField(unique=True, help_text="In UTC.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    audits = models.PositiveIntegerField(default=0)
    findings = models.PositiveIntegerField(default=0)
    details = models.JSONField(default=list, help_text="The first findings, as sentences.")

    def __str__(self) -> str:
        return f"audits of {self.day}"

    @property
    def sentence(self) -> str:
        """What was found, and what to do."""
        at = f"{self.finished_at:%d %B %H:%M} UTC" if self.finished_at else "not finished"
        if not self.findings:
            return f"{self.audits} audits without a finding ({at})."
        one = "finding" if self.findings == 1 else "findings"
        return (
            f"{self.findings} {one} in {self.audits} audits ({at}). The admin lists them under "
            "“Audit reports”; Docs, Operations, says what to do."
        )
