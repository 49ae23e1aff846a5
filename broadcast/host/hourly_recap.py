"""The recap on the hour: the headlines of the last hour, read as a story of their own."""

from __future__ import annotations

from datetime import datetime, timedelta

from broadcast.models import Airing, Broadcast
from broadcast.narrators.passages import EARLIER
from broadcast.narrators.presentation import hourly_recap, is_english
from stories import stories
from stories.models import Story
from stories.text.sentences import sentences
from stories.types import GroundedSentence, Passage

HOUR = timedelta(hours=1)
LATE = timedelta(minutes=10)  # after this much of the new hour there is no recap of the old one
LIVE_BEFORE = timedelta(minutes=30)  # a run that began later has too little to sum up
FEWEST, MOST = 3, 5  # stories
TITLE = "The past hour in headlines"


def may_be_due(run: Broadcast, now: datetime) -> bool:
    """Whether an hour of this run has just ended; asks no table."""
    session, hour = run.session, _hour(now)
    live = run.live_at is not None and run.live_at <= hour - LIVE_BEFORE
    # Without waiting on air there are no hours, and the sentences are English.
    return live and now < hour + LATE and session.pace > 0 and is_english(session.language)


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


def add(run: Broadcast, now: datetime) -> Story | None:
    """Stores the recap of the past hour, once, if enough aired; the caller has locked the run."""
    session, hour = run.session, _hour(now)
    recaps = Story.objects.filter(session=session, origin=Story.Origin.RECAP)
    if recaps.filter(created_at__gte=hour).exists():
        return None
    aired = Story.objects.filter(
        session=session,
        state=Story.State.AIRED,
        airings__in=Airing.objects.filter(run=run, aired_at__gte=hour - HOUR),
    ).exclude(origin=Story.Origin.RECAP)
    # The most important ones, and those in the order in which they aired.
    order = {"high": 0, "medium": 1, "low": 2}
    ranked = sorted(aired.order_by("-id"), key=lambda story: order[story.priority])[:MOST]
    if len(ranked) < FEWEST:
        return None
    titles = [story.title for story in sorted(ranked, key=lambda story: story.pk)]
    narrative = hourly_recap(titles)
    opening = sentences(narrative)[0]
    passages: list[GroundedSentence] = [{"text": opening, "support": "link", "passages": []}]
    for title in titles:
        passage: Passage = {"text": title, "report": EARLIER}
        passages.append({"text": title, "support": "passages", "passages": [passage]})
    return stories.create(
        Story(
            session=session,
            origin=Story.Origin.RECAP,
            title=TITLE,
            narrative=narrative,
            passages=passages,
            tone=Story.Tone.DEVELOPING,
            priority=Story.Priority.MEDIUM,
            sentiment="neutral",
        )
    )
