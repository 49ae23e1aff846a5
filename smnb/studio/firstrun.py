"""The first run: an owner who can sign in, and a demo that is on air."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import User

from broadcast import desk
from sessions_app import commands
from sessions_app.models import Session

DEMO_NAME = "Demo newsroom"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to print once the studio answers."""

    lines: list[str]


def prepare() -> Prepared:
    """Make the owner and the demo if there are none; says the password only when it made it."""
    env = settings.SMNB
    owner, password = _owner()
    lines = [f"Studio:     {settings.PUBLIC_URL}/"]
    demo = _demo(owner) if env.demo else None
    if demo is not None and (address := desk.watch_url(demo)):
        lines.append(f"Watch page: {address}")
    if password:
        lines += [
            f"Sign in:    {owner.username} / {password}",
            "            (shown once; change it with manage.py changepassword)",
        ]
    else:
        lines.append(f"Sign in as: {owner.username}")
    return Prepared([*lines, "Ctrl-C stops everything."])


def _owner() -> tuple[User, str]:
    """The owner, and the password if one was made just now."""
    env = settings.SMNB
    found = User.objects.filter(username=env.owner).first()
    if found is not None:
        return found, ""
    given = env.owner_password.get_secret_value()
    password = given or secrets.token_urlsafe(12)
    owner = User.objects.create_superuser(env.owner, password=password)
    return owner, "" if given else password


def _demo(owner: User) -> Session | None:
    """The owner's demo session: made visible and live on the first run, left alone afterwards."""
    found = Session.objects.filter(owner=owner).order_by("created_at").first()
    if found is not None:
        return found if found.visible else None
    wanted = {
        "name": DEMO_NAME,
        "sources": [{"kind": "recording", "locator": "demo"}],
        "settings": {"model": "extractive"},
    }
    session: Session = commands.run("session.create", owner, None, wanted)
    commands.run("session.change", owner, session, {"visible": True})
    commands.run("broadcast.start", owner, session, {})
    return session
