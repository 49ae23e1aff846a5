"""Episodes: a finished run as one sound file: station identifications and the sounds of its stories.

The step works for less than a minute and is rescheduled until all stories are spoken. A correction
makes the episode again; a pulled story withdraws it until it is made without that story.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from threading import Lock
from typing import Annotated, NotRequired

from django.db import close_old_connections, transaction
from django.utils.formats import date_format
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.models import Airing, Broadcast, Episode, Sound
from broadcast.speech import engines, recorder, sounds
from broadcast.speech.engines import Engine, Silent, Speech, Unspoken
from broadcast.states import State
from sessions_app.background import retention, steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NotFound
from sessions_app.events import recorder as events
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Session, Workspace
from sessions_app.models.session import DEFAULT_PACE
from sessions_app.realtime.batching import SingleFlight
from stories import disclosure, stories
from stories.models import Story

EPISODE = "episode"
WORK_SECONDS = 45.0
MOST_STORIES = 500
SESSIONS = 100  # listed at once

# The identification is English: a voice of another language would be hard to understand.
LANGUAGE = "en"
SOURCE_TYPE = f"{disclosure.SOURCE_TYPES}algorithmicMedia"
EpisodeState = Episode.State
_identifications: SingleFlight[bytes] = SingleFlight(32)  # 50 kB each
_speaking = Lock()  # the web process speaks one at a time
LONGEST_WAIT = 10.0  # seconds for another one to be spoken

# Stories with a sound in one of these states are not spoken again.
SETTLED = (Sound.State.READY, Sound.State.FAILED)


class Part(TypedDict):
    """One part of an episode, as stored with it."""

    at: Annotated[float, Field(description="Its begin in seconds from the begin of the episode.")]
    seconds: Annotated[float, Field(description="Its duration.")]
    story: Annotated[int | None, Field(description="Id of the story; null for an identification.")]
    text: Annotated[str, Field(description="The words of an identification; empty for a story.")]
    times: NotRequired[
        Annotated[
            list[tuple[float, float]],
            Field(description="Begin and end of each caption, in seconds from the part's begin."),
        ]
    ]


@dataclass(frozen=True, slots=True)
class Programme:
    """The parts of an episode, with the bytes of its identification."""

    parts: Sequence[Part]
    sounds: Sequence[Sound | None]
    identification: bytes

    @property
    def seconds(self) -> float:
        return round(sum(part["seconds"] for part in self.parts), 2)

    def chunks(self) -> Iterator[bytes]:
        """Yields the audio, read one file at a time."""
        for sound in self.sounds:
            if sound is None:
                yield self.identification
            else:
                yield engines.without_tag(storage.full_path(sound.path).read_bytes())


def of_session(session: Session) -> list[Episode]:
    """Returns the latest playable episodes, newest first."""
    rows = Episode.objects.filter(session=session, state=EpisodeState.READY)
    return list(rows.select_related("run").order_by("-id")[:20])


def find(session: Session, run_number: int) -> Episode:
    """Returns the episode of a run, by the run's number; raises NotFound."""
    rows = Episode.objects.filter(session=session, state=EpisodeState.READY, run__number=run_number)
    episode = rows.select_related("run").first()
    if episode is None:
        raise NotFound("There is no such episode.")
    return episode


def ended(run: Broadcast) -> None:
    """Enqueues the episode of a run that has ended; in the caller's transaction."""
    if run.session.visible and engines.available():
        steps.enqueue(run.session, EPISODE, run.pk)


def changed(story: Story) -> None:
    """Enqueues the episodes with a corrected or pulled story; in the caller's transaction."""
    if story.state not in (Story.State.AIRED, Story.State.KILLED):
        return
    affected = Episode.objects.filter(run__airings__story=story).select_related("session")
    for episode in affected.exclude(state=EpisodeState.DROPPED):
        if story.state == Story.State.KILLED:
            # The old file has the pulled story in it, so it must not be played meanwhile.
            Episode.objects.filter(pk=episode.pk).update(state=EpisodeState.PENDING)
        steps.enqueue(episode.session, EPISODE, episode.run_id)


def assemble(claim: Claim) -> None:
    """Speaks the stories that have no sound yet, then joins all sounds."""
    run = Broadcast.objects.select_related("session").get(pk=int(claim.subject))
    has_listeners = run.session.visible and engines.available()
    # An existing episode is always updated, also when the session is hidden by now.
    if run.state != State.IDLE or not (has_listeners or Episode.objects.filter(run=run).exists()):
        return
    airings = Airing.objects.filter(run=run, story__state=Story.State.AIRED).order_by("id")
    rows = list(airings.select_related("story__session")[:MOST_STORIES])
    if not rows:
        # Every story was pulled.
        for episode in Episode.objects.filter(run=run):
            with transaction.atomic():
                Episode.objects.filter(pk=episode.pk).update(state=EpisodeState.DROPPED, path="")
                list_artifacts(run.session)
            storage.remove(episode.path)
    elif not (_speak(claim, [airing.story for airing in rows]) and _join(claim, run, rows)):
        claim.reschedule(steps.AT_ONCE)


def _speak(claim: Claim, stories: Sequence[Story]) -> bool:
    """Speaks the stories that have no sound yet; returns False when time is up before the end."""
    started, engine = time.monotonic(), engines.engine()
    settled = Sound.objects.filter(story__in=stories, state__in=SETTLED)
    done = set(settled.values_list("story", "version"))
    missing = [story for story in stories if (story.pk, story.version) not in done]
    for story in missing if engines.available() else ():
        if time.monotonic() - started > WORK_SECONDS:
            return False
        claim.check()
        recorder.make(story, engine)
    return True


def _join(claim: Claim, run: Broadcast, airings: Sequence[Airing]) -> bool:
    """Writes the file and replaces the earlier one; returns False when a story has changed since."""
    stories = [airing.story for airing in airings]
    ready = {
        sound.story_id: sound
        for sound in sounds.valid().filter(story__in=stories).select_related("story", "session")
    }
    missing_files = [
        part.pk for part in ready.values() if not storage.full_path(part.path).is_file()
    ]
    if missing_files:
        # Without their rows, the next attempt speaks these stories again.
        with transaction.atomic():
            recorder.drop(Sound.objects.filter(pk__in=missing_files))
        return False
    path = sounds.fresh(run.session_id, f"episode-{run.number}")
    day = date_format(run.live_at or run.since, "j F Y")
    title = f"{run.session.name[:150]}, {day} (broadcast {run.number})"
    columns = _write(path, title, arrange(run.session, airings, ready, engines.engine()))
    versions = {(story.pk, story.version) for story in stories}
    unused = str(columns["path"])
    try:
        with transaction.atomic():
            # A correction or a pull either committed before this lock and is seen here, or it
            # waits for it and enqueues the episode again.
            locked = Story.objects.select_for_update().filter(pk__in=[pk for pk, _ in versions])
            aired = locked.filter(state=Story.State.AIRED).order_by("pk")
            if set(aired.values_list("pk", "version")) != versions:
                return False
            claim.complete()
            episode, _ = Episode.objects.get_or_create(
                session=run.session, run=run, defaults={"title": title}
            )
            Episode.objects.filter(pk=episode.pk).update(**columns)
            list_artifacts(run.session)
            unused = episode.path
    finally:
        storage.remove(unused)
    return True


def arrange(
    session: Session, airings: Sequence[Airing], sounds: dict[int, Sound], engine: Engine
) -> Programme:
    """Arranges the airings that have a sound.

    An identification opens the programme and each further hour of it.
    """
    heard = [airing for airing in airings if airing.story_id in sounds]
    text = identification(session, [disclosure.of_story(airing.story) for airing in heard])
    spoken = _spoken(text, session, engine)
    parts: list[Part] = []
    order: list[Sound | None] = []
    clock, hour = 0.0, None
    for airing in heard:
        if spoken is not None and hour != _hour(airing.aired_at):
            seconds, times = round(spoken.seconds, 2), list(spoken.times)
            parts.append(
                {"at": clock, "seconds": seconds, "story": None, "text": text, "times": times}
            )
            order.append(None)
            clock = round(clock + seconds, 2)
        hour = _hour(airing.aired_at)
        sound = sounds[airing.story_id]
        seconds, story = sound.seconds, airing.story_id
        parts.append(
            {"at": clock, "seconds": seconds, "story": story, "text": "", "times": sound.times}
        )
        order.append(sound)
        clock = round(clock + sound.seconds, 2)
    return Programme(parts, order, spoken.data if spoken else b"")


def identification(session: Session, stories: list[disclosure.Disclosure]) -> str:
    """Returns what the station says of itself and of the making of its stories."""
    return f"You are listening to {session.name}. {disclosure.spoken(stories)}"


def identification_sound(session: Session, text: str) -> bytes:
    """Returns the identification as MP3 with its mark; raises Unspoken, which is not cached.

    All viewers ask for the same one at once, as a broadcast begins: the others wait for the first.
    """
    passages = tuple(recorder.passages(session, text, LANGUAGE))
    pace = session.pace or DEFAULT_PACE

    def speak() -> bytes:
        if not _speaking.acquire(timeout=LONGEST_WAIT):
            raise Unspoken("The speech engine is busy.")
        try:
            speech = engines.engine().speak(passages, LANGUAGE, pace)
        finally:
            _speaking.release()
        return engines.id3_tag("Station identification", "SMNB", text, SOURCE_TYPE) + speech.data

    # Those who wait must not use up the connections of a pool.
    close_old_connections()
    return _identifications.get((text, passages, pace), speak)


def _spoken(text: str, session: Session, engine: Engine) -> Speech | None:
    if isinstance(engine, Silent):
        return None
    try:
        passages = recorder.passages(session, text, LANGUAGE)
        return engine.speak(passages, LANGUAGE, session.pace or DEFAULT_PACE)
    except Unspoken:
        # An engine without an English voice: the pages and the tag still say it.
        return None


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _write(path: str, title: str, arranged: Programme) -> dict[str, object]:
    """Writes the file; returns the columns of the episode, which also tell why there is no file."""
    if not arranged.parts:
        return _failed("None of its stories could be spoken.")
    heard = [sound for sound in arranged.sounds if sound is not None]
    made = [disclosure.of_story(sound.story) for sound in heard]
    # One story of a trained model makes the whole a work of one.
    source_type = max(map(disclosure.source_type_of_sound, made))
    tag = engines.id3_tag(title, heard[0].session.name, disclosure.spoken(made), source_type)
    try:
        stored = storage.write(path, chain([tag], arranged.chunks()))
    except OSError as error:
        return _failed(f"The episode could not be stored: {error.strerror}.")
    return {
        "state": EpisodeState.READY,
        "path": path,
        "media_type": heard[0].media_type,
        "error": "",
        "bytes": stored.bytes,
        "sha256": stored.sha256,
        "seconds": arranged.seconds,
        "contents": arranged.parts,
    }


def _failed(sentence: str) -> dict[str, object]:
    return {"state": EpisodeState.FAILED, "error": sentence, "path": ""}


def give_up(claim: Claim) -> None:
    """Marks an episode as failed after the last attempt."""
    pending = Episode.objects.filter(run=int(claim.subject), state=EpisodeState.PENDING)
    pending.update(**_failed(f"It could not be made in {steps.MAX_ATTEMPTS} attempts."))


def list_artifacts(session: Session) -> None:
    """Makes the artifact rows match the playable episodes; last in the transaction."""
    ready = Episode.objects.filter(session=session, state=EpisodeState.READY)
    episodes = {episode.path: episode for episode in ready.select_related("run")}
    # An artifact with a file of its own lies under ROOT; an episode's row names the episode's file.
    rows = artifacts.listed(session, artifacts.Category.RECORDINGS).exclude(
        path__startswith=f"{storage.ROOT}/"
    )
    listed = {row.path: row for row in rows}
    for path in listed.keys() - episodes.keys():
        row = listed[path]
        Artifact.objects.filter(pk=row.pk).update(state=artifacts.State.DROPPED)
        row.state = artifacts.State.DROPPED
        events.record(row.session, artifacts.REMOVED, {"artifact": artifacts.payload(row)})
    for path in sorted(episodes.keys() - listed.keys()):
        episode = episodes[path]
        row = Artifact.objects.create(
            session=episode.session,
            category=artifacts.Category.RECORDINGS,
            path=episode.path,
            name=name_of(episode.run.number, episode.path),
            media_type=episode.media_type,
            bytes=episode.bytes,
            sha256=episode.sha256,
            note=episode.title,
        )
        events.record(row.session, artifacts.STORED, {"artifact": artifacts.payload(row)})


def name_of(run_number: int, path: str) -> str:
    """Returns the name of a run's episode as an artifact."""
    return f"episode-{run_number}.{path.rpartition('.')[2]}"


def list_older(_workspace: Workspace, _now: datetime) -> int:
    """Lists the episodes that are older than the artifacts feature, some sessions at a time."""
    ready = Episode.objects.filter(state=EpisodeState.READY)
    unlisted = ready.exclude(path__in=Artifact.objects.values("path"))
    sessions = Session.objects.filter(pk__in=unlisted.values("session"))[:SESSIONS]
    for session in sessions:
        with transaction.atomic():
            list_artifacts(session)
    return len(sessions)


def register() -> None:
    steps.register(Kind(EPISODE, "producer", assemble, give_up, outlives_run=True))
    stories.on_change.subscribe(changed)
    orchestrator.on_rest.subscribe(ended)
    retention.register(list_older)
