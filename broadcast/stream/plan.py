"""What an audio stream plays and when: stories in the order of their airings, identifications, and
chords where there is nothing to read.

Time is counted in frames of 24 ms since 1970, and the stream is cut into slots of 250 frames. So
every process knows which slot is live, and the plan alone determines the sound of each slot.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NotRequired
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import Field
from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.models import Airing, AudioStream, Slot, Sound
from broadcast.schedule import calendar
from broadcast.speech import engines, episodes, recorder, sounds
from broadcast.speech.engines import Unspoken
from broadcast.states import ON_AIR
from broadcast.transfer.formats.srt_format import spoken_cues
from sessions_app.files import storage
from sessions_app.models import Session
from sessions_app.models.session import DEFAULT_PACE
from stories import disclosure, stories
from stories.models import Story

FRAME_MS = 24
SLOT_FRAMES, SLOT_SECONDS = 250, 6
# More than a worker takes to find that another one was killed: its lease, and a round of the sweeper.
AHEAD = 7  # slots
BEFORE = 2  # slots with which a new stream begins, as players want three of them
SAFE_FRAMES = 125  # before a slot that is rendered again becomes live
RETAINED = timedelta(minutes=5)
# A story that aired earlier is left out; one that aired this long ago is read this much faster, as
# speech often takes longer than the time on air, which is counted in words.
LATEST = timedelta(minutes=10)
TEMPOS = ((timedelta(seconds=75), 1.16), (timedelta(seconds=30), 1.08))
PATIENCE = timedelta(seconds=60)  # for a sound that is still being made
JUST_NOW = timedelta(seconds=60)
MOST_WAITING = 50
BED_FRAMES, CHIME_FRAMES = 500, 50
FADE_FRAMES = 21  # in which chords fade, see encoder_process.FADE
# Of the silence at the end of each sound.
TRIMMED = 0.4  # seconds
PAUSE_FRAMES = 16  # what is left of it
ANNOUNCED_EVERY = timedelta(minutes=5)
HEADLINES = 3

Kind = Literal["story", "identification", "notice", "headlines", "chime", "bed"]


class Part(TypedDict):
    """A sound in the plan of a stream."""

    kind: Annotated[Kind, Field(description="What it is.")]
    at: Annotated[int, Field(description="Its first frame.")]
    frames: Annotated[int, Field(description="Its duration in frames.")]
    path: Annotated[str, Field(description="Its file in the data folder; empty if generated.")]
    tempo: Annotated[float, Field(description="How much faster it is read.")]
    title: Annotated[str, Field(description="What listeners see.")]
    text: Annotated[str, Field(description="Its words; empty for a story.")]
    story: Annotated[int | None, Field(description="Id of the story.")]
    version: Annotated[int, Field(description="Version of the story that it reads.")]
    source_type: Annotated[str, Field(description="IPTC's term for how it was made.")]
    times: NotRequired[
        Annotated[
            list[tuple[int, int]],
            Field(description="Begin and end of each caption, in frames from its begin."),
        ]
    ]


def frame_of(at: datetime) -> int:
    return int(at.timestamp() * 1000) // FRAME_MS


def time_of(frame: int) -> datetime:
    return datetime.fromtimestamp(frame * FRAME_MS / 1000, UTC)


def slot_of(at: datetime) -> int:
    return frame_of(at) // SLOT_FRAMES


def end_of(part: Part) -> int:
    return part["at"] + part["frames"]


def parts_of(parts: Sequence[Part], slot: int) -> list[Part]:
    """Returns the parts that are heard in a slot; none unless they fill it."""
    first, last = slot * SLOT_FRAMES, (slot + 1) * SLOT_FRAMES
    heard = [part for part in parts if part["at"] < last and end_of(part) > first]
    filled = sum(min(last, end_of(part)) - max(first, part["at"]) for part in heard)
    return heard if filled == SLOT_FRAMES else []


def digest(parts: Sequence[Part], slot: int) -> str:
    """Returns what identifies the sound of a slot; empty where nothing is planned.

    It is in the name of the file, so that a slot whose plan has changed is another file.
    """
    first, last = slot * SLOT_FRAMES, (slot + 1) * SLOT_FRAMES
    content = [
        (
            part["kind"],
            part["path"],
            part["tempo"],
            max(first, part["at"]) - part["at"],
            # The end of a part fades, and it may still change while it is in a later slot.
            end_of(part) - part["at"] if end_of(part) <= last else None,
        )
        for part in parts_of(parts, slot)
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12] if content else ""


def slots(stream: AudioStream) -> Iterator[tuple[int, str]]:
    """Yields each planned slot with its digest."""
    if stream.parts:
        first, last = stream.parts[0]["at"], end_of(stream.parts[-1])
        for slot in range(first // SLOT_FRAMES, last // SLOT_FRAMES):
            if name := digest(stream.parts, slot):
                yield slot, name


def main_part(parts: Sequence[Part], slot: int) -> Part | None:
    """Returns the part that names a slot: the one that fills most of it."""
    first, last = slot * SLOT_FRAMES, (slot + 1) * SLOT_FRAMES
    heard = parts_of(parts, slot)
    return max(
        heard, key=lambda part: min(last, end_of(part)) - max(first, part["at"]), default=None
    )


def captions(stream: AudioStream, slot: int) -> list[tuple[float, float, str]]:
    """Returns the captions that are shown in a slot: first and last frame, and text."""
    first, last = slot * SLOT_FRAMES, (slot + 1) * SLOT_FRAMES
    heard = [part for part in parts_of(stream.parts, slot) if part["story"] or part["text"]]
    rows = Story.objects.filter(pk__in=[part["story"] for part in heard if part["story"]])
    texts = dict(rows.values_list("pk", "narrative"))
    return [
        cue
        for part in heard
        for cue in spoken_cues(
            texts.get(part["story"], "") if part["story"] else part["text"],
            part.get("times", []),
            part["at"],
            end_of(part) - PAUSE_FRAMES,
        )
        if cue[0] < last and cue[1] > first
    ]


def extend(stream: AudioStream, at: datetime) -> int | None:
    """Plans the next slots in the given object, which the caller stores if nothing has changed.

    Returns the first slot that was planned before and has another sound now, or None.
    """
    now = frame_of(at)
    stream.parts = [part for part in stream.parts if end_of(part) > frame_of(at - RETAINED)]
    begin = (now // SLOT_FRAMES - BEFORE) * SLOT_FRAMES
    until = (now // SLOT_FRAMES + AHEAD) * SLOT_FRAMES
    if stream.planned_id is None:
        # A new listener hears what is on air or has just ended.
        missed = Airing.objects.filter(session=stream.session, finish_at__lt=at - JUST_NOW)
        stream.planned = missed.order_by("-pk").first()
    story = _next_story(stream, at)
    changed = cut_bed(stream, now) if story else None
    # After an outage the stream continues now; a short one leaves no gap.
    while (frame := max([begin, *map(end_of, stream.parts[-1:])])) < until:
        moment = time_of(frame)
        if stream.identified_at is None or _hour(stream.identified_at) != _hour(moment):
            identify(stream, frame)
        elif story is not None:
            add_story(stream, frame, *story)
            story = _next_story(stream, at)
        elif [part["kind"] for part in stream.parts[-2:]] == ["bed", "bed"] and (
            stream.announced_at is None or moment - stream.announced_at >= ANNOUNCED_EVERY
        ):
            announce(stream, frame)
        else:
            stream.parts.append(_part("bed", frame, BED_FRAMES, stream.session.name))
    return changed


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _part(kind: Kind, at: int, frames: int, title: str, path: str = "", text: str = "") -> Part:
    return {
        "kind": kind,
        "at": at,
        "frames": frames,
        "path": path,
        "tempo": 1.0,
        "title": title,
        "text": text,
        "story": None,
        "version": 0,
        "source_type": episodes.SOURCE_TYPE,
    }


def _next_story(stream: AudioStream, at: datetime) -> tuple[Airing, Sound] | None:
    """Returns the next airing with its sound, or None until there is one.

    Airings that will have no sound are passed over, and so is what aired too long ago.
    """
    later = Airing.objects.filter(session=stream.session_id, pk__gt=stream.planned_id or 0)
    for airing in later.select_related("story").order_by("pk")[:MOST_WAITING]:
        story = airing.story
        if story.state in sounds.PUBLISHED and airing.aired_at > at - LATEST:
            sound = Sound.objects.filter(story=story, version=story.version).first()
            if sound is not None and sound.state == Sound.State.READY:
                return airing, sound
            failed = sound is not None and sound.state == Sound.State.FAILED
            if not failed and airing.aired_at > at - PATIENCE:
                return None
        stream.planned = airing
    return None


def cut_bed(stream: AudioStream, now: int) -> int | None:
    """Ends the chords that are planned, in a slot that can still be rendered again; returns it.

    They fade at the begin of that slot: at the end of the one before, its sound would change too.
    """
    slot, changed = (now + SAFE_FRAMES) // SLOT_FRAMES + 1, None
    first = slot * SLOT_FRAMES
    last = first + FADE_FRAMES
    while stream.parts and stream.parts[-1]["kind"] == "bed" and end_of(stream.parts[-1]) > last:
        part, changed = stream.parts.pop(), slot
        if part["at"] < first:
            stream.parts.append({**part, "frames": last - part["at"]})
    return changed


def add_story(stream: AudioStream, frame: int, airing: Airing, sound: Sound) -> None:
    story, age = airing.story, time_of(frame) - airing.aired_at
    if stream.parts and stream.parts[-1]["kind"] == "story":
        stream.parts.append(_part("chime", frame, CHIME_FRAMES, story.title))
        frame += CHIME_FRAMES
    tempo = next((tempo for late, tempo in TEMPOS if age > late), 1.0)
    part = _part("story", frame, _frames(sound.seconds / tempo), story.title, sound.path)
    part["tempo"], part["story"], part["version"] = tempo, story.pk, sound.version
    part["times"] = _times(sound.times, tempo)
    part["source_type"] = disclosure.source_type_of_sound(disclosure.of_story(story))
    stream.parts.append(part)
    stream.planned = airing


def _times(seconds: Sequence[Sequence[float]], tempo: float = 1.0) -> list[tuple[int, int]]:
    """Returns the times of captions in frames."""
    frames = 1000 / FRAME_MS / tempo
    return [(round(begin * frames), round(end * frames)) for begin, end in seconds]


def _frames(seconds: float) -> int:
    return math.ceil(max(seconds - TRIMMED, FRAME_MS / 1000) * 1000 / FRAME_MS)


def identify(stream: AudioStream, frame: int) -> None:
    """Adds the identification of the station, how stories are made, and the time."""
    session, moment = stream.session, time_of(frame)
    # Also where no voice can say it: otherwise every step would try.
    stream.identified_at = moment
    made = [disclosure.of_story(story) for story in stories.published(session)[:HEADLINES]]
    slot = Slot.objects.filter(session=session, enabled=True).order_by("pk").first()
    zone = ZoneInfo(slot.zone if slot else "UTC")
    text = f"{episodes.identification(session, made)} It is {spoken_time(moment, zone)}."
    _speak(stream, "identification", frame, f"{session.name}: {disclosure.GENERAL}", text)


def spoken_time(moment: datetime, zone: ZoneInfo) -> str:
    """Returns the time in English, such as "3:05 PM, Berlin time"."""
    local = moment.astimezone(zone)
    place = zone.key.rpartition("/")[2].replace("_", " ")
    clock = f"{local:%I}".lstrip("0") + (f":{local:%M}" if local.minute else "") + f" {local:%p}"
    return f"{clock}, {'Greenwich Mean Time' if place == 'UTC' else f'{place} time'}"


def announce(stream: AudioStream, frame: int) -> None:
    """Adds why nothing is read, and the latest headlines in the language of the session."""
    session, moment = stream.session, time_of(frame)
    stream.announced_at = moment
    run = orchestrator.active(session)
    if run is not None and run.state in ON_AIR:
        text = f"You are listening to {session.name}. The next story follows when it is written."
    else:
        text = f"{session.name} is off air{until_next_slot(session, moment)}."
    latest = list(stories.published(session)[:HEADLINES])
    if latest:
        text += " The latest headlines:"
    _speak(stream, "notice", frame, session.name, text)
    if latest:
        titles = " ".join(f"{story.title.rstrip('.')}." for story in latest)
        frame = end_of(stream.parts[-1])
        _speak(stream, "headlines", frame, "Headlines", titles, session.language)


def until_next_slot(session: Session, moment: datetime) -> str:
    """Returns when the schedule takes the session on air next."""
    rows = Slot.objects.filter(session=session, enabled=True)
    turns = [(calendar.next_turn(slot, moment), slot.zone) for slot in rows]
    on = min(((at, zone) for (at, way), zone in turns if way == "on"), default=None)
    if on is None or on[0] - moment > timedelta(hours=20):
        return ""
    return f" until {spoken_time(on[0], ZoneInfo(on[1]))}"


def _speak(
    stream: AudioStream,
    kind: Kind,
    frame: int,
    title: str,
    text: str,
    language: str = episodes.LANGUAGE,
) -> None:
    """Adds words that the speech engine says; chords where it cannot."""
    session = stream.session
    try:
        passages = recorder.passages(session, text, language)
        speech = engines.engine().speak(passages, language, session.pace or DEFAULT_PACE)
    except Unspoken:
        stream.parts.append(_part("bed", frame, CHIME_FRAMES, title))
        return
    name = hashlib.sha256(speech.data).hexdigest()[:16]
    path = f"{folder(session.pk)}/speech-{name}.mp3"
    storage.write(path, [speech.data])
    part = _part(kind, frame, _frames(speech.seconds), title, path, text)
    part["times"] = _times(speech.times)
    stream.parts.append(part)


def folder(session_id: UUID) -> str:
    """Returns the folder of a session's stream in the data folder."""
    return f"streams/{session_id}"
