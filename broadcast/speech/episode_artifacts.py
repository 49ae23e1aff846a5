"""Lists each playable episode among the artifacts, without a second file."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from broadcast.models import Episode
from sessions_app.background import retention
from sessions_app.events import recorder
from sessions_app.files import artifacts
from sessions_app.files.artifacts import Category, State
from sessions_app.files.storage import ROOT
from sessions_app.models import Artifact, Session, Workspace

CHUNK = 100


def follow(session: Session) -> None:
    """Makes the artifact rows match the playable episodes; last in the transaction."""
    ready = Episode.objects.filter(session=session, state=Episode.State.READY)
    episodes = {episode.path: episode for episode in ready.select_related("run")}
    # An artifact with a file of its own lies under ROOT; an episode's row names the episode's file.
    rows = artifacts.listed(session, Category.RECORDINGS).exclude(path__startswith=f"{ROOT}/")
    listed = {row.path: row for row in rows}
    for path in listed.keys() - episodes.keys():
        row = listed[path]
        Artifact.objects.filter(pk=row.pk).update(state=State.DROPPED)
        row.state = State.DROPPED
        recorder.record(row.session, artifacts.REMOVED, {"artifact": artifacts.payload(row)})
    for path in sorted(episodes.keys() - listed.keys()):
        episode = episodes[path]
        row = Artifact.objects.create(
            session=episode.session,
            category=Category.RECORDINGS,
            path=episode.path,
            name=name_of(episode.run.number, episode.path),
            media_type=episode.media_type,
            bytes=episode.bytes,
            sha256=episode.sha256,
            note=episode.title,
        )
        recorder.record(row.session, artifacts.STORED, {"artifact": artifacts.payload(row)})


def name_of(run_number: int, path: str) -> str:
    """Returns the name of a run's episode as an artifact."""
    return f"episode-{run_number}.{path.rpartition('.')[2]}"


def catch_up(_workspace: Workspace, _now: datetime) -> int:
    """Lists the episodes that are older than the artifacts feature, some sessions at a time."""
    ready = Episode.objects.filter(state=Episode.State.READY)
    unlisted = ready.exclude(path__in=Artifact.objects.values("path"))
    sessions = Session.objects.filter(pk__in=unlisted.values("session"))[:CHUNK]
    for session in sessions:
        with transaction.atomic():
            follow(session)
    return len(sessions)


def register() -> None:
    retention.register(catch_up)
