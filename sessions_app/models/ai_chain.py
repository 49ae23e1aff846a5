"""The AI chain: the completed model operations of a session, each linked to the one before it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from sessions_app.models.session import InSession, Session


class AILink(InSession):
    """A completed operation; ``previous`` was the head when it was committed."""

    class Source(models.TextChoices):
        NARRATION = "narration"
        CHAT = "chat"
        DRAFT = "draft"
        METADATA = "metadata"
        COMPACTION = "compaction"
        RESET = "reset"

    number = models.PositiveBigIntegerField(help_text="Its place in the chain, from 1.")
    # One-to-one, so that the database refuses a second link behind the same one.
    previous = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="following"
    )
    context_head = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The latest link whose content was sent to the model.",
    )
    run_number = models.PositiveIntegerField(null=True, blank=True)
    source = models.CharField(max_length=12, choices=Source)
    provider_id = models.CharField(max_length=80)
    model = models.CharField(max_length=80, blank=True)
    tokens = models.PositiveIntegerField(
        default=0, help_text="Tokens that it added to the context."
    )
    summary = models.TextField(blank=True, help_text="Summary written by a compaction.")

    class Meta:
        verbose_name = "AI link"
        constraints = (
            models.UniqueConstraint(fields=("session", "number"), name="link_number_once"),
            # Only the first link of a chain has no previous one.
            models.CheckConstraint(
                condition=Q(number=1, previous__isnull=True)
                | Q(number__gt=1, previous__isnull=False),
                name="link_first_alone",
            ),
        )
        indexes = (
            # The latest link of a run.
            models.Index(fields=("session", "run_number", "-number"), name="link_of_run"),
            # A user may enter a provider's id to continue from.
            models.Index(fields=("session", "provider_id", "-number"), name="link_by_provider_id"),
        )

    def __str__(self) -> str:
        return f"link {self.number} ({self.source})"


class AITransition(InSession):
    """A change of the head from ``old`` to ``new``; a recovery sets it to an existing link."""

    RECOVERY = "recovery"

    old = models.ForeignKey(
        AILink, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    new = models.ForeignKey(AILink, on_delete=models.PROTECT, related_name="transitions")
    source = models.CharField(max_length=12)
    run_number = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        verbose_name = "AI transition"
        constraints = (
            # A link becomes the head once, and again only by a recovery.
            models.UniqueConstraint(
                fields=("new",), condition=~Q(source="recovery"), name="transition_once"
            ),
        )
        indexes = (
            # The list of a session, a page at a time by key.
            models.Index(fields=("session", "-id"), name="transition_newest"),
            # Retention looks for the oldest transitions of all sessions.
            models.Index(fields=("created_at",), name="transition_age"),
        )

    def __str__(self) -> str:
        return f"{self.old_id} → {self.new_id}"


class Chain(InSession):
    """The head and the counters of a chain; only ``sessions_app.ai_chain.chain`` writes them."""

    session = models.OneToOneField(Session, on_delete=models.PROTECT, related_name="chain")
    head = models.ForeignKey(
        AILink, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    base = models.ForeignKey(
        AILink,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The compaction or reset from which context counts.",
    )
    tokens = models.PositiveBigIntegerField(default=0, help_text="Tokens added since the base.")
    operations = models.PositiveBigIntegerField(default=0, help_text="Since the last reset.")

    class Meta:
        verbose_name = "chain"

    def __str__(self) -> str:
        return f"chain of {self.session_id}"
