"""The audio stream of a session: one step plans and renders it while it has listeners.

The step stores the plan first, in one conditional UPDATE, and then renders the slots that have no
file. A worker that is killed at any point leaves a plan, from which the next one makes the same
files. The web processes only read: they neither plan nor encode.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from broadcast.models import AudioStream
from broadcast.speech import engines, sounds
from broadcast.stream import plan
from broadcast.stream.plan import SLOT_FRAMES, SLOT_SECONDS, Part
from sessions_app.background import retention, steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import Retry, StaleClaim
from sessions_app.files import storage
from sessions_app.models import Session, Workspace
from sessions_app.realtime import presence
from stories import stories
from stories.disclosure import GENERAL
from stories.models import Story, StoryVersion

log = structlog.get_logger(__name__)

STREAM = "stream"  # the kind of step; its subject is the session
ENCODER = Path(__file__).with_name("encoder_process.py")
MEDIA_TYPE = "audio/mpeg"
BIT_RATE = 64_000
DEADLINE = 30.0  # seconds; a batch takes less than one
BATCH = 3  # slots
SEGMENT_BYTES = BIT_RATE // 8 * SLOT_SECONDS
# How long a stream is rendered after a listener asked for it, and how often a listener is noted.
UNHEARD, NOTED_EVERY = timedelta(minutes=2), timedelta(seconds=30)
LATEST_CHANGE = timedelta(seconds=1)  # before a slot begins
EVERY, EVERY_QUIET = timedelta(seconds=12), timedelta(seconds=6)
WINDOW = 10  # slots in a playlist
LEFT = timedelta(hours=1)


def available() -> bool:
    """Whether the audio extra is installed and switched on."""
    return engines.available() and find_spec("av") is not None


def ask(session: Session) -> AudioStream:
    """Notes that the stream has a listener, and returns it; the first one starts the step."""
    stream = AudioStream.objects.filter(session=session).first()
    at = timezone.now()
    if stream is None or not is_noted(stream.asked_at, at):
        with transaction.atomic():
            stream, _ = AudioStream.objects.update_or_create(
                session=session, defaults={"asked_at": at}
            )
            steps.enqueue(session, STREAM, session.pk)
    return stream


def is_noted(asked_at: datetime | None, at: datetime) -> bool:
    """Whether a listener was noted a moment ago; a clock that was set back counts as none."""
    return asked_at is not None and at - NOTED_EVERY < asked_at <= at


def path_of(stream: AudioStream, slot: int, digest: str) -> str:
    """Returns the path of the file of a slot, relative to the data folder."""
    return f"{plan.folder(stream.session_id)}/{slot}-{digest}.mp3"


def rendered(stream: AudioStream, slot: int) -> str:
    """Returns the path of the file of a slot if it has been rendered, else an empty text."""
    digest = plan.digest(stream.parts, slot)
    path = path_of(stream, slot, digest)
    return path if digest and storage.full_path(path).is_file() else ""


def live_slots(stream: AudioStream, at: datetime) -> list[int]:
    """Returns the latest slots without a gap, up to the live one."""
    live = plan.slot_of(at)
    result: list[int] = []
    for slot in range(live, live - WINDOW - plan.AHEAD, -1):
        if rendered(stream, slot):
            result.insert(0, slot)
        elif result:
            break
    return result[-WINDOW:]


def play(claim: Claim) -> None:
    """Plans and renders the next slots, until there is no listener any more."""
    stream = AudioStream.objects.filter(session=claim.session).select_related("session").first()
    at = timezone.now()
    if stream is None:
        return
    if not (claim.session.visible and available()) or stream.asked_at < at - UNHEARD:
        stop(claim, stream)
        return
    advance(claim, stream, at)
    quiet = bool(stream.parts) and stream.parts[-1]["kind"] == "bed"
    claim.reschedule(EVERY_QUIET if quiet else EVERY)


def advance(claim: Claim, stream: AudioStream, at: datetime) -> None:
    """Plans and renders what follows until shortly after ``at``."""
    revision = stream.revision
    changed_from = plan.extend(stream, at)
    store(claim, stream, revision, changed_from)
    render(claim, stream, at)
    presence.on_count.send(claim.session.pk)
    tidy(stream)


def store(
    claim: Claim, stream: AudioStream, revision: int, changed_from: int | None = None
) -> None:
    """Stores the plan, unless a pulled story has changed it or another worker has the step.

    ``changed_from`` is the first slot that was planned before and has another sound now.
    """
    with transaction.atomic():
        if not claim.extend_lease():
            raise StaleClaim("Another worker plans the stream.")
        # Each change raises the revision: a plan with a story that was pulled meanwhile is not stored.
        rows = AudioStream.objects.filter(pk=stream.pk, revision=revision)
        changed = rows.update(
            parts=stream.parts,
            planned=stream.planned,
            identified_at=stream.identified_at,
            announced_at=stream.announced_at,
            revision=F("revision") + 1,
        )
        if not changed:
            raise Retry("The plan of the stream changed meanwhile.")
        # Listeners load a slot once, when it begins: those who have it would miss what is new in it.
        if (
            changed_from is not None
            and plan.slot_of(timezone.now() + LATEST_CHANGE) >= changed_from
        ):
            raise Retry("The stream was planned too late, and is planned again.")


def stop(claim: Claim, stream: AudioStream) -> None:
    """Ends a stream without listeners and removes its files."""
    with transaction.atomic():
        claim.complete()
        rows = AudioStream.objects.filter(pk=stream.pk, asked_at=stream.asked_at)
        if not rows.update(**_EMPTY, revision=F("revision") + 1):
            # A listener came meanwhile, and found this step still open.
            raise Retry("The stream has a listener again.")
        transaction.on_commit(partial(_remove_folder, stream))


_EMPTY: dict[str, object] = {
    "parts": [],
    "planned": None,
    "identified_at": None,
    "announced_at": None,
}


def _remove_folder(stream: AudioStream) -> None:
    shutil.rmtree(storage.full_path(plan.folder(stream.session_id)), ignore_errors=True)


def render(claim: Claim, stream: AudioStream, at: datetime) -> None:
    """Writes the files of the slots that have none."""
    oldest = plan.slot_of(at) - WINDOW
    missing = [
        (slot, digest)
        for slot, digest in plan.slots(stream)
        if slot >= oldest and not storage.full_path(path_of(stream, slot, digest)).is_file()
    ]
    for begin in range(0, len(missing), BATCH):
        claim.check()
        batch = missing[begin : begin + BATCH]
        data = encode(stream.parts, [slot for slot, _ in batch])
        for number, (slot, digest) in enumerate(batch):
            sound = data[number * SEGMENT_BYTES : (number + 1) * SEGMENT_BYTES]
            storage.write(path_of(stream, slot, digest), [tag(stream, slot), sound])


def encode(parts: Sequence[Part], slots: Sequence[int]) -> bytes:
    """Returns the MP3 frames of the slots, made in a separate process."""
    # Each slot overlaps with the frames before it.
    first, last = (min(slots) - 1) * SLOT_FRAMES, (max(slots) + 1) * SLOT_FRAMES
    request = {
        "parts": [
            {**part, "path": part["path"] and str(storage.full_path(part["path"]))}
            for part in parts
            if part["at"] < last and plan.end_of(part) > first
        ],
        "ranges": [(slot * SLOT_FRAMES, SLOT_FRAMES) for slot in slots],
    }
    name = "The encoder of the audio stream"
    process = engines.run_process(ENCODER, request, DEADLINE, name, Retry)
    if process.stderr:
        log.warning("stream_part_missing", output=process.stderr.decode()[:300])
    return process.stdout


def tag(stream: AudioStream, slot: int) -> bytes:
    """Returns the ID3 tag of a slot: its time, as HLS requires, its title, and how it was made."""
    main = plan.main_part(stream.parts, slot)
    title = main["title"] if main else stream.session.name
    # One story of a trained model makes the whole a work of one.
    made = max(part["source_type"] for part in plan.parts_of(stream.parts, slot))
    name = b"com.apple.streaming.transportStreamTimestamp\0"
    utf8 = b"\x03"
    body = b"".join(
        frame + _syncsafe(len(content)) + b"\0\0" + content
        for frame, content in (
            (b"PRIV", name + timestamp(slot).to_bytes(8, "big")),
            (b"TIT2", utf8 + title.encode()),
            (b"TPE1", utf8 + stream.session.name.encode()),
            (b"COMM", utf8 + b"eng\0" + GENERAL.encode()),
            (b"TXXX", utf8 + b"DigitalSourceType\0" + made.encode()),
        )
    )
    return b"ID3\x04\0\0" + _syncsafe(len(body)) + body


def timestamp(slot: int) -> int:
    """Returns when a slot begins on the clock of HLS, which has 33 bits at 90 kHz."""
    return (slot * SLOT_SECONDS * 90_000) % 2**33


def _syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def tidy(stream: AudioStream) -> None:
    """Removes the files that the plan does not name any more."""
    folder = storage.full_path(plan.folder(stream.session_id))
    named = {part["path"].rpartition("/")[2] for part in stream.parts}
    named |= {f"{slot}-{digest}.mp3" for slot, digest in plan.slots(stream)}
    minute_ago = time.time() - 60
    for file in folder.iterdir() if folder.is_dir() else ():
        # A worker that lost its lease may still write the temporary file of a segment.
        if file.name not in named and file.stat().st_mtime < minute_ago:
            file.unlink(missing_ok=True)


def changed(story: Story) -> None:
    """Takes a pulled or corrected story out of the streams; in the caller's transaction."""
    if story.version == 1 and story.state != Story.State.KILLED:
        return
    public = story.state in sounds.PUBLISHED
    headlines = set(StoryVersion.objects.filter(story=story).values_list("title", flat=True))
    headlines = headlines - {story.title} if public else headlines | {story.title}
    for stream in AudioStream.objects.select_for_update().filter(session=story.session_id):
        outdated = []
        for part in stream.parts:
            own = part["story"] == story.pk and not (public and part["version"] == story.version)
            # Headlines are read between stories, and a chime is named after the story behind it.
            texts = "" if part["story"] else f"{part['title']}\n{part['text']}"
            if own or any(headline.rstrip(".") in texts for headline in headlines if headline):
                outdated.append(part)
        if not outdated:
            continue
        paths = {path_of(stream, *named) for named in plan.slots(stream)}
        for part in outdated:
            part["kind"], part["path"], part["tempo"] = "bed", "", 1.0
            part["title"], part["story"], part["text"] = story.session.name, None, ""
        paths -= {path_of(stream, *named) for named in plan.slots(stream)}
        AudioStream.objects.filter(pk=stream.pk).update(
            parts=stream.parts, revision=F("revision") + 1
        )
        for path in paths:
            # After the commit: a rollback keeps the plan, which needs the files.
            transaction.on_commit(partial(storage.remove, path))
        steps.run_now(story.session, STREAM, story.session_id)


def remove_left(_workspace: Workspace, now: datetime) -> int:
    """Removes the files of streams whose step ended without doing so, for retention."""
    left = AudioStream.objects.filter(asked_at__lt=now - LEFT).exclude(parts=[])
    rows = list(left.select_related("session")[:100])
    for stream in rows:
        AudioStream.objects.filter(pk=stream.pk).update(**_EMPTY, revision=F("revision") + 1)
        _remove_folder(stream)
    return len(rows)


def register() -> None:
    steps.register(Kind(STREAM, "control", play, outlives_run=True))
    stories.on_change.subscribe(changed)
    retention.register(remove_left)
