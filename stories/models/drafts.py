"""Models of the writers' room: drafts, their versions, and the turns of the agents."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from sessions_app.models import AILink, InSession

FEWEST_WORDS, MOST_WORDS = 50, 3000  # that can be ordered


class Draft(InSession):
    """A text that several agents write together, one turn at a time."""

    class State(models.TextChoices):
        RUNNING = "running"
        WAITING = "waiting"
        FINISHED = "finished"
        FAILED = "failed"
        EXPIRED = "expired"

    # The agents work on a draft, or will again, in these states only.
    OPEN = (State.RUNNING, State.WAITING)

    class Phase(models.TextChoices):
        RESEARCH = "research"
        OUTLINE = "outline"
        WRITING = "writing"
        REVIEW = "review"
        FINAL = "final", "final review"
        DONE = "done"

    class Style(models.TextChoices):
        REPORT = "report"
        FEATURE = "feature"
        EXPLAINER = "explainer"
        COMMENT = "comment"

    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    phase = models.CharField(max_length=10, choices=Phase, default=Phase.RESEARCH)
    title = models.CharField(max_length=300, blank=True)
    keywords = models.JSONField(default=list)
    words = models.PositiveIntegerField(help_text="Ordered length.")
    style = models.CharField(max_length=12, choices=Style, default=Style.REPORT)
    language = models.CharField(max_length=35, default="en")
    wishes = models.JSONField(default=list, help_text="Wishes of the owner, oldest first.")
    turns = models.PositiveIntegerField(default=0, help_text="Turns of agents so far.")
    version = models.PositiveIntegerField(default=0, help_text="Number of the latest version.")
    note = models.CharField(max_length=300, blank=True, help_text="Why it waits or failed.")
    note_code = models.CharField(max_length=40, blank=True)
    active_at = models.DateTimeField(help_text="Last activity of an agent or a person.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(words__range=(FEWEST_WORDS, MOST_WORDS)), name="draft_words"
            ),
        )
        indexes = (
            # For the list of drafts and the pages of the API, which are read by key.
            models.Index(fields=("session", "-id"), name="draft_newest"),
            models.Index(
                # For the sweeper, which looks for idle drafts among a few open ones.
                fields=("active_at",),
                condition=Q(state__in=("running", "waiting")),
                name="draft_idle",
            ),
        )

    def __str__(self) -> str:
        return self.title or ", ".join(map(str, self.keywords))[:80]


class DraftVersion(InSession):
    """A version of a draft's text. Versions never change."""

    class Author(models.TextChoices):
        WRITER = "writer"
        EXPERT = "expert"
        HUMAN = "human"

    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    author = models.CharField(max_length=8, choices=Author)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT
    )
    reason = models.CharField(max_length=300)
    title = models.CharField(max_length=300)
    text = models.TextField()
    word_count = models.PositiveIntegerField()
    link = models.ForeignKey(
        AILink, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = (
            # Two authors who save at once cannot both write the same number.
            models.UniqueConstraint(fields=("draft", "number"), name="draft_version_once"),
        )

    def __str__(self) -> str:
        return f"version {self.number}"


class DraftMessage(InSession):
    """One turn: the typed hand-over of an agent. Turns are numbered without gaps within a draft."""

    class Role(models.TextChoices):
        RESEARCHER = "researcher"
        WRITER = "writer"
        READER = "reader"
        EXPERT = "expert"

    class Kind(models.TextChoices):
        RESEARCH = "research"
        OUTLINE = "outline"
        TEXT = "text"
        REVIEW = "review"
        VERDICT = "verdict"

    draft = models.ForeignKey(Draft, on_delete=models.PROTECT, related_name="messages")
    turn = models.PositiveIntegerField()
    role = models.CharField(max_length=12, choices=Role)
    after = models.CharField(
        max_length=12, choices=Role, blank=True, help_text="Role of the turn before."
    )
    kind = models.CharField(max_length=10, choices=Kind)
    payload = models.JSONField(help_text="The hand-over as JSON.")
    text = models.TextField(help_text="The hand-over as plain text.")
    link = models.ForeignKey(
        AILink, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = (
            # A turn that is taken twice after a crash is stored once.
            models.UniqueConstraint(fields=("draft", "turn"), name="draft_turn_once"),
            # No agent takes two turns in a row, and only the first turn has none before it.
            models.CheckConstraint(condition=~Q(role=models.F("after")), name="draft_other_speaks"),
            models.CheckConstraint(
                condition=Q(turn=1, after="") | (Q(turn__gt=1) & ~Q(after="")),
                name="draft_first_turn_alone",
            ),
        )

    def __str__(self) -> str:
        return f"turn {self.turn}: {self.role}"
