"""What every row that belongs to a session has in common."""

from __future__ import annotations

from django.db import models


class InSession(models.Model):
    """A row of exactly one session: required, immutable, protected.

    The database also refuses a row whose parents belong to another session: see
    ``sessions_app.integrity``.
    """

    session = models.ForeignKey("sessions_app.Session", on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
