"""The sounds of stories as the audience gets them: which there are, and the file behind one."""

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

READY = recorder.declare("sound.ready", "A told story has its sound file.", public=True)
MADE = recorder.declare("sound.made", "A story that is not told yet has its sound file.")

FOLDER = "sounds"
SUFFIXES = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/ogg": "ogg"}
TOLD = (Story.State.AIRING, Story.State.AIRED)


def fresh(session: UUID, name: str, media_type: str = "audio/mpeg") -> str:
    """A path, relative to the data folder, that nobody has used or can guess."""
    return f"{FOLDER}/{session}/{name}-{secrets.token_hex(8)}.{SUFFIXES[media_type]}"


def valid() -> QuerySet[Sound]:
    """Sounds that say what their story says now."""
    return Sound.objects.filter(state=Sound.State.READY, version=F("story__version"))


class SoundReference(TypedDict):
    """The sound of a story."""

    id: Annotated[int, Field(description="Id of the sound.")]
    seconds: Annotated[float, Field(description="Length in seconds.")]


class AudibleStory(PublicStory):
    """A story as the audience may know it, with its sound."""

    sound: Annotated[SoundReference | None, Field(description="Its sound, or null without one.")]


def of_stories(story_ids: Iterable[int]) -> dict[int, SoundReference]:
    """By story: the id of its sound and how long it is, in seconds."""
    found = valid().filter(story__in=list(story_ids)).values_list("story_id", "id", "seconds")
    return {story: {"id": sound, "seconds": seconds} for story, sound, seconds in found}


def public_all(stories: Sequence[StoryPayload]) -> list[AudibleStory]:
    """Stories (payloads for the owner) as the audience may know them, each with its sound or None."""
    found = of_stories(story["id"] for story in stories)
    return [
        {**stories_module.public_payload(story), "sound": found.get(story["id"])}
        for story in stories
    ]


def public(story: StoryPayload) -> AudibleStory:
    return public_all([story])[0]


def find(session: Session, sound_id: int) -> Sound:
    """A sound that may be heard: of a story that was told and not pulled, as it says now."""
    sound = valid().filter(session=session, pk=sound_id, story__state__in=TOLD).first()
    if sound is None:
        raise NotFound("There is no such sound.")
    return sound
