"""The settings that all users of this installation share; only the staff can change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from sessions_app import preferences
from sessions_app.errors import Forbidden, Invalid
from sessions_app.models import Workspace

RETENTION_FIELDS = (
    "keep_fine_days",
    "keep_answers_days",
    "keep_sounds_days",
    "keep_transitions_days",
    "keep_events_days",
    "artifact_quota_mb",
)
CONTEXT_FIELDS = ("compact_tokens", "reset_operations", "draft_idle_minutes")


def current() -> Workspace:
    """Returns the one row; creates it on first use."""
    return Workspace.objects.get_or_create(pk=1)[0]


def may_change(actor: User) -> bool:
    """Returns whether the user is staff with the right to change the workspace, as in the admin."""
    return actor.is_staff and actor.has_perm("sessions_app.change_workspace")


def require_staff(actor: User) -> None:
    """Raises Forbidden for a user who is not staff with the right to change the workspace."""
    if not may_change(actor):
        raise Forbidden("Only the staff can change the settings of the workspace. Ask one of them.")


def choose_defaults(actor: User, values: Mapping[str, Any]) -> Workspace:
    """Saves narration settings for new sessions of all users; empty ones get the product's own."""
    require_staff(actor)
    row = current()
    row.defaults = preferences.clean_settings(values)
    row.save(update_fields=["defaults", "updated_at"])
    return row


def choose_retention(actor: User, values: Mapping[str, int]) -> Workspace:
    """Saves how long rows are retained, and the quota of artifacts; see ``RETENTION_FIELDS``."""
    return _save(actor, RETENTION_FIELDS, values)


def choose_context(actor: User, values: Mapping[str, int]) -> Workspace:
    """Saves how much context models get, and when drafts expire; see ``CONTEXT_FIELDS``."""
    return _save(actor, CONTEXT_FIELDS, values)


def _save(actor: User, names: Sequence[str], values: Mapping[str, int]) -> Workspace:
    require_staff(actor)
    row = current()
    for name in names:
        setattr(row, name, values.get(name, getattr(row, name)))
    try:
        row.clean_fields(exclude=["defaults"])
    except ValidationError as error:
        name, texts = next(iter(error.message_dict.items()))
        raise Invalid(f"{name}: {' '.join(texts)}") from None
    # Only these columns, so that two forms saved at the same time do not undo each other.
    row.save(update_fields=[*names, "updated_at"])
    return row
