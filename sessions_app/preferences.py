"""What a person has chosen for themselves: name, theme, defaults of new sessions.

The look a person has chosen, for the first paint of every page.
"""

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
    """This person's choices; those of a newcomer are not stored before the first one is made."""
    return Preferences.objects.filter(user=user).first() or Preferences(user=user)


def theme_of(user: User) -> str:
    """system, dark or light."""
    found = Preferences.objects.filter(user=user).values_list("theme", flat=True).first()
    return found or Theme.SYSTEM


def choose_theme(user: User, theme: str) -> None:
    if theme not in Theme:
        raise Invalid(f"theme: one of {', '.join(Theme.values)}.")
    Preferences.objects.update_or_create(user=user, defaults={"theme": theme})


def choose_defaults(user: User, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Keep narration settings for this person's new sessions; what is empty is the workspace's."""
    clean = clean_settings(wanted)
    Preferences.objects.update_or_create(user=user, defaults={"defaults": clean})
    return clean


def copy_of(user: User) -> User:
    """The person as a form may fill it in, so that nothing unsaved shows anywhere else."""
    return User.objects.get(pk=user.pk)


def rename(user: User, first_name: str, last_name: str, email: str) -> None:
    """Change how a person is called and reached; the user name stays."""
    if email:
        try:
            validate_email(email)
        except ValidationError:
            raise Invalid("email: an address such as name@example.org, or nothing.") from None
    User.objects.filter(pk=user.pk).update(
        first_name=first_name[:150], last_name=last_name[:150], email=email[:254]
    )


def built_in() -> dict[str, Any]:
    """The narration settings of a session for which nobody has chosen any."""
    return {name: _field(name).get_default() for name in sessions.SETTINGS}


def clean_settings(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Narration settings as they are stored: only those that are not empty, each one checked.

    Names as in ``lifecycle.SETTINGS``. Raises Invalid with the name of what is wrong.
    """
    unknown = set(wanted) - set(sessions.SETTINGS)
    if unknown:
        raise Invalid(f"{', '.join(sorted(unknown))}: no such setting.")
    return {
        name: _clean(name, wanted[name])
        for name in sessions.SETTINGS
        if wanted.get(name) not in (None, "")
    }


def _field(name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", Session._meta.get_field(name))


def _clean(name: str, value: Any) -> Any:
    field = _field(name)
    try:
        found = field.clean(value.strip() if isinstance(value, str) else value, None)
    except ValidationError as error:
        raise Invalid(f"{name}: {' '.join(error.messages)}") from None
    # Of a text field only forms check the length.
    if field.max_length and len(found) > field.max_length:
        raise Invalid(f"{name}: at most {field.max_length} characters.")
    if name == "pace" and 0 < found < 60:
        raise Invalid("pace: 0, or 60 to 6000 words a minute.")
    if name == "language" and len(found) < SHORTEST_LANGUAGE:
        raise Invalid("language: a tag such as en or pt-BR.")
    return found


def appearance(request: HttpRequest) -> dict[str, Any]:
    """Template context: ``theme`` is system, dark or light of who is signed in, "" for others.

    It is looked up only where a template asks for it: fragments have no first paint.
    """
    return {"theme": SimpleLazyObject(lambda: _theme(request))}


def _theme(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    return theme_of(user) if user is not None and user.is_authenticated else ""
