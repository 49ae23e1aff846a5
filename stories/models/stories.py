"""Models of stories, their threads and versions, and the ledger of model usage."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from sessions_app.models import AILink, InSession, Message
from stories.models.drafts import Draft
from stories.models.sources import SourcePost


class StoryThread(InSession):
    """Stories of a session about the same subject, in the order of publication."""

    title = models.CharField(max_length=300)
    story_count = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = (models.Index(fields=("session", "-updated_at", "-id"), name="thread_newest"),)

    def __str__(self) -> str:
        return self.title[:80]


class Story(InSession):
    """A narrated text. It comes from at most one post, and a post has at most one story."""

    class Origin(models.TextChoices):
        MODEL = "model"
        EXTRACTIVE = "extractive"
        MANUAL = "manual"
        DRAFT = "draft"
        LEGACY = "legacy"
        RECAP = "recap"

    class State(models.TextChoices):
        WRITTEN = "written"
        APPROVED = "approved"
        VETOED = "vetoed"
        AIRING = "airing"
        AIRED = "aired"
        KILLED = "killed"

    # Not vetoed and not pulled: these can be corrected, followed up and spoken.
    OPEN = (State.WRITTEN, State.APPROVED, State.AIRING, State.AIRED)

    class Tone(models.TextChoices):
        BREAKING = "breaking"
        DEVELOPING = "developing"
        ANALYSIS = "analysis"
        OPINION = "opinion"
        HUMAN_INTEREST = "human-interest"

    class Priority(models.TextChoices):
        HIGH = "high"
        MEDIUM = "medium"
        LOW = "low"

    class Relation(models.TextChoices):
        FOLLOW_UP = "follow-up", "follow-up"
        CLARIFICATION = "clarification"
        CORRECTION = "correction"
        DEVELOPMENT = "new-development", "new development"

    post = models.OneToOneField(
        SourcePost, null=True, blank=True, on_delete=models.PROTECT, related_name="story"
    )
    origin = models.CharField(max_length=12, choices=Origin)
    state = models.CharField(max_length=10, choices=State, default=State.WRITTEN)
    title = models.CharField(max_length=300)
    narrative = models.TextField()
    summary = models.TextField(blank=True)
    tone = models.CharField(max_length=16, choices=Tone)
    priority = models.CharField(max_length=8, choices=Priority)
    agent_type = models.CharField(max_length=16, default="host")
    sentiment = models.CharField(max_length=10, default="neutral")
    topics = models.JSONField(default=list)
    model = models.CharField(max_length=80, blank=True)
    note = models.CharField(max_length=300, blank=True)
    word_count = models.PositiveIntegerField()
    duration = models.PositiveIntegerField(help_text="Seconds when spoken at the session's pace.")
    completed_at = models.DateTimeField()
    thread = models.ForeignKey(
        StoryThread, null=True, blank=True, on_delete=models.PROTECT, related_name="stories"
    )
    relation = models.CharField(
        max_length=16,
        choices=Relation,
        blank=True,
        help_text="Relation to the earlier story of its thread.",
    )
    draft = models.OneToOneField(
        Draft, null=True, blank=True, on_delete=models.PROTECT, related_name="story"
    )
    cuts_in = models.BooleanField(default=False, help_text="Airs before all waiting stories.")
    bookmarked_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The user who approved it for air, or who wrote it.",
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_as = models.CharField(
        max_length=80,
        blank=True,
        db_default="",
        default="",
        help_text="That user's public name then; empty: an editor.",
    )
    label_off = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether that user takes responsibility, and pages omit the AI label.",
    )
    passages = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        help_text="Its sentences, each with the passages of the sources that support it.",
    )
    dropped = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        help_text="Sentences that failed the check against their passages, with the reason.",
    )
    held = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Waits for an editor, because sentences failed the check.",
    )
    ungrounded_aired = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="Sentences that aired without a passage or an editor; expected to be 0.",
    )
    version = models.PositiveIntegerField(default=1)
    corrected_at = models.DateTimeField(null=True, blank=True)
    correction = models.CharField(
        max_length=300, blank=True, help_text="Description of the correction."
    )
    legacy_id = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001

    class Meta:
        verbose_name_plural = "stories"
        constraints = (
            models.CheckConstraint(
                # Only a person, a draft or the old system writes a story without a post.
                condition=~Q(origin__in=("model", "extractive")) | Q(post__isnull=False),
                name="story_origin_has_post",
            ),
            models.UniqueConstraint(
                # An import that runs twice, or twice at once, stores a row once.
                fields=("legacy_id",),
                condition=Q(legacy_id__isnull=False),
                name="story_legacy_once",
            ),
        )
        indexes = (
            models.Index(fields=("session", "-id"), name="story_newest"),
            models.Index(
                # For the queue of stories that wait for air.
                fields=("session", "id"),
                condition=Q(state__in=("written", "approved")),
                name="story_waiting",
            ),
            models.Index(
                fields=("session", "-id"),
                # For the list of bookmarks.
                condition=Q(bookmarked_at__isnull=False),
                name="story_bookmarked",
            ),
            # For the stories of a thread, in order of publication.
            models.Index(fields=("thread", "id"), name="story_in_thread"),
            models.Index(
                fields=("session", "-id"),
                # For the live feed, which shows published stories only.
                condition=Q(state__in=("airing", "aired")),
                name="story_told",
            ),
            # For filtered searches, newest first.
            models.Index(fields=("session", "state", "-id"), name="story_by_state"),
            models.Index(fields=("session", "tone", "-id"), name="story_by_tone"),
            models.Index(fields=("session", "priority", "-id"), name="story_by_priority"),
            # For searches by day.
            models.Index(fields=("session", "created_at", "id"), name="story_by_moment"),
        )

    def __str__(self) -> str:
        return self.title[:80]


class StoryReport(InSession):
    """A post that a story covers besides its own post, and how."""

    class Role(models.TextChoices):
        REPORT = "report", "reports the same event"
        REPEATED = "repeated", "came later and brought nothing new"
        BACKGROUND = "background", "reported earlier; the story brings it up to date"
        SUPERSEDED = "superseded", "older than the story"

    # A story that uses these posts, or that they repeat, credits them.
    CREDITED = (Role.REPORT, Role.REPEATED, Role.BACKGROUND)

    story = models.ForeignKey(Story, on_delete=models.PROTECT, related_name="reports")
    # A post belongs to one story at most: a report that two stories credit would count twice.
    post = models.OneToOneField(SourcePost, on_delete=models.PROTECT, related_name="report")
    role = models.CharField(max_length=12, choices=Role)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.role} report of story {self.story_id}"


class StoryVersion(InSession):
    """A version of a story's text: the first one and each correction. Versions never change."""

    story = models.ForeignKey(Story, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=300)
    narrative = models.TextField()
    reason = models.CharField(max_length=300, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    passages = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        help_text="Its sentences, each with the passages of the sources that support it.",
    )

    class Meta:
        constraints = (
            # Two corrections at once cannot both write the same number.
            models.UniqueConstraint(fields=("story", "number"), name="story_version_once"),
        )

    def __str__(self) -> str:
        return f"version {self.number} of story {self.story_id}"


class TokenUsage(InSession):
    """One HTTP request to a model: stored before it is sent, closed with the usage in the answer."""

    class State(models.TextChoices):
        RESERVED = "reserved"
        STARTED = "started"
        FINAL = "final"
        BOUNDED = "bounded"

    # Attempts whose usage is not known yet; the ledger bounds them after a crash.
    OPEN = (State.RESERVED, State.STARTED)

    attempt = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    operation = models.CharField(max_length=24)
    state = models.CharField(max_length=10, choices=State, default=State.RESERVED)
    step = models.ForeignKey(
        "sessions_app.Step", null=True, on_delete=models.PROTECT, related_name="+"
    )
    epoch = models.PositiveIntegerField(default=0)
    post = models.ForeignKey(SourcePost, null=True, blank=True, on_delete=models.PROTECT)
    story = models.ForeignKey(Story, null=True, blank=True, on_delete=models.PROTECT)
    draft = models.ForeignKey(Draft, null=True, blank=True, on_delete=models.PROTECT)
    question = models.ForeignKey(Message, null=True, blank=True, on_delete=models.PROTECT)
    link = models.OneToOneField(
        AILink, null=True, blank=True, on_delete=models.PROTECT, related_name="usage"
    )
    model = models.CharField(max_length=80)
    max_tokens = models.PositiveIntegerField()
    input_upper = models.PositiveIntegerField(
        default=0, help_text="Upper bound of the prompt's tokens."
    )
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_5m_tokens = models.BigIntegerField(default=0)
    cache_write_1h_tokens = models.BigIntegerField(default=0)
    web_searches = models.PositiveIntegerField(default=0)
    cost_lower = models.BigIntegerField(default=0, help_text="In 10⁻¹² USD.")
    cost_upper = models.BigIntegerField(default=0, help_text="In 10⁻¹² USD.")
    cache_saved = models.BigIntegerField(
        default=0, help_text="In 10⁻¹² USD; negative where the cache cost more than it saved."
    )
    unpriced = models.BooleanField(default=False, help_text="No price is known for the model.")
    price_version = models.CharField(max_length=40, blank=True)
    request_id = models.CharField(max_length=80, blank=True)
    message_id = models.CharField(max_length=80, blank=True)
    service_tier = models.CharField(max_length=20, blank=True)
    inference_geo = models.CharField(max_length=20, blank=True, default="", db_default="")
    doubt = models.CharField(
        max_length=80,
        blank=True,
        default="",
        db_default="",
        help_text="Why the usage of a complete answer is bounded; empty where it is not.",
    )
    stop_reason = models.CharField(max_length=40, blank=True)
    error = models.CharField(max_length=60, blank=True)
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    legacy_id = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001
    reported_cost = models.BigIntegerField(
        null=True, blank=True, help_text="In 10⁻¹² USD, as the old system reported it."
    )

    class Meta:
        verbose_name_plural = "token usage"
        constraints = (
            models.CheckConstraint(
                # The budget is checked against the upper bound, so it must not be below the lower one.
                condition=Q(cost_lower__gte=0, cost_upper__gte=models.F("cost_lower")),
                name="usage_bounds_in_order",
            ),
            models.UniqueConstraint(
                fields=("legacy_id",),
                condition=Q(legacy_id__isnull=False),
                name="usage_legacy_once",
            ),
        )
        indexes = (
            models.Index(fields=("session", "-id"), name="usage_newest"),
            models.Index(
                # For the attempts that a crashed worker left open.
                fields=("session", "step"),
                condition=Q(state__in=("reserved", "started")),
                name="usage_open",
            ),
            models.Index(
                # For the cost of a draft; partial, because most usage belongs to no draft.
                fields=("draft", "id"),
                condition=Q(draft__isnull=False),
                name="usage_of_draft",
            ),
        )

    def __str__(self) -> str:
        return f"{self.operation} {self.model}"

    @property
    def exact(self) -> bool:
        """Whether the counts come from the API, and are not bounds."""
        return self.state == self.State.FINAL
