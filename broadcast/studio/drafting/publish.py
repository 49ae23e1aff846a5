"""From the writers' room to the air: a finished draft becomes a story, marked as one."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from broadcast import airing
from sessions_app import commands
from sessions_app.commands import Call
from sessions_app.errors import Conflict
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.models import Session
from stories import stories
from stories.drafting import drafts, versions
from stories.drafting.commands import DraftId
from stories.models import Draft, DraftVersion, Story
from stories.posts import queue
from stories.text import cut, sentences, word_count
from stories.usage import accounting

MOST_SUMMARY = 300
MOST_TOPIC = 40


def air(call: Call) -> Story:
    """Make a story of a finished draft's latest version; it waits for the air like any other."""
    session = call.target
    try:
        with transaction.atomic():
            # The run before the counters, as everywhere.
            run = airing.live_run(session)
            draft = drafts.find(session, call.payload.draft)
            version = _final(draft)
            story = _store(draft, version)
            drafts.changed(drafts.find(session, draft.pk))
            airing.go_on(run)
    except IntegrityError:
        raise Conflict(_AIRED, code="aired") from None
    story.refresh_from_db(fields=["state"])
    return story


_AIRED = "This draft became a story already; it stands in the feed."


def _final(draft: Draft) -> DraftVersion:
    version = versions.latest(draft)
    if draft.state != Draft.State.FINISHED or version is None:
        raise Conflict("Only a finished draft can go on air.", state=draft.state)
    if hasattr(draft, "story"):
        raise Conflict(_AIRED, code="aired")
    return version


def _store(draft: Draft, version: DraftVersion) -> Story:
    session, at = draft.session, timezone.now()
    words = word_count(version.text)
    seconds = airing.seconds_on_air(words, session.pace)
    story = Story.objects.create(
        session=session, draft=draft, origin=Story.Origin.DRAFT, title=version.title,
        narrative=version.text, summary=cut(next(iter(sentences(version.text)), ""), MOST_SUMMARY),
        tone=_TONES.get(draft.style, Story.Tone.DEVELOPING), priority=Story.Priority.MEDIUM,
        agent_type="room", topics=[cut(each, MOST_TOPIC) for each in draft.keywords[:5]],
        word_count=words, duration=seconds, completed_at=at,
    )  # fmt: skip
    airing.changed(story)
    recorder.record(
        session, stories.WRITTEN,
        {"story": stories.payload(story), "queue": queue.queue_payload(session), "joined": None},
        at, Extra(shares=accounting.story_shares(story, ())),
        story_count=1, words=words, narration_seconds=seconds,
    )  # fmt: skip
    return story


_TONES: dict[str, str] = {
    Draft.Style.EXPLAINER: Story.Tone.ANALYSIS,
    Draft.Style.FEATURE: Story.Tone.HUMAN_INTEREST,
    Draft.Style.COMMENT: Story.Tone.OPINION,
}


def text_of(session: Session) -> dict[str, Any]:
    """The session's finished text: its latest finished draft, else what was told, in order."""
    rows = drafts.of_session(session).filter(state=Draft.State.FINISHED)
    draft = rows.order_by("-finished_at", "-id").first()
    version = versions.latest(draft) if draft else None
    if draft is not None and version is not None:
        return _text("draft", version.title, version.text) | {"draft_id": draft.pk}
    told = stories.told(session).order_by("-id").values_list("title", "narrative")[:MOST_TOLD]
    text = "\n\n".join(f"{title}\n\n{narrative}" for title, narrative in reversed(told))
    return _text("stories", session.name, text) | {"draft_id": None}


MOST_TOLD = 500  # stories of a text


def _text(source: str, title: str, text: str) -> dict[str, Any]:
    return {"source": source, "title": title, "text": text, "word_count": word_count(text)}


def register() -> None:
    commands.register(
        "draft.air", DraftId, air, "Make a story of a finished draft and put it on the rundown."
    )
