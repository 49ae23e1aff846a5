"""Makes a sound file for each story of a visible session, in a step that outlives its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import accumulate, pairwise

import structlog
from django.db import transaction
from django.db.models import QuerySet

from broadcast import orchestrator
from broadcast.models import Sound
from broadcast.speech import engines, sounds
from broadcast.speech.engines import MARK, Engine, Passage, Speech, Unspoken
from broadcast.speech.pronunciation import spoken_form
from broadcast.transfer.formats.base import caption
from broadcast.transfer.formats.srt_format import captions
from sessions_app.background import retention, steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import StaleClaim
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.models import Message, Session, Workspace
from sessions_app.models.session import DEFAULT_PACE, pronunciations
from stories import corrections, disclosure, stories
from stories.models import Story
from stories.text.sentences import reading_seconds, sentences, word_count

log = structlog.get_logger(__name__)

SPEAK = "speak"
State = Sound.State
CHUNK = 100
OTHER_VOICE = "other_voice"
NEAR = 16  # letters
FAILED = f"It could not be spoken in {steps.MAX_ATTEMPTS} attempts."


def changed(story: Story) -> None:
    """Enqueues speaking a new or corrected story, and drops outdated sounds.

    In the caller's transaction.
    """
    still_public = story.state in Story.OPEN
    if story.version > 1 or story.state == Story.State.KILLED:
        spoken = Sound.objects.filter(story=story, state=State.READY)
        drop(spoken.exclude(version=story.version) if still_public else spoken)
    if not still_public or not story.session.visible or not engines.available():
        return
    if not Sound.objects.filter(story=story, version=story.version).exists():
        # The version is part of the subject: otherwise a correction would count as the same step
        # as the one that speaks the earlier text.
        steps.enqueue(story.session, SPEAK, f"{story.pk} v{story.version}")


def speak(claim: Claim) -> None:
    """Speaks the story in its current version, unless it has no audience any more."""
    story = stories.of_session(claim.session).filter(pk=int(claim.subject.split()[0])).first()
    if story is None or story.state not in Story.OPEN:
        return
    if claim.session.visible and engines.available():
        make(story, engines.engine())


def make(story: Story, engine: Engine) -> Sound:
    """Returns the story's sound, which is spoken unless it exists.

    A story that cannot be spoken gets a failed sound with the reason. Raises StaleClaim when another
    worker began to speak it later.
    """
    sound = _open(story, engine)
    if sound.state == State.READY:
        return sound
    try:
        pace = story.session.pace or DEFAULT_PACE
        speech = engine.speak(
            passages(story.session, story.narrative), story.session.language, pace
        )
        made = disclosure.of_story(story)
        source_type = disclosure.source_type_of_sound(made)
        tag = engines.id3_tag(story.title, story.session.name, made["text"], source_type)
        stored = storage.write(sound.path, [tag, speech.data])
    except Unspoken as error:
        return _fail(sound, error.sentence)
    except OSError as error:
        return _fail(sound, f"The sound could not be stored: {error.strerror}.")
    _finish(sound, speech, stored)
    return sound


def passages(session: Session, text: str, language: str = "") -> list[Passage]:
    """Returns the sentences as a session's presenters say them, in its language unless given.

    Two presenters speak in turn: a paragraph each, or a sentence each of a text without paragraphs.
    """
    rules = pronunciations(session.pronunciation)
    presenters = [session.voice, session.co_voice] if session.co_voice else [session.voice]
    paragraphs = [sentences(paragraph) for paragraph in text.split("\n") if paragraph.strip()]
    if len(paragraphs) == 1:
        paragraphs = [[sentence] for sentence in paragraphs[0]]
    spoken = partial(spoken_form, language=language or session.language, rules=rules)
    return [
        Passage(with_marks(sentence, spoken), presenters[turn % len(presenters)])
        for turn, paragraph in enumerate(paragraphs)
        for sentence in paragraph
    ]


def with_marks(sentence: str, spoken: Callable[[str], str]) -> str:
    """Returns what is spoken of a sentence, with a mark where each caption after the first begins.

    The words of a caption are known as they are written, so what is spoken of those before it is counted
    in letters.
    """
    whole, written = spoken(sentence.replace(MARK, "")), caption(sentence)
    letters = [at for at, letter in enumerate(whole) if not letter.isspace()]
    begins = [at for before, at in pairwise(letters) if at - before > 1]
    places = [at for at, letter in enumerate(written) if not letter.isspace()]
    lengths = accumulate(len("".join(shown.split())) for shown in captions(sentence))
    marks, done, count = [], 0, 0
    for length in [*lengths][:-1]:
        count += len("".join(spoken(written[done : places[length]]).split()))
        done, at = places[length], [*letters, len(whole)][min(count, len(letters))]
        # What is said of a word may depend on the next one: take the nearest begin of a word.
        near = min(begins, key=lambda begin: abs(begin - at), default=at)
        marks.append(near if abs(near - at) < NEAR else at)
    edges = accumulate((0, *marks, len(whole)), max)
    return MARK.join(whole[begin:end] for begin, end in pairwise(edges))


# Between two stories the stream has a chime, which is this much longer than the pause that it replaces.
BETWEEN = 0.8  # seconds
# A word that is spoken has six letters, a digit takes as long as seven, and a sentence ends with a pause.
LETTERS_OF_A_WORD = 6
LETTERS_OF_A_DIGIT = 7
AFTER_A_SENTENCE = 0.7  # seconds
FASTEST = 450  # words a minute; no voice follows a higher pace


def seconds_on_air(story: Story) -> float:
    """Returns how long a story is on air: as long as it is heard, or as its words take if it is not."""
    session = story.session
    if not session.visible or session.pace > FASTEST or not engines.available():
        return story.duration
    sounds = Sound.objects.filter(story=story, version=story.version)
    state, seconds = sounds.values_list("state", "seconds").first() or ("", 0.0)
    if state == State.FAILED:
        return story.duration
    return round(
        (seconds if state == State.READY else spoken_seconds(session, story.narrative)) + BETWEEN, 1
    )


def spoken_seconds(session: Session, text: str) -> float:
    """Returns about how long the sound of a text is, before it is made."""
    spoken = [passage.text for passage in passages(session, text)]
    letters = sum(map(str.isalpha, "".join(spoken)))
    letters += LETTERS_OF_A_DIGIT * sum(map(str.isdecimal, "".join(spoken)))
    # Scripts without spaces have more than a letter in each character.
    words = max(letters / LETTERS_OF_A_WORD, word_count(text))
    return reading_seconds(words, session.pace or DEFAULT_PACE) + AFTER_A_SENTENCE * len(spoken)


LONGEST_SAMPLE = 200  # characters
SAMPLES = {
    "en": "Good evening. Prices rose by 2.5% in October, and the ferry sails again at 7:30.",
    "de": "Guten Abend. Die Fähre fährt wieder, und morgen wird es bis zu 12 Grad warm.",
    "es": "Buenas tardes. El transbordador vuelve a navegar y mañana habrá 12 grados.",
    "fr": "Bonsoir. Le bac navigue de nouveau, et il fera 12 degrés demain.",
    "it": "Buonasera. Il traghetto riparte e domani ci saranno 12 gradi.",
    "nl": "Goedenavond. De veerboot vaart weer en morgen wordt het 12 graden.",
    "pt": "Boa noite. A balsa volta a navegar e amanhã fará 12 graus.",
}


def sample(session: Session, text: str) -> bytes:
    """Returns a short text as MP3, spoken as the session's stories are; raises Unspoken.

    Without a text it is a sentence in the session's language, or else the name of the session.
    """
    text = text.strip()[:LONGEST_SAMPLE] or SAMPLES.get(
        session.language.lower()[:2], f"{session.name}. 1, 2, 3."
    )
    spoken = tuple(passages(session, text))
    return _sample(spoken, session.language, session.pace or DEFAULT_PACE)


@lru_cache(maxsize=32)  # 60 kB each; a browser may ask twice for what it plays
def _sample(spoken: Sequence[Passage], language: str, pace: int) -> bytes:
    return engines.engine().speak(spoken, language, pace).data


def _open(story: Story, engine: Engine) -> Sound:
    """Stores the path of the file before it is written, so that no file is ever without its row."""
    path = sounds.fresh(story.session_id, f"{story.pk}-v{story.version}")
    with transaction.atomic():
        sound, _ = Sound.objects.get_or_create(
            session=story.session, story=story, version=story.version
        )
        previous_path = sound.path
        columns = {"state": State.PENDING, "path": path, "engine": engine.name, "error": ""}
        if not Sound.objects.filter(pk=sound.pk).exclude(state=State.READY).update(**columns):
            # Another worker has finished it meanwhile.
            sound.refresh_from_db()
            return sound
    storage.remove(previous_path)
    sound.refresh_from_db()
    return sound


def _claimed(sound: Sound) -> QuerySet[Sound]:
    """Returns the row while no other worker has begun to speak it; the path is the fencing token."""
    return Sound.objects.filter(pk=sound.pk, state=State.PENDING, path=sound.path)


def _fail(sound: Sound, sentence: str) -> Sound:
    """Stores the reason and sends it to the owner once per session; the run continues."""
    storage.remove(sound.path)
    _claimed(sound).update(state=State.FAILED, error=sentence[:300], path="")
    log.warning("sound_failed", story=sound.story_id, sentence=sentence)
    _tell_once(sound.session, sentence, Unspoken.code)
    sound.refresh_from_db()
    return sound


def _tell_once(session: Session, sentence: str, code: str) -> None:
    """Sends a sentence to the owner unless the session has a message with this code."""
    if not Message.objects.filter(session=session, code=code).exists():
        recorder.add_message(session, "producer", sentence, code)


def _finish(sound: Sound, speech: Speech, stored: storage.StoredFile) -> None:
    seconds = round(speech.seconds, 2)
    # Locks the run before the story, so that the transaction that airs the story either sees its
    # sound, or has committed, and the pages get the sound by the event below.
    with orchestrator.locked_live_run(sound.session):
        story = Story.objects.select_for_update().get(pk=sound.story_id)
        done = _claimed(sound).update(
            state=State.READY,
            media_type=speech.media_type,
            bytes=stored.bytes,
            sha256=stored.sha256,
            seconds=seconds,
            engine=speech.engine[:24],
            voice=speech.voice[:40],
            error=speech.note[:300],
            times=list(speech.times),
        )
        if done and story.version == sound.version:
            # The sound of a story that has not aired is not public; it is published with the story.
            type_ = sounds.READY if story.state in corrections.PUBLISHED else sounds.MADE
            recorder.record(
                sound.session,
                type_,
                {
                    "sound": {
                        "id": sound.pk,
                        "story": sound.story_id,
                        "seconds": seconds,
                        "engine": speech.engine[:24],
                        "voice": speech.voice[:40],
                    },
                    "public": {
                        "sound": {"id": sound.pk, "story": sound.story_id, "seconds": seconds}
                    },
                },
            )
    if not done:
        storage.remove(sound.path)
        raise StaleClaim("Another worker speaks the story.")
    if speech.note:
        _tell_once(sound.session, speech.note, OTHER_VOICE)
    sound.refresh_from_db()


def drop_old(workspace: Workspace, now: datetime) -> int:
    """Drops old sounds of single stories for retention; episodes are not affected."""
    oldest = now - timedelta(days=workspace.keep_sounds_days)
    with transaction.atomic():
        return drop(Sound.objects.filter(state=State.READY, created_at__lt=oldest), CHUNK)


def drop(rows: QuerySet[Sound], most: int | None = None) -> int:
    """Drops sounds for good, in the caller's transaction; returns their number."""
    dropped = list(rows.order_by("created_at")[:most])
    ids = [sound.pk for sound in dropped]
    Sound.objects.filter(pk__in=ids).update(state=State.DROPPED, path="")
    for sound in dropped:
        # Files are removed after the commit, so that no row ever names a missing file.
        transaction.on_commit(partial(storage.remove, sound.path))
    return len(dropped)


def give_up(claim: Claim) -> None:
    """Marks a sound as failed after the last attempt."""
    pending = Sound.objects.filter(story=int(claim.subject.split()[0]), state=State.PENDING)
    pending.update(state=State.FAILED, error=FAILED)


def register() -> None:
    steps.register(Kind(SPEAK, "producer", speak, give_up, outlives_run=True))
    stories.on_change.subscribe(changed)
    retention.register(drop_old)
