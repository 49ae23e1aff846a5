"""Models of sources, their posts, groups of sources, and the interests of a session."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from sessions_app.models import InSession


class Source(InSession):
    """A feed, subreddit or recording that a session reads posts from."""

    class Health(models.TextChoices):
        NEW = "new"
        OK = "ok"
        WAITING = "waiting"
        PAUSED = "paused"
        FAILED = "failed"
        FINISHED = "finished"

    class Kind(models.TextChoices):
        """A kind of source; ``stories.sources.registry`` has the adapter of each."""

        REDDIT = "reddit", "Reddit"
        RSS = "rss", "RSS or Atom feed"
        RECORDING = "recording", "Recording (invented posts)"

    kind = models.CharField(max_length=12, choices=Kind)
    locator = models.CharField(max_length=2000)
    # A locator is too long for an index of PostgreSQL, so its digest is unique instead.
    locator_digest = models.CharField(max_length=64, editable=False)
    sort = models.CharField(max_length=12, blank=True)
    enabled = models.BooleanField(default=True)
    added_at = models.DateTimeField(default=timezone.now)
    cursor = models.JSONField(default=dict, blank=True)
    health = models.CharField(max_length=10, choices=Health, default=Health.NEW)
    note = models.CharField(max_length=500, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    last_polled_at = models.DateTimeField(null=True, blank=True)
    posts = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("added_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("session", "kind", "locator_digest", "sort"), name="source_once"
            ),
        )

    def __str__(self) -> str:
        return self.locator


class SourcePost(InSession):
    """A post that was read from a source, with the parts of its priority."""

    class State(models.TextChoices):
        QUEUED = "queued"
        CLAIMED = "claimed"
        PUBLISHED = "told", "Told"
        SKIPPED = "skipped"
        HELD = "held"
        FAILED = "failed"

    WAITING = (State.QUEUED, State.HELD)

    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="posts_read")
    external_id = models.CharField(max_length=255)
    title = models.CharField(max_length=500)
    body = models.TextField(blank=True)
    author = models.CharField(max_length=200, blank=True)
    outlet = models.CharField(
        max_length=120,
        blank=True,
        default="",
        help_text="Who published it, where that is not the source itself.",
    )
    url = models.CharField(max_length=2000, blank=True)
    url_digest = models.CharField(max_length=64, blank=True)
    score = models.IntegerField(default=0)
    comments = models.IntegerField(default=0)
    published_at = models.DateTimeField(null=True, blank=True)
    priority = models.FloatField(default=0)
    label = models.CharField(max_length=8, default="low")
    parts = models.JSONField(default=dict)
    rank = models.FloatField(
        default=0, help_text="Priority with ageing; the highest is narrated next."
    )
    pinned = models.BooleanField(
        default=False, help_text="Narrated before all posts that are not pinned."
    )
    chosen = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A person placed it, so it airs although newer stories may have overtaken it.",
    )
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    reason = models.CharField(max_length=200, blank=True)
    duplicate_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT)
    step = models.ForeignKey(
        "sessions_app.Step", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    epoch = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                # A post that a feed still lists at the next poll is not stored again.
                fields=("session", "source", "external_id"),
                name="post_external_once",
            ),
            models.CheckConstraint(
                # A claimed post without a step would never be narrated or released.
                condition=~Q(state="claimed") | Q(step__isnull=False),
                name="post_claim_has_step",
            ),
        )
        indexes = (
            models.Index(fields=("session", "-id"), name="post_newest"),
            models.Index(
                # The order in which the host claims posts; partial, because most posts are done.
                fields=("session", "-pinned", "-rank", "id"),
                condition=Q(state="queued"),
                name="post_next",
            ),
            models.Index(
                # For the search for duplicates by address.
                fields=("session", "url_digest"),
                condition=~Q(url_digest=""),
                name="post_url",
            ),
            models.Index(fields=("session", "state"), name="post_state"),
            # For the posts of a source on the market.
            models.Index(fields=("source", "-id"), name="post_of_source"),
            # For filtered searches, newest first.
            models.Index(fields=("session", "label", "-id"), name="post_by_label"),
            # For searches by day.
            models.Index(fields=("session", "created_at", "id"), name="post_by_moment"),
        )

    def __str__(self) -> str:
        return self.title[:80]


class SourceGroup(models.Model):
    """A named set of sources to add to a session at once; it belongs to the workspace."""

    name = models.CharField(max_length=60, unique=True)
    description = models.CharField(max_length=200, blank=True)
    sources = models.JSONField(default=list, help_text="[{kind, locator, sort}]")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("position", "name")

    def __str__(self) -> str:
        return self.name


class Interest(InSession):
    """A word that raises or lowers the priority of posts that contain it."""

    MORE, LESS = 1, -1

    text = models.CharField(max_length=60)
    folded = models.CharField(max_length=120, help_text="As compared: case-folded, single spaces.")
    weight = models.SmallIntegerField(choices=((MORE, "more"), (LESS, "less")))

    class Meta:
        ordering = ("id",)
        constraints = (
            # An interest that is wanted both more and less would cancel itself out.
            models.UniqueConstraint(fields=("session", "folded"), name="interest_once"),
            models.CheckConstraint(condition=models.Q(weight__in=(1, -1)), name="interest_weight"),
        )

    def __str__(self) -> str:
        return f"{self.get_weight_display()} {self.text}"
