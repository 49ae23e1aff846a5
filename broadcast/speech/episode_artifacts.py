"""Episodes among the artifacts: each one that can be heard has its row there, without a second file."""

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
    """Have a row for each episode that can be heard, and for no other; last in the transaction."""
    ready = Episode.objects.filter(session=session, state=Episode.State.READY)
    episodes = {each.path: each for each in ready.select_related("run")}
    rows = artifacts.listed(session, Category.RECORDINGS).exclude(path__startswith=f"{ROOT}/")
    listed = {row.path: row for row in rows}
    for path in listed.keys() - episodes.keys():
        _drop(listed[path])
    for path in sorted(episodes.keys() - listed.keys()):
        _keep(episodes[path])


def name_of(run_number: int, path: str) -> str:
    """What the episode of a run is called there."""
    return f"episode-{run_number}.{path.rpartition('.')[2]}"


def _drop(row: Artifact) -> None:
    Artifact.objects.filter(pk=row.pk).update(state=State.DROPPED)
    row.state = State.DROPPED
    recorder.record(row.session, artifacts.REMOVED, {"artifact": artifacts.payload(row)})


def _keep(episode: Episode) -> None:
    row = Artifact.objects.create(
        session=episode.session, category=Category.RECORDINGS, path=episode.path,
        name=name_of(episode.run.number, episode.path), media_type=episode.media_type,
        bytes=episode.bytes, sha256=episode.sha256, note=episode.title,
    )  # fmt: skip
    recorder.record(row.session, artifacts.STORED, {"artifact": artifacts.payload(row)})


def catch_up(_shared: Workspace, _now: datetime) -> int:
    """List the episodes that were made before there were artifacts."""
    ready = Episode.objects.filter(state=Episode.State.READY)
    unlisted = ready.exclude(path__in=Artifact.objects.values("path"))
    found = Session.objects.filter(pk__in=unlisted.values("session"))[:CHUNK]
    for session in found:
        with transaction.atomic():
            follow(session)
    return len(found)


def register() -> None:
    retention.register(catch_up)
