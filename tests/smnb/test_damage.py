"""Some damages to the database are found by the audits; ``make chaos ARGS=--long`` damages every column."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from broadcast.models import Airing, Broadcast, Slot
from sessions_app import audits
from sessions_app.models import AILink, SessionEvent
from stories.models import StoryVersion, Trend
from tests.chaos.damage import a_past, damage, undone, without_guards
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
    with without_guards():
        for rows, values, detail in known_damages():
            with undone():
                assert rows.update(**values) == 1
                assert any(detail in finding.detail for finding in audits.run()), detail


def known_damages() -> Iterator[tuple[QuerySet[Any], dict[str, Any], str]]:
    """Yields one row each, what it is changed to, and what an audit says then."""

    def one(rows: QuerySet[Any]) -> tuple[QuerySet[Any], Any]:
        row = rows.order_by("pk")[0]
        return rows.model._base_manager.filter(pk=row.pk), row

    links, link = one(AILink.objects.filter(usage=None, source="narration"))
    assert link.provider_id.startswith("offline-")
    for text in (f"x{link.provider_id}", link.provider_id[:-1], "msg_01", ""):
        yield links, {"provider_id": text}, "has an id that was not made here"
    for model in ("", "claude-opus-4-6"):
        yield links, {"model": model}, "names a model that was not asked"
    events, event = one(SessionEvent.objects.all())
    figures = event.payload["figures"]
    for name in ("cache_read_tokens", "total_tokens", "cost", "feed"):
        for value in ("damaged", None, 0.5):
            damaged = {**event.payload, "figures": {**figures, name: value}}
            yield events, {"payload": damaged}, "has impossible figures"
    more = {**figures, "total_tokens": figures["total_tokens"] + 1}
    yield events, {"payload": {**event.payload, "figures": more}}, "has impossible figures"
    versions, version = one(StoryVersion.objects.exclude(passages=[]))
    [first, *others] = version.passages
    [passage, *_] = first["passages"]
    for sentence in (
        {**first, "passages": [{**passage, "report": "damaged"}]},
        {**first, "support": "damaged"},
        {**first, "text": "damaged"},
    ):
        yield versions, {"passages": [sentence, *others]}, "of a story has other passages"
    trends, trend = one(Trend.objects.filter(kind="source", posts__gt=1))
    week = timedelta(days=7)
    for name in ("first_at", "last_at"):
        for moment in (getattr(trend, name) - week, getattr(trend, name) + week):
            yield trends, {name: moment}, "is not that of its source"
    airings, airing = one(Airing.objects.all())
    later = Broadcast.objects.filter(session=airing.session_id).latest("number")
    yield airings, {"run": later}, "is of a run before its own"
    slots, _ = one(Slot.objects.all())
    run = Broadcast.objects.earliest("pk")
    yield slots, {"run": run}, "has a run that a person started"
