"""What every row that belongs to a session has in common."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from django.db import models
from django.db.models.expressions import Combinable

if TYPE_CHECKING:
    _Moment: TypeAlias = models.DateTimeField[datetime | Combinable, datetime]
else:
    _Moment = models.DateTimeField


class CreatedAt(_Moment):
    """``auto_now_add`` that leaves a moment that was given, as an import does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "auto_now_add": True})

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        given = getattr(model_instance, self.attname)
        return given if add and given else super().pre_save(model_instance, add)

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, options


class InSession(models.Model):
    """A row of exactly one session: required, immutable, protected.

    The database also refuses a row whose parents belong to another session: see
    ``sessions_app.integrity``.
    """

    session = models.ForeignKey("sessions_app.Session", on_delete=models.PROTECT)
    created_at = CreatedAt()

    class Meta:
        abstract = True
