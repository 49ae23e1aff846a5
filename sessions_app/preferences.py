"""A user's preferences: name, theme, and the narration settings of new sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Field
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from sessions_app import sessions
from sessions_app.errors import Invalid
from sessions_app.models import Preferences, Session

Theme = Preferences.Theme

SHORTEST_LANGUAGE = 2


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
