"""``trace_session SESSION [--story ID] [--last N] [--json]``: the trace of stories; 1 when broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from broadcast.trace import queries
from broadcast.trace.hops import BROKEN, INTACT, Hop, Mark, Trace, payload
from sessions_app.errors import NotFound
from sessions_app.management.base import SessionCommand
from sessions_app.models import Session
from sessions_app.money import decimal_string


class Command(SessionCommand):
    help = "Show each hop of a session's latest stories; ends with INTACT, or with BROKEN and 1."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--story", type=int, help="only this story, also from archives")
        parser.add_argument("--last", type=int, default=20, help="how many stories, 20 by default")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        session = self.find(options["session"])
        count, broken = 0, []
        for trace in self.traces(session, options["story"], options["last"]):
            if options["json"]:
                # One line of JSON a story, so that a long output can be read as it comes.
                self.stdout.write(json.dumps(payload(trace, decimal_string), ensure_ascii=False))
            else:
                story = trace.story
                head = f"story {story.pk}  {story.origin}, {story.state}  {story.title[:80]}"
                self.stdout.write("\n".join([head, *map(line, trace.hops)]))
            count += 1
            if trace.broken:
                broken.append(trace)
        if broken:
            hop = broken[0].broken
            place = f"{hop.name} of story {broken[0].story.pk}: {hop.problem}" if hop else ""
            raise CommandError(f"{BROKEN} at {place} ({len(broken)} of {count} stories)")
        end = f"{INTACT}: {count:,} stor{'y' if count == 1 else 'ies'}"
        (self.stderr if options["json"] else self.stdout).write(end)

    def traces(self, session: Session, story_id: int | None, last: int) -> Iterator[Trace]:
        if story_id is None:
            yield from queries.latest(session, last)
            return
        try:
            yield queries.find(session, story_id)
        except NotFound as error:
            raise CommandError(error.sentence) from None


def line(hop: Hop) -> str:
    """Returns the text of one hop."""
    unknown = "-" if hop.mark == Mark.APART else "?"
    at = f"{hop.at:%Y-%m-%d %H:%M:%S.%f}"[:-3] if hop.at else unknown
    parts = [f"  {hop.name:<9}  {at:<23}", f"{hop.mark:<7}"]
    if hop.air:
        parts.append(f"{hop.air} {hop.run}" if hop.run else hop.air)
    if hop.seq:
        parts.append(f"event {hop.seq}")
    if hop.step is not None:
        parts.append(f"step {hop.step.pk}" + (f" epoch {hop.epoch}" if hop.epoch else ""))
        if request := (hop.step.origin or {}).get("request"):
            parts.append(f"request {request}")
    if hop.attempts > 1:
        parts.append(f"{hop.attempts} attempts")
    return "  ".join([*parts, hop.problem or hop.note]).rstrip()
