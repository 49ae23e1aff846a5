"""Models of the market: sources and keywords of a session with their posts over time."""

from __future__ import annotations

from django.db import models

from sessions_app.models import InSession
from stories.models.sources import SourcePost


class Trend(InSession):
    """A source or a keyword of a session, with totals over all of its posts."""

    class Kind(models.TextChoices):
        SOURCE = "source"
        KEYWORD = "keyword"

    kind = models.CharField(max_length=8, choices=Kind)
    key = models.CharField(max_length=80, help_text="Folded keyword, or the id of the source.")
    label = models.CharField(max_length=2000, help_text="As pages show it.")
    posts = models.PositiveIntegerField(default=0)
    engagement = models.BigIntegerField(default=0, help_text="Votes plus twice the comments.")
    quality = models.FloatField(default=0, help_text="Sum of the posts' priorities.")
    told = models.PositiveIntegerField(default=0, help_text="Posts that became stories.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = (
            # The key of the upsert that counts posts.
            models.UniqueConstraint(fields=("session", "kind", "key"), name="trend_once"),
        )
        # For the market, which lists the largest trends of one kind.
        indexes = (models.Index(fields=("session", "kind", "-posts", "id"), name="trend_volume"),)

    def __str__(self) -> str:
        return self.label[:80]


class TrendBucket(InSession):
    """The posts of a trend within 1, 5, 15 or 60 minutes from ``start``."""

    # Saves a column and an index in the largest table of the market; ``start`` has the time.
    created_at = None  # type: ignore[assignment]
    trend = models.ForeignKey(Trend, on_delete=models.PROTECT, related_name="buckets")
    size = models.PositiveSmallIntegerField(help_text="Minutes: 1, 5, 15 or 60.")
    start = models.DateTimeField()
    posts = models.PositiveIntegerField(default=0)
    engagement = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            # The key of the upsert that counts posts.
            models.UniqueConstraint(fields=("trend", "size", "start"), name="trend_bucket_once"),
        )
        indexes = (
            models.Index(fields=("session", "size", "-start"), name="trend_bucket_newest"),
            # For retention, which deletes small buckets by age in all sessions.
            models.Index(fields=("size", "start"), name="trend_bucket_age"),
        )

    def __str__(self) -> str:
        return f"{self.size} min from {self.start:%H:%M}"


class TrendPost(InSession):
    """A link from a keyword to a post that names it."""

    created_at = None  # type: ignore[assignment]
    trend = models.ForeignKey(Trend, on_delete=models.PROTECT, related_name="+")
    post = models.ForeignKey(SourcePost, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("trend", "post"), name="trend_post_once"),)

    def __str__(self) -> str:
        return f"{self.trend_id} in {self.post_id}"


class BoardKeyword(InSession):
    """A keyword that a person added to one of the boards of the writers' room."""

    class Board(models.TextChoices):
        IDEAS = "ideas"
        RESEARCH = "research"
        TRENDING = "trending"
        ARCHIVE = "archive"

    board = models.CharField(max_length=10, choices=Board, default=Board.IDEAS)
    text = models.CharField(max_length=80)
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-moved_at", "-id")
        constraints = (
            # Compares exactly; other spellings of a keyword are refused by boards.add().
            models.UniqueConstraint(fields=("session", "text"), name="board_keyword_once"),
        )

    def __str__(self) -> str:
        return self.text
