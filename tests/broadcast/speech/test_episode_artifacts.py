"""Episodes among the artifacts: one row for each that can be heard, and no second file."""

from __future__ import annotations

import pytest
from django.utils import timezone

from broadcast.models import Episode
from broadcast.speech import episodes
from sessions_app import audits, preferences
from sessions_app.errors import Conflict
from sessions_app.files import artifacts
from sessions_app.models import Artifact, Session
from stories.models import Story
from tests.broadcast.speech.recorded_session import correct, press
from tests.conftest import run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)


def shelved(session: Session) -> list[Artifact]:
    return list(artifacts.listed(session, "recordings").filter(name__startswith="episode"))


def test_an_episode_stands_among_the_recordings_with_its_own_file(heard: Session) -> None:
    [row], episode = shelved(heard), Episode.objects.get()
    assert row.name == "episode-1.mp3"
    assert (row.path, row.bytes, row.sha256) == (episode.path, episode.bytes, episode.sha256)
    assert [each.audit for each in audits.run("artifacts") if each.session] == []


def test_an_episode_that_is_made_anew_takes_the_place_of_the_old(heard: Session) -> None:
    before = shelved(heard)[0]
    correct(heard, Story.objects.filter(state="aired").earliest("pk"))
    run_due_steps(heard)
    [row] = shelved(heard)
    assert row.path == Episode.objects.get().path != before.path
    assert Artifact.objects.get(pk=before.pk).state == "dropped"


def test_an_episode_without_a_story_is_no_artifact(heard: Session) -> None:
    for story in Story.objects.filter(state="aired"):
        press(heard, "story.kill", story=story.pk)
    run_due_steps(heard)
    assert shelved(heard) == []


def test_an_episode_is_not_removed_by_hand(heard: Session) -> None:
    with pytest.raises(Conflict, match="podcast"):
        artifacts.remove(shelved(heard)[0])


def test_an_episode_of_before_is_listed_within_the_hour(heard: Session) -> None:
    Artifact.objects.filter(name__startswith="episode").delete()
    assert episodes.list_older(preferences.workspace(), timezone.now()) == 1
    assert len(shelved(heard)) == 1
    assert episodes.list_older(preferences.workspace(), timezone.now()) == 0
