"""Episodes: a finished run as one sound file, made of the sounds of its stories.

The step works for less than a minute and is rescheduled until all stories are spoken. A correction
makes the episode again; a pulled story withdraws it until it is made without that story.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import chain

from django.db import transaction
from django.utils.formats import date_format

from broadcast import orchestrator
from broadcast.models import Airing, Broadcast, Episode, Sound
from broadcast.speech import engines, programme, recorder, sounds
from broadcast.speech.programme import Programme
from broadcast.states import State
from sessions_app.background import retention, steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NotFound
from sessions_app.events import recorder as events
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Session, Workspace
from stories import disclosure, stories
from stories.models import Story

EPISODE = "episode"
WORK_SECONDS = 45.0
MOST_STORIES = 500
SESSIONS = 100  # listed at once
EpisodeState = Episode.State
# Stories with a sound in one of these states are not spoken again.
SETTLED = (Sound.State.READY, Sound.State.FAILED)


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
        _withdraw(run)
    elif not (_speak(claim, [airing.story for airing in rows]) and _join(claim, run, rows)):
        claim.reschedule(steps.AT_ONCE)


def _withdraw(run: Broadcast) -> None:
    """Drops an episode of which every story was pulled."""
    for episode in Episode.objects.filter(run=run):
        with transaction.atomic():
            Episode.objects.filter(pk=episode.pk).update(state=EpisodeState.DROPPED, path="")
            list_artifacts(run.session)
        storage.remove(episode.path)


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
    columns = _write(path, title, programme.arrange(run.session, airings, ready, engines.engine()))
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
