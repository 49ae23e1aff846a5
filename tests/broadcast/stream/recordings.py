"""The audio stream of a session, rendered as a worker does, and what a listener gets of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from broadcast.models import AudioStream
from broadcast.speech import engines
from broadcast.stream import plan, stream
from sessions_app.background import steps
from sessions_app.background.steps import Claim
from sessions_app.files import storage
from sessions_app.models import Session, Step


def claimed(session: Session) -> Claim:
    """The step of the session's stream, claimed as a worker does."""
    stream.ask(session)
    step = Step.objects.get(session=session, kind="stream", state__in=Step.OPEN)
    Step.objects.filter(pk=step.pk).update(state="pending", due_at=steps.now(), lease_until=None)
    claim = steps.claim(step.pk)
    assert claim is not None
    return claim


def play(session: Session, begin: datetime, seconds: int) -> AudioStream:
    """Renders so much of the stream, as a worker would in that time."""
    claim = claimed(session)
    for later in range(0, seconds, 12):
        row = AudioStream.objects.select_related("session").get(session=session)
        stream.advance(claim, row, begin + timedelta(seconds=later))
    return AudioStream.objects.select_related("session").get(session=session)


def planned(session: Session, begin: datetime, seconds: int) -> AudioStream:
    """Plans so much of the stream and renders nothing, which takes most of the time."""
    claim = claimed(session)
    for later in range(0, seconds, 12):
        row = AudioStream.objects.select_related("session").get(session=session)
        revision = row.revision
        plan.extend(row, begin + timedelta(seconds=later))
        stream.store(claim, row, revision)
    return AudioStream.objects.select_related("session").get(session=session)


def as_if_rendered(row: AudioStream) -> None:
    """Writes a file of the right size for each planned slot."""
    for slot, digest in plan.slots(row):
        storage.write(stream.path_of(row, slot, digest), [bytes(48_000)])


def listen(row: AudioStream) -> bytes:
    """The MP3 of all planned slots, one after another."""
    files = [stream.path_of(row, slot, digest) for slot, digest in plan.slots(row)]
    data = [storage.full_path(path).read_bytes() for path in files]
    return b"".join(map(engines.without_tag, data))
