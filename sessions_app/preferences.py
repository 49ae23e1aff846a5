"""Preferences of a user (name, theme, defaults of new sessions), and the workspace that all users share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Field
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from sessions_app import sessions
from sessions_app.errors import Forbidden, Invalid
from sessions_app.models import Preferences, Session, Workspace
from sessions_app.statements import Prepared

Theme = Preferences.Theme

SHORTEST_LANGUAGE = 2

# Settings of the workspace; only the staff can change them.
RETENTION_FIELDS = (
    "keep_fine_days",
    "keep_answers_days",
    "keep_sounds_days",
    "keep_transitions_days",
    "keep_events_days",
    "artifact_quota_mb",
)
CONTEXT_FIELDS = ("compact_tokens", "reset_operations", "draft_idle_minutes")


def of(user: User) -> Preferences:
    """Returns the user's preferences; the row is only saved once the user changes something."""
    # Reading a page must not write a row.
    return Preferences.objects.filter(user=user).first() or Preferences(user=user)


def theme_of(user: User) -> str:
    """Returns the user's theme: system, dark or light."""
    theme = Preferences.objects.filter(user=user).values_list("theme", flat=True).first()
    return theme or Theme.SYSTEM


def choose_theme(user: User, theme: str) -> None:
    if theme not in Theme:
        raise Invalid(f"theme: must be one of {', '.join(Theme.values)}.")
    Preferences.objects.update_or_create(user=user, defaults={"theme": theme})


def choose_defaults(user: User, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Saves narration settings for the user's new sessions; empty ones follow the workspace."""
    clean = clean_settings(values)
    Preferences.objects.update_or_create(user=user, defaults={"defaults": clean})
    return clean


def choose_needs_sound(user: User, *, on: bool) -> None:
    """Sets whether pages play a sound when something new needs the user."""
    Preferences.objects.update_or_create(user=user, defaults={"needs_sound": on})


def note_needs_sent(user: User, session: Session, keys: list[str]) -> None:
    """Stores which needs of a session the webhook has been sent; call it in a transaction."""
    Preferences.objects.get_or_create(user=user)
    # Locked, as the steps of several sessions change the same row.
    row = Preferences.objects.select_for_update().get(user=user)
    row.needs_sent.pop(str(session.pk), None)
    if keys:
        row.needs_sent[str(session.pk)] = keys
    row.save(update_fields=["needs_sent"])


def copy_of(user: User) -> User:
    """Returns another object of the same user, for a form that changes it before it is saved."""
    return User.objects.get(pk=user.pk)


def rename(user: User, first_name: str, last_name: str, email: str, byline: str) -> None:
    """Changes the user's names, e-mail address and public name; the user name stays."""
    if email:
        try:
            validate_email(email)
        except ValidationError:
            raise Invalid("email: must be empty or an address such as name@example.org.") from None
    User.objects.filter(pk=user.pk).update(
        first_name=first_name[:150], last_name=last_name[:150], email=email[:254]
    )
    Preferences.objects.update_or_create(user=user, defaults={"byline": byline[:80].strip()})


def built_in() -> Mapping[str, Any]:
    """Returns the narration settings of a session without any choice of a user or the staff."""
    return {name: _field(name).get_default() for name in sessions.SETTINGS}


def clean_settings(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the validated narration settings without the empty ones, as they are stored.

    Names as in ``sessions.SETTINGS``. Raises Invalid that names the wrong setting.
    """
    unknown = set(values) - set(sessions.SETTINGS)
    if unknown:
        raise Invalid(f"{', '.join(sorted(unknown))}: no such setting.")
    return {
        name: _clean(name, values[name])
        for name in sessions.SETTINGS
        if values.get(name) not in (None, "")
    }


def _field(name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", Session._meta.get_field(name))


def _clean(name: str, value: Any) -> Any:
    field = _field(name)
    try:
        clean = field.clean(value.strip() if isinstance(value, str) else value, None)
    except ValidationError as error:
        raise Invalid(f"{name}: {' '.join(error.messages)}") from None
    # A model field without choices does not check its length; only forms do.
    if field.max_length and len(clean) > field.max_length:
        raise Invalid(f"{name}: must have at most {field.max_length} characters.")
    if name == "pace" and 0 < clean < 60:
        raise Invalid("pace: must be 0, or 60 to 6000 words a minute.")
    if name == "language" and len(clean) < SHORTEST_LANGUAGE:
        raise Invalid("language: must be a tag such as en or pt-BR.")
    return clean


def appearance(request: HttpRequest) -> Mapping[str, object]:
    """Template context with ``theme``: that of the signed-in user, or "".

    It is lazy, as fragments do not use it and would only pay for the query.
    """

    def theme() -> str:
        user = getattr(request, "user", None)
        return theme_of(user) if user is not None and user.is_authenticated else ""

    return {"theme": SimpleLazyObject(theme)}


def workspace() -> Workspace:
    """Returns the settings that all users of this installation share; creates them on first use."""
    return Workspace.objects.get_or_create(pk=1)[0]


_LIMITS = Prepared(
    lambda: Workspace.objects.filter(pk=1).values_list("reset_operations", "compact_tokens")
)


def context_limits() -> tuple[int, int]:
    """Returns after how many operations the context is reset, and after how many tokens summarised."""
    found = _LIMITS.first()
    if found is None:
        row = workspace()
        return row.reset_operations, row.compact_tokens
    return found


def require_staff(actor: User) -> None:
    """Raises Forbidden for a user who is not staff with the right to change the workspace."""
    # The same right as in the admin.
    if not (actor.is_staff and actor.has_perm("sessions_app.change_workspace")):
        raise Forbidden("Only the staff can change the settings of the workspace. Ask one of them.")


def choose_workspace_defaults(actor: User, values: Mapping[str, Any]) -> Workspace:
    """Saves narration settings for new sessions of all users; empty ones get the product's own."""
    require_staff(actor)
    row = workspace()
    row.defaults = clean_settings(values)
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
    row = workspace()
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
