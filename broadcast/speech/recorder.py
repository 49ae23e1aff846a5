"""Speaking: each story of a visible session gets a sound file, in a step that outlives its run."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction
from django.db.models import QuerySet

from broadcast import orchestrator
from broadcast.models import Sound
from broadcast.speech import engines, sounds
from broadcast.speech.engines import Engine, Speech, Unspoken
from sessions_app.background import retention, steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import StaleClaim
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.models import Message, Workspace
from sessions_app.models.session import DEFAULT_PACE
from stories import corrections, stories
from stories.models import Story

log = structlog.get_logger(__name__)

SPEAK = "speak"
State = Sound.State
FEW = 100


def changed(story: Story) -> None:
    """Have the story spoken when it is new or says something new, and drop what it says no more.

    In the caller's transaction.
    """
    if story.version > 1 or story.state == Story.State.KILLED:
        spoken = Sound.objects.filter(story=story, state=State.READY)
        told_again = story.state in corrections.OPEN
        drop(spoken.exclude(version=story.version) if told_again else spoken)
    if story.state not in corrections.OPEN or not story.session.visible or not engines.available():
        return
    if not Sound.objects.filter(story=story, version=story.version).exists():
        # By version: a correction must not be taken for the step that speaks what was said before.
        steps.enqueue(story.session, SPEAK, f"{story.pk} v{story.version}")


def speak(claim: Claim) -> None:
    """The step: speak the story as it is now, unless nobody would hear it any more."""
    story = stories.of_session(claim.session).filter(pk=int(claim.subject.split()[0])).first()
    if story is None or story.state not in corrections.OPEN:
        return
    if claim.session.visible and engines.available():
        make(story, engines.engine())


def make(story: Story, engine: Engine) -> Sound:
    """The story's sound, spoken unless it is there already.

    A story that cannot be spoken has a failed sound with the reason. Raises StaleClaim when somebody
    else speaks it too and was later.
    """
    sound = _open(story, engine)
    if sound.state == State.READY:
        return sound
    try:
        pace = story.session.pace or DEFAULT_PACE
        said = engine.speak(story.narrative, story.session.language, pace)
        kept = storage.write(sound.path, [said.data])
    except Unspoken as error:
        return _fail(sound, error.sentence)
    except OSError as error:
        return _fail(sound, f"The sound could not be stored: {error.strerror}.")
    _finish(sound, said, kept)
    return sound


def _open(story: Story, engine: Engine) -> Sound:
    """The row with the name of the file to come, so that no file is ever without its row."""
    path = sounds.fresh(story.session_id, f"{story.pk}-v{story.version}")
    with transaction.atomic():
        sound, _ = Sound.objects.get_or_create(
            session=story.session, story=story, version=story.version
        )
        before = sound.path
        fresh = {"state": State.PENDING, "path": path, "engine": engine.name, "error": ""}
        if not Sound.objects.filter(pk=sound.pk).exclude(state=State.READY).update(**fresh):
            sound.refresh_from_db()
            return sound
    storage.remove(before)
    sound.refresh_from_db()
    return sound


def _fail(sound: Sound, sentence: str) -> Sound:
    """Note why, and tell the owner once in a session; the run goes on."""
    storage.remove(sound.path)
    _mine(sound).update(state=State.FAILED, error=sentence[:300], path="")
    log.warning("sound_failed", story=sound.story_id, sentence=sentence)
    if not Message.objects.filter(session=sound.session_id, code=Unspoken.code).exists():
        recorder.add_message(sound.session, "producer", sentence, Unspoken.code)
    sound.refresh_from_db()
    return sound


def _mine(sound: Sound) -> QuerySet[Sound]:
    """The row, while nobody else has begun to speak the story; its path is the fence."""
    return Sound.objects.filter(pk=sound.pk, state=State.PENDING, path=sound.path)


def _finish(sound: Sound, said: Speech, kept: storage.StoredFile) -> None:
    # Locks the run before the story, so that the transaction that airs the story either sees its
    # sound, or has committed, and the pages get the sound by the event below.
    with orchestrator.locked_live_run(sound.session):
        story = Story.objects.select_for_update().get(pk=sound.story_id)
        done = _mine(sound).update(
            state=State.READY, media_type=said.media_type, bytes=kept.bytes, sha256=kept.sha256,
            seconds=round(said.seconds, 2), voice=said.voice[:40],
        )  # fmt: skip
        if done and story.version == sound.version:
            # What nobody has heard yet is not told to the audience; it comes with the story.
            type_ = sounds.READY if story.state in corrections.PUBLISHED else sounds.MADE
            recorder.record(sound.session, type_, _payload(sound, said))
    if not done:
        storage.remove(sound.path)
        raise StaleClaim("Somebody else speaks the story.")
    sound.refresh_from_db()


def _payload(sound: Sound, said: Speech) -> dict[str, object]:
    public = {"id": sound.pk, "story": sound.story_id, "seconds": round(said.seconds, 2)}
    return {
        "sound": {**public, "engine": sound.engine, "voice": said.voice},
        "public": {"sound": public},
    }


def drop_old(shared: Workspace, now: datetime) -> int:
    """The rule of retention: sounds of single stories go after a while; episodes stay."""
    before = now - timedelta(days=shared.keep_sounds_days)
    with transaction.atomic():
        return drop(Sound.objects.filter(state=State.READY, created_at__lt=before), FEW)


def drop(rows: QuerySet[Sound], most: int | None = None) -> int:
    """Take sounds back for good, in the caller's transaction; returns how many went."""
    gone = list(rows.order_by("created_at")[:most])
    Sound.objects.filter(pk__in=[sound.pk for sound in gone]).update(state=State.DROPPED, path="")
    for sound in gone:
        # After the row: a file that nothing names is never offered.
        transaction.on_commit(partial(storage.remove, sound.path))
    return len(gone)


def _gave_up(claim: Claim) -> None:
    unspoken = Sound.objects.filter(story=int(claim.subject.split()[0]), state=State.PENDING)
    unspoken.update(state=State.FAILED, error="It could not be spoken in three attempts.")


def register() -> None:
    steps.register(Kind(SPEAK, "producer", speak, _gave_up, outlives_run=True))
    stories.on_change.subscribe(changed)
    retention.register(drop_old)
