"""What a session told, to be read: its stories in their order, each with its source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from broadcast.transfer.formats.base import Chunk, State, Wanted, markdown, markdown_link, pieces
from broadcast.transfer.formats.csv_format import told_rows
from sessions_app.models import SessionStats
from stories.models import Story
from stories.text import credit

SHOWN = (Story.State.AIRING, Story.State.AIRED)


def write(wanted: Wanted, state: State) -> Iterator[Chunk]:
    if not state:
        yield Chunk(_opening(wanted).encode(), 0, {"after": 0, "day": ""})
    day = state.get("day", "")
    for some in pieces(told_rows(wanted, state.get("after", 0))):
        text = ""
        for story in some:
            text += _day(story, day) + _story(story)
            day = _date(story)
        yield Chunk(text.encode(), len(some), {"after": some[-1].pk, "day": day})


def _opening(wanted: Wanted) -> str:
    session = wanted.snapshot.session
    stats = SessionStats.objects.get(session=session)
    told = f"{stats.story_count:,} stories, {stats.words:,} words"
    return (
        f"# {markdown(session.name)}\n\n{told}. As of {wanted.snapshot.at:%d %B %Y, %H:%M} UTC.\n"
    )


def _date(story: Any) -> str:
    return f"{story.aired_at or story.created_at:%d %B %Y}"


def _day(story: Any, before: str) -> str:
    return "" if _date(story) == before else f"\n## {_date(story)}\n"


def _story(story: Any) -> str:
    at = story.aired_at or story.created_at
    facts = [
        f"{at:%H:%M} UTC",
        story.get_tone_display(),
        f"{story.get_priority_display()} priority",
    ]
    if story.state not in SHOWN:
        facts.append(f"not told: {story.get_state_display()}")
    lines = [f"### {markdown(story.title)}", f"*{', '.join(facts)}*", markdown(story.narrative)]
    if story.correction:
        lines.append(f"**Corrected:** {markdown(story.correction)}")
    if story.thread is not None:
        relation = story.get_relation_display() or "first report"
        lines.append(f"Thread: {markdown(story.thread.title)} ({relation.lower()})")
    if story.post is not None:
        title = markdown_link(story.post.title, story.post.url)
        lines.append(f"Source: {title} ({markdown(credit(story.post.source.locator))})")
    return "\n" + "\n\n".join(lines) + "\n"
