"""Episodes: a finished run as one sound file, the stories' sounds one after another.

The step works for a minute at most and is armed again until all stories are spoken. A correction
makes the episode anew; a pulled story takes it back until it is made without it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db import transaction
from django.utils.formats import date_format

from broadcast import orchestrator
from broadcast.models import Airing, Broadcast, Episode, Sound
from broadcast.speech import engines, episode_artifacts, recorder, sounds
from broadcast.states import State
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NotFound
from sessions_app.files import storage
from sessions_app.models import Session
from stories import stories
from stories.models import Story

EPISODE = "episode"
WORK_SECONDS = 45.0
MOST_STORIES = 500
Filed = Episode.State
# Sounds of these states are not tried again.
SETTLED = (Sound.State.READY, Sound.State.FAILED)


def of_session(session: Session) -> list[Episode]:
    """Episodes that can be heard, the latest first."""
    found = Episode.objects.filter(session=session, state=Filed.READY)
    return list(found.select_related("run").order_by("-id")[:20])


def find(session: Session, run_number: int) -> Episode:
    """The episode of a run of the session, by the run's number."""
    found = Episode.objects.filter(session=session, state=Filed.READY, run__number=run_number)
    episode = found.select_related("run").first()
    if episode is None:
        raise NotFound("There is no such episode.")
    return episode


def ended(run: Broadcast) -> None:
    """Have an episode made of a run that has come to rest; in the caller's transaction."""
    if run.session.visible and engines.available():
        steps.enqueue(run.session, EPISODE, run.pk)


def changed(story: Story) -> None:
    """Have episodes with a corrected or pulled story made anew; in the caller's transaction."""
    if story.state not in (Story.State.AIRED, Story.State.KILLED):
        return
    made = Episode.objects.filter(run__airings__story=story).select_related("session")
    for episode in made.exclude(state=Filed.DROPPED):
        if story.state == Story.State.KILLED:
            Episode.objects.filter(pk=episode.pk).update(state=Filed.PENDING)
        steps.enqueue(episode.session, EPISODE, episode.run_id)


def told(run: Broadcast) -> list[Story]:
    """What the run told and nobody pulled, in the order of airing."""
    rows = Airing.objects.filter(run=run, story__state=Story.State.AIRED).order_by("id")
    return [one.story for one in rows.select_related("story__session")[:MOST_STORIES]]


def assemble(claim: Claim) -> None:
    """The step: speak what is missing, then join it all."""
    run = Broadcast.objects.select_related("session").get(pk=int(claim.subject))
    if run.state != State.IDLE or not _wanted(run):
        return
    stories = told(run)
    if not stories:
        _withdraw(run)
    elif not (_speak(claim, stories) and _join(claim, run, stories)):
        claim.reschedule(steps.now())


def _wanted(run: Broadcast) -> bool:
    """Somebody may hear it; what was made once is always put right."""
    audience = run.session.visible and engines.available()
    return audience or Episode.objects.filter(run=run).exists()


def _speak(claim: Claim, stories: Sequence[Story]) -> bool:
    """Speak the stories that have no sound yet; False when time is up before all are spoken."""
    began, engine = time.monotonic(), engines.engine()
    settled = Sound.objects.filter(story__in=stories, state__in=SETTLED)
    done = set(settled.values_list("story", "version"))
    missing = [story for story in stories if (story.pk, story.version) not in done]
    for story in missing if engines.available() else ():
        if time.monotonic() - began > WORK_SECONDS:
            return False
        claim.check()
        recorder.make(story, engine)
    return True


def _join(claim: Claim, run: Broadcast, stories: Sequence[Story]) -> bool:
    """Make the file and put it into the place of the earlier one; False when it is outdated by now."""
    ready = {sound.story_id: sound for sound in sounds.valid().filter(story__in=stories)}
    parts = [ready[story.pk] for story in stories if story.pk in ready]
    lost = [part.pk for part in parts if not storage.full_path(part.path).is_file()]
    if lost:
        with transaction.atomic():
            recorder.drop(Sound.objects.filter(pk__in=lost))
        return False
    path = sounds.fresh(run.session_id, f"episode-{run.number}")
    return _replace(claim, run, stories, _made(path, parts))


def _made(path: str, parts: Sequence[Sound]) -> dict[str, object]:
    """The columns of the episode: those of the file, or why there is none."""
    if not parts:
        return _failed("None of its stories could be spoken.")
    try:
        kept = storage.write(path, storage.read(part.path for part in parts))
    except OSError as error:
        return _failed(f"The episode could not be stored: {error.strerror}.")
    return {
        "state": Filed.READY, "path": path, "media_type": parts[0].media_type, "error": "",
        "bytes": kept.bytes, "sha256": kept.sha256,
        "seconds": round(sum(part.seconds for part in parts), 2),
    }  # fmt: skip


def _failed(sentence: str) -> dict[str, object]:
    return {"state": Filed.FAILED, "error": sentence, "path": ""}


def _replace(
    claim: Claim, run: Broadcast, stories: Sequence[Story], made: dict[str, object]
) -> bool:
    said = {(story.pk, story.version) for story in stories}
    unused = str(made["path"])
    try:
        with transaction.atomic():
            # Whoever corrects or pulls one of them comes later than this, or was seen here.
            locked = Story.objects.select_for_update().filter(pk__in=[pk for pk, _ in said])
            aired = locked.filter(state=Story.State.AIRED).order_by("pk")
            if set(aired.values_list("pk", "version")) != said:
                return False
            claim.complete()
            episode = _episode(run)
            Episode.objects.filter(pk=episode.pk).update(**made)
            episode_artifacts.follow(run.session)
            unused = episode.path
    finally:
        storage.remove(unused)
    return True


def _episode(run: Broadcast) -> Episode:
    on = date_format(run.live_at or run.since, "j F Y")
    title = f"{run.session.name[:150]}, {on} (broadcast {run.number})"
    defaults = {"title": title}
    return Episode.objects.get_or_create(session=run.session, run=run, defaults=defaults)[0]


def _withdraw(run: Broadcast) -> None:
    """An episode of which every story was pulled is no more."""
    for episode in Episode.objects.filter(run=run):
        with transaction.atomic():
            Episode.objects.filter(pk=episode.pk).update(state=Filed.DROPPED, path="")
            episode_artifacts.follow(run.session)
        storage.remove(episode.path)


def _gave_up(claim: Claim) -> None:
    unmade = Episode.objects.filter(run=int(claim.subject), state=Filed.PENDING)
    unmade.update(**_failed("It could not be made in three attempts."))


def register() -> None:
    steps.register(Kind(EPISODE, "producer", assemble, _gave_up, outlives_run=True))
    stories.on_change.subscribe(changed)
    orchestrator.on_rest.subscribe(ended)
