"""What all people of this installation share; only the staff changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from sessions_app import preferences
from sessions_app.errors import Forbidden, Invalid
from sessions_app.models import Workspace

RETENTION_FIELDS = (
    "keep_fine_days", "keep_answers_days", "keep_sounds_days", "keep_transitions_days",
    "keep_events_days", "artifact_quota_mb",
)  # fmt: skip
CONTEXT_FIELDS = ("compact_tokens", "reset_operations", "draft_idle_minutes")


def current() -> Workspace:
    """The one row, made at its first use."""
    return Workspace.objects.get_or_create(pk=1)[0]


def require_staff(actor: User) -> None:
    if not actor.is_staff:
        raise Forbidden("Only the staff can change the settings of the workspace. Ask one of them.")


def choose_defaults(actor: User, wanted: Mapping[str, Any]) -> Workspace:
    """Narration settings of everybody's new sessions; what is empty is as the product comes."""
    require_staff(actor)
    found = current()
    found.defaults = preferences.clean_settings(wanted)
    found.save(update_fields=["defaults", "updated_at"])
    return found


def choose_retention(actor: User, days: Mapping[str, int]) -> Workspace:
    """How long things are kept, and how much of a session, by the names in ``RETENTION_FIELDS``."""
    return _choose(actor, RETENTION_FIELDS, days)


def choose_context(actor: User, wanted: Mapping[str, int]) -> Workspace:
    """How much models are told, and when drafts expire, by the names in ``CONTEXT_FIELDS``."""
    return _choose(actor, CONTEXT_FIELDS, wanted)


def _choose(actor: User, names: Sequence[str], wanted: Mapping[str, int]) -> Workspace:
    require_staff(actor)
    found = current()
    for name in names:
        setattr(found, name, wanted.get(name, getattr(found, name)))
    try:
        found.clean_fields(exclude=["defaults"])
    except ValidationError as error:
        name, texts = next(iter(error.message_dict.items()))
        raise Invalid(f"{name}: {' '.join(texts)}") from None
    found.save(update_fields=[*names, "updated_at"])
    return found
