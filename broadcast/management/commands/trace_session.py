"""``trace_session SESSION [--story ID] [--last N] [--json]``: the way of stories; 1 when broken."""

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


class Command(SessionCommand):
    help = "Show each hop of a session's latest stories; ends with INTACT, or with BROKEN and 1."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--story", type=int, help="this story alone, also from archives")
        parser.add_argument("--last", type=int, default=20, help="how many stories, 20 by default")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        session = self.find(options["session"])
        write = self._say_json if options["json"] else self._say
        looked, broken = 0, []
        for trace in _wanted(session, options):
            write(trace)
            looked += 1
            broken += [trace] if trace.broken else []
        if broken:
            raise CommandError(_verdict(broken, looked))
        end = f"{INTACT}: {looked:,} stor{'y' if looked == 1 else 'ies'}"
        (self.stderr if options["json"] else self.stdout).write(end)

    def _say_json(self, trace: Trace) -> None:
        """One line of JSON a story, so that any number of them can be read as they come."""
        self.stdout.write(json.dumps(payload(trace, int), ensure_ascii=False))

    def _say(self, trace: Trace) -> None:
        story = trace.story
        self.stdout.write(f"story {story.pk}  {story.origin}, {story.state}  {story.title[:80]}")
        for hop in trace.hops:
            self.stdout.write(_line(hop))


def _wanted(session: Session, options: dict[str, Any]) -> Iterator[Trace]:
    if options["story"] is None:
        yield from queries.latest(session, options["last"])
        return
    try:
        yield queries.find(session, options["story"])
    except NotFound as error:
        raise CommandError(error.sentence) from None


def _verdict(broken: list[Trace], looked: int) -> str:
    first = broken[0]
    hop = first.broken
    named = f"{hop.name} of story {first.story.pk}: {hop.problem}" if hop else ""
    return f"{BROKEN} at {named} ({len(broken)} of {looked} stories)"


def _line(hop: Hop) -> str:
    at = (
        f"{hop.at:%Y-%m-%d %H:%M:%S.%f}"[:-3]
        if hop.at
        else ("-" if hop.mark == Mark.APART else "?")
    )
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
