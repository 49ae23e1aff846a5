"""The first run: an owner who can sign in, and a demo that is on air.

One studio per data folder.

Is the port ours to take?
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User

from broadcast import session_commands
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
    if demo is not None and (address := session_commands.watch_url(demo)):
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
    session = commands.run(session_commands.CREATE, owner, None, wanted)
    commands.run(session_commands.CHANGE, owner, session, {"visible": True})
    commands.run(session_commands.START, owner, session, {})
    return session


class AlreadyRunning(Exception):
    """Its text is one sentence for the person at the terminal."""


@contextmanager
def only_studio(data_dir: Path) -> Iterator[None]:
    """Holds the folder's lock; AlreadyRunning when another process holds it. Dies with us."""
    with (data_dir / "studio.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise AlreadyRunning(
                f"A studio already runs on {data_dir} (process {lock.read().strip() or '?'}). "
                "Stop it, or set SMNB_DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen on host:port now; False also when we lack the right to."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server will: a connection still closing does not take the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def port_taken_sentence(port: int) -> str:
    other = port + 1 if port < 65_535 else port - 1
    if port < 1024:
        return f"Port {port} is taken or needs more rights. Set PORT=8000 make run."
    return f"Port {port} is taken. Set PORT={other} make run, or stop what uses it."
