"""Exports the stories of a session as a Markdown document, day by day, each with its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from broadcast.transfer.formats.base import Chunk, ExportRequest, State, pieces
from broadcast.transfer.formats.csv_format import ExportedStory, exported_stories
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


_PUNCTUATION = r"!-/:-@\[-`{-~"
# Marks with an effect wherever they are: escapes, code, tags, entities, and the ends of links.
_ANYWHERE = re.compile(
    rf"\\(?=[{_PUNCTUATION}]|\n|\Z)"
    r"|`"
    r"|<(?=[A-Za-z/!?])"
    r"|&(?=#?\w{1,40};)"
    r"|\[(?=\^)"
    r"|\](?=[(\[:])"
)
_FORMULA = re.compile(r"\$(?=\S)[^$\n]*?(?<=\S)\$(?!\d)")
_RUN = re.compile(r"\*+|_+|~+")
# Openings of lines: lists, headings, quotes, fences, rules, underlines of headings, and tables.
_LINE = re.compile(
    r"^(?:\d{1,9}(?=[.)](?:\s|$))"
    r"|(?=#{1,6}(?:\s|$)|>|[-+*](?:\s|$)|~~~"
    r"|(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,}|=+|-+)$"
    r"|(?=[^\n]*-)[|:\- \t]+$))",
    re.MULTILINE,
)
_HEADING_END = re.compile(r"(?<![^\s])#+$")


def escape(text: str) -> str:
    """Escapes a text: no heading, list, link, image, code, table or HTML comes of it."""
    # Spaces at the ends of a line would make code blocks and line breaks.
    lines = [line.strip() for line in re.split(r"\r\n?|\n", text)]
    blocks = re.split(r"(\n{2,})", "\n".join(lines))
    return "".join(_escaped(block, _marks(block)) for block in blocks)


def heading(text: str) -> str:
    """Escapes the text of a heading, which is one line."""
    line = " ".join(text.split())
    return _escaped(line, _marks(line) | {end.start() for end in _HEADING_END.finditer(line)})


def link(text: str, url: str) -> str:
    """Returns a link, or only the text if the address is not a web address."""
    parts = urlsplit(url) if url.isprintable() else urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return escape(text)
    address = url.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20").replace("\\", "%5C")
    label = " ".join(text.split())
    brackets = {place for place, character in enumerate(label) if character in "[]"}
    return f"[{_escaped(label, _marks(label) | brackets)}](<{address}>)"


def _escaped(text: str, places: set[int]) -> str:
    return "".join(f"\\{mark}" if place in places else mark for place, mark in enumerate(text))


def _marks(text: str) -> set[int]:
    """Returns the places of the marks in a paragraph that would have an effect."""
    places = {mark.start() for mark in _ANYWHERE.finditer(text)}
    places |= {opening.end() for opening in _LINE.finditer(text)}
    for formula in _FORMULA.finditer(text):
        places |= {formula.start(), formula.end() - 1}
    for kind in "*_~":
        runs = [run for run in _RUN.finditer(text) if run[0][0] == kind and _flanks(text, run)]
        # A single run has no other one to pair with.
        if len(runs) > 1:
            places.update(place for run in runs for place in range(*run.span()))
    return places


def _flanks(text: str, run: re.Match[str]) -> bool:
    """Returns whether the run could begin or end emphasis."""
    before = text[run.start() - 1] if run.start() else " "
    after = text[run.end()] if run.end() < len(text) else " "
    if before.isspace() and after.isspace():
        return False
    # Within a word an underscore never begins or ends emphasis.
    return not (run[0][0] == "_" and before.isalnum() and after.isalnum())
