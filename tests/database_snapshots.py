"""Pasts that many tests begin with: each is made once per run, and then copied."""

from __future__ import annotations

import inspect
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connections
from django.db.models import F

from broadcast.models import Airing, Broadcast
from broadcast.states import State
from sessions_app.background.steps import now
from sessions_app.models import Session, Step
from tests.environment import DATA
from tests.table_cleanup import tables_with_rows


@dataclass(frozen=True)
class Past:
    """What was in the database and among the files when a session had been made."""

    database: Path
    files: Path
    owner_id: int
    session_id: UUID
    made_at: datetime


_kept: dict[str, Past] = {}


def past(name: str, owner: User, make: Callable[[], Session]) -> Session:
    """The session of the owner that ``make`` returns, with everything it led to.

    The first test that asks for ``name`` makes it. Where a file can be copied (SQLite, and no
    transaction around the test) later tests get a copy, unless they have stored more than their
    owner by then. What runs by the clock has as much time left as it had.
    """
    connection = connections["default"]
    copied = connection.vendor == "sqlite" and not connection.in_atomic_block
    if not copied or tables_with_rows(connection) != ["auth_user"] or User.objects.count() != 1:
        return make()
    if name not in _kept:
        session = make()
        _kept[name] = _keep(owner, session)
        return session
    return _recall(_kept[name], owner)


def made_once(make: Callable[..., Session]) -> Callable[..., Session]:
    """Decorate a fixture that makes a session of the owner: its result is a ``past``."""
    name = f"{make.__module__}.{make.__qualname__}"

    @wraps(make)
    def copied(*, owner: User, **fixtures: Any) -> Session:
        return past(name, owner, lambda: make(**fixtures))

    found = inspect.signature(make)
    own = inspect.Parameter("owner", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*found.parameters.values(), own]
    copied.__signature__ = found.replace(parameters=parameters)  # type: ignore[attr-defined]
    return copied


def _keep(owner: User, session: Session) -> Past:
    folder = Path(tempfile.mkdtemp(prefix="past-", dir=DATA))
    kept = Past(folder / "database.sqlite3", folder / "files", owner.pk, session.pk, now())
    target = sqlite3.connect(kept.database)
    connections["default"].connection.backup(target)
    target.close()
    # Every test begins without artifacts; folders of sounds are named after their session.
    for files in [DATA / "artifacts", *DATA.glob(f"*/{session.pk}")]:
        if files.exists():
            shutil.copytree(files, kept.files / files.relative_to(DATA), dirs_exist_ok=True)
    return kept


def _recall(kept: Past, owner: User) -> Session:
    source = sqlite3.connect(kept.database)
    source.backup(connections["default"].connection)
    source.close()
    for left in DATA.glob(f"*/{kept.session_id}"):
        shutil.rmtree(left)
    if kept.files.exists():
        shutil.copytree(kept.files, DATA, dirs_exist_ok=True)
    _set_clocks_forward(now() - kept.made_at)
    # Other fixtures hold this object already.
    owner.__dict__.update(User.objects.get(pk=kept.owner_id).__dict__)
    session = Session.objects.get(pk=kept.session_id)
    session.owner = owner
    return session


def _set_clocks_forward(by: timedelta) -> None:
    """A step is due, a lease ends, a state takes too long and a story is over later by so much."""
    waiting = Step.objects.filter(state__in=Step.OPEN)
    waiting.update(due_at=F("due_at") + by, lease_until=F("lease_until") + by)
    Broadcast.objects.exclude(state=State.IDLE).update(since=F("since") + by)
    Airing.objects.filter(finished_at=None).update(finish_at=F("finish_at") + by)
