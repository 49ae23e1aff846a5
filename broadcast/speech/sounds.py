"""The sounds of stories as the audience gets them, and the paths of their files."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Annotated
from uuid import UUID

from django.db.models import F, QuerySet
from pydantic import Field
from typing_extensions import TypedDict

from broadcast.models import Sound
from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories import stories as stories_module
from stories.models import Story
from stories.stories import PublicStory, StoryPayload


class SoundReference(TypedDict):
    """The sound of a story."""

    id: Annotated[int, Field(description="Id of the sound.")]
    seconds: Annotated[float, Field(description="Duration in seconds.")]


class AudibleStory(PublicStory):
    """A story as the audience sees it, with its sound."""

    sound: Annotated[SoundReference | None, Field(description="Its sound, or null without one.")]


class PublicSoundPayload(SoundReference):
    """A new sound as the audience sees it."""

    story: Annotated[int, Field(description="Id of the story.")]


class SoundPayload(PublicSoundPayload):
    """A new sound as its owner sees it."""

    engine: Annotated[str, Field(description="Name of the speech engine.")]
    voice: Annotated[str, Field(description="Name of the voice.")]


class PublicSound(TypedDict):
    """The public part of a sound event."""

    sound: Annotated[PublicSoundPayload, Field(description="The sound as the audience gets it.")]


class SoundEvent(TypedDict):
    """The payload of ``sound.ready`` and ``sound.made``."""

    sound: Annotated[SoundPayload, Field(description="The sound.")]
    public: Annotated[PublicSound, Field(description="The part that the audience gets.")]


READY = recorder.declare(
    "sound.ready", "A published story has its sound file.", SoundEvent, public=True
)
MADE = recorder.declare("sound.made", "A story that has not aired has its sound file.", SoundEvent)

FOLDER = "sounds"
SUFFIXES = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/ogg": "ogg"}
PUBLISHED = (Story.State.AIRING, Story.State.AIRED)


def fresh(session: UUID, name: str, media_type: str = "audio/mpeg") -> str:
    """Returns a new path, relative to the data folder, that cannot be guessed."""
    return f"{FOLDER}/{session}/{name}-{secrets.token_hex(8)}.{SUFFIXES[media_type]}"


def valid() -> QuerySet[Sound]:
    """Returns the sounds that speak the current version of their story."""
    return Sound.objects.filter(state=Sound.State.READY, version=F("story__version"))


def of_stories(story_ids: Iterable[int]) -> dict[int, SoundReference]:
    """Returns the sound of each story that has one, by story id."""
    rows = valid().filter(story__in=list(story_ids)).values_list("story_id", "id", "seconds")
    return {story: {"id": sound, "seconds": seconds} for story, sound, seconds in rows}


def public_all(stories: Sequence[StoryPayload]) -> list[AudibleStory]:
    """Returns the public payloads of stories, each with its sound or None."""
    story_sounds = of_stories(story["id"] for story in stories)
    return [
        {**stories_module.public_payload(story), "sound": story_sounds.get(story["id"])}
        for story in stories
    ]


def public(story: StoryPayload) -> AudibleStory:
    return public_all([story])[0]


def find(session: Session, sound_id: int) -> Sound:
    """Returns a sound that may be played: of a published story, in its current version."""
    sound = valid().filter(session=session, pk=sound_id, story__state__in=PUBLISHED).first()
    if sound is None:
        raise NotFound("There is no such sound.")
    return sound
