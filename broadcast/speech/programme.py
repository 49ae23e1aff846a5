"""The order of an episode: station identifications and the sounds of stories, with their times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from broadcast.models import Airing, Sound
from broadcast.speech import engines, recorder
from broadcast.speech.engines import Engine, Passage, Silent, Speech, Unspoken
from sessions_app.files import storage
from sessions_app.models import Session
from sessions_app.models.session import DEFAULT_PACE
from stories import disclosure

# The identification is English: a voice of another language would be hard to understand.
LANGUAGE = "en"
SOURCE_TYPE = f"{disclosure.SOURCE_TYPES}algorithmicMedia"


class Part(TypedDict):
    """One part of an episode, as stored with it."""

    at: Annotated[float, Field(description="Its begin in seconds from the begin of the episode.")]
    seconds: Annotated[float, Field(description="Its duration.")]
    story: Annotated[int | None, Field(description="Id of the story; null for an identification.")]
    text: Annotated[str, Field(description="The words of an identification; empty for a story.")]
    times: NotRequired[
        Annotated[
            list[tuple[float, float]],
            Field(description="Begin and end of each sentence, in seconds from the part's begin."),
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
    """Returns the identification as MP3 with its mark; raises Unspoken, which is not cached."""
    passages = tuple(recorder.passages(session, text, LANGUAGE))
    return _identification_sound(text, passages, session.pace or DEFAULT_PACE)


@lru_cache(maxsize=32)  # 50 kB each; many viewers ask for the same one
def _identification_sound(text: str, passages: Sequence[Passage], pace: int) -> bytes:
    speech = engines.engine().speak(passages, LANGUAGE, pace)
    return engines.id3_tag("Station identification", "SMNB", text, SOURCE_TYPE) + speech.data


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
