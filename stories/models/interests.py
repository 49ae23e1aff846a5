"""What the owner wants more or less of."""

from __future__ import annotations

from django.db import models

from sessions_app.models import InSession


class Interest(InSession):
    """A word that lifts or lowers the posts that hold it."""

    MORE, LESS = 1, -1

    text = models.CharField(max_length=60)
    folded = models.CharField(max_length=120, help_text="As compared: case-folded, single spaces.")
    weight = models.SmallIntegerField(choices=((MORE, "more"), (LESS, "less")))

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("session", "folded"), name="interest_once"),
            models.CheckConstraint(condition=models.Q(weight__in=(1, -1)), name="interest_weight"),
        )

    def __str__(self) -> str:
        return f"{self.get_weight_display()} {self.text}"
