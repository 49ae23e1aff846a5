"""An archive on its way into a session."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib.auth.models import User

from broadcast.transfer.archive import Archive
from broadcast.transfer.ids import Ids
from sessions_app.files import Kept
from sessions_app.models import Session


@dataclass(slots=True)
class Taking:
    """What has come in so far: ``kept`` are the files that were written, all of them.

    ``heard`` are those of sounds and episodes that no row has named yet, by their members, with
    their paths; ``episodes`` the paths of episodes, by what their artifacts are called and hold.
    """

    archive: Archive
    session: Session
    owner: User
    ids: dict[str, Ids] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    heard: dict[str, tuple[str, Kept]] = field(default_factory=dict)
    episodes: dict[tuple[str, Kept], str] = field(default_factory=dict)
    rows: int = 0
