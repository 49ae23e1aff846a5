"""Some damages to the database are found by the audits; ``make chaos ARGS=--long`` damages every column."""

from __future__ import annotations

import pytest

from sessions_app import audits
from tests.chaos.damage import a_past, damage
from tests.conftest import MakeSession

FEW = (
    "sessions_app_session.budget",
    "sessions_app_session.made_from_id",
    "sessions_app_ailink.model",
    "sessions_app_message.link_id",
    "sessions_app_archive.joined",
    "sessions_app_bucket.call_ms",
    "sessions_app_tally.key",
    "sessions_app_sessionevent.at",
    "stories_interest",
    "stories_boardkeyword",
    "stories_sourcepost.label",
    "stories_sourcepost.parts",
    "stories_draftmessage.link_id",
    "stories_tokenusage.message_id",
    "broadcast_sound.times",
    "stories_draft.state",
    "stories_storyversion.reason",
    "stories_storyversion.passages",
    "stories_story.completed_at",
    "stories_trend.engagement",
    "stories_trendbucket.posts",
    "stories_tokenusage.duration_ms",
    "stories_quarantinedecision",
    "stories_quarantinedrecord.old_session",
    "broadcast_slot",
    "broadcast_broadcast.peak_audience",
    "broadcast_statechange.seq",
    "broadcast_airing.finished_at",
    "broadcast_episode.contents",
)


@pytest.mark.django_db
@pytest.mark.slow
def test_damages_are_found(make_session: MakeSession) -> None:
    a_past(make_session)
    assert "\n".join(finding.detail for finding in audits.run()) == ""
    damages = damage(FEW, seed=3)
    assert (damages.done, damages.missed) == (len(FEW), [])
