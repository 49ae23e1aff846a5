"""Exports the stories of a session as a Markdown document, day by day, each with its source."""

from __future__ import annotations

from collections.abc import Iterator

from broadcast.transfer.formats.base import Chunk, ExportRequest, State, pieces
from broadcast.transfer.formats.csv_format import ExportedStory, exported_stories
from broadcast.transfer.formats.markdown_text import escape, heading, link
from sessions_app.models import SessionStats
from stories import disclosure, reports
from stories.models import Story

SHOWN = (Story.State.AIRING, Story.State.AIRED)


def write(request: ExportRequest, state: State) -> Iterator[Chunk]:
    """Writes title and stories; the state is the last story's id and the day of its heading."""
    if not state:
        session, at = request.snapshot.session, request.snapshot.at
        stats = SessionStats.objects.get(session=session)
        noun = "story" if stats.story_count == 1 else "stories"
        opening = (
            f"# {heading(session.name)}\n\n{stats.story_count:,} {noun}, {stats.words:,} words. "
            f"As of {at:%d %B %Y, %H:%M} UTC. {disclosure.GENERAL}; each story names its maker.\n"
        )
        yield Chunk(opening.encode(), 0, {"after": 0, "day": ""})
    day = state.get("day", "")
    for batch in pieces(exported_stories(request, state.get("after", 0))):
        text = ""
        for row in batch:
            story_day = f"{row.aired_at or row.story.created_at:%d %B %Y}"
            if story_day != day:
                text += f"\n## {story_day}\n"
            text += _story_text(row)
            day = story_day
        yield Chunk(text.encode(), len(batch), {"after": batch[-1].story.pk, "day": day})


def _story_text(row: ExportedStory) -> str:
    story = row.story
    facts = [
        f"{row.aired_at or story.created_at:%H:%M} UTC",
        story.get_tone_display(),
        f"{story.get_priority_display()} priority",
    ]
    if story.state not in SHOWN:
        facts.append(f"status: {story.get_state_display()}")
    lines = [f"### {heading(story.title)}", f"*{', '.join(facts)}*", escape(story.narrative)]
    lines.append(escape(disclosure.of_story(story)["text"]))
    if story.correction:
        lines.append(f"**Corrected:** {escape(story.correction)}")
    if story.thread is not None:
        relation = story.get_relation_display() or "first report"
        lines.append(f"Thread: {escape(story.thread.title)} ({relation.lower()})")
    for source in reports.sources_of(story):
        title = link(source["title"], source["url"])
        lines.append(f"Source: {title} ({escape(source['source'])})")
    return "\n" + "\n\n".join(lines) + "\n"
