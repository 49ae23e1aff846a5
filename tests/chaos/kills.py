"""Many stories in many sessions while processes, Redis and the database die, by a printed seed.

A strike follows whenever the next share of the stories was told, so that the deaths are spread over
the whole run at any speed. Afterwards the rows must hold every story once, in its own session, and
every question that the stand-in for the API was asked exactly once.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from stories.usage import pricing
from stories.usage.types import Counts
from tests.endtoend.studio_process import Studio, eventually, migrated, running
from tests.provision.postgres import Postgres, postgres
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.feeds import FeedStandIn
from tests.standins.headlines import distinct

PART = 100  # entries of a feed that one reading takes
SLOTS = 4
QUIET = 60.0  # a process that lived for less is restarted after a longer pause
PATIENCE = 90.0
# Ten thousand stories are read for an audit.
CHECKS = 1_800.0
# How often each process dies, of the deaths of processes.
VICTIMS = {"pool child": 6, "host": 1, "control": 1, "web": 1, "sweeper": 1}
LINES = {
    "host": "host,drafting",
    "control": "control,producer",
    "web": "daphne",
    "sweeper": "manage.py sweep",
    "redis": "redis-server",
}
# Within how many seconds 95 of 100 recover.
RECOVERY = {
    "pool child": 5,
    "host": 25,
    "control": 25,
    "web": 10,
    "sweeper": 10,
    "redis": 10,
    "database": 10,
}
FAULTS = ("overloaded", "internal", "reset", "clean_eof", "throttled_untimed")
# A writer that dies in mid-transaction with the lock of the whole database.
LOCK = """
import os, sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE sessions_app_session SET name = 'lost'")
time.sleep(3)
os.kill(os.getpid(), 9)
"""


@dataclass(frozen=True)
class Plan:
    """What is told and what dies meanwhile; ``seconds`` is how long it may take at the most."""

    seed: int
    database: str
    stories: int
    sessions: int
    kills: int
    redis_kills: int
    restarts: int
    seconds: float


@dataclass
class Outcome:
    """The figures for the table, and what is wrong."""

    figures: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def note(self, name: str, value: object) -> None:
        self.figures.append((name, str(value)))

    def expect(self, name: str, found: object, wanted: object) -> None:
        """Notes a figure, and a fault where it is not as wanted."""
        self.note(name, found)
        if found != wanted:
            self.faults.append(f"{name}: {found} instead of {wanted}")


class Run:
    """A studio that tells the plan's stories while it is struck."""

    def __init__(self, plan: Plan, stack: ExitStack, folder: Path) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed)
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self.outcome = Outcome()
        self.feeds = stack.enter_context(FeedStandIn())
        self.api = stack.enter_context(AnthropicStandIn())
        self.data = migrated(folder / "var")
        self.server: Postgres | None = None
        environment = {
            "ANTHROPIC_API_KEY": "sk-test-0123456789",
            "ANTHROPIC_BASE_URL": self.api.url,
            "SMNB_HOST_SLOTS": str(SLOTS),
        }
        if plan.database == "postgres":
            self.server = stack.enter_context(postgres())
            environment["DATABASE_URL"] = self.server.url
        self.studio: Studio = stack.enter_context(running(self.data, **environment))
        self._killed_at: dict[str, float] = {}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Reads the database directly, as web may be dead; waits for a database that is away."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self.server is not None:
                    with psycopg.connect(self.server.url) as connection:
                        return connection.execute(sql).fetchall()
                address = f"file:{self.data / 'smnb.sqlite3'}?mode=ro"
                with closing(sqlite3.connect(address, uri=True, timeout=20)) as database:
                    return database.execute(sql).fetchall()
            except (psycopg.OperationalError, sqlite3.OperationalError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def told(self) -> int:
        return int(self.rows("SELECT count(*) FROM stories_story")[0][0])

    def settled(self) -> int:
        """Posts that were told, or rightly left out; each session's feed must get there."""
        return int(
            self.rows(
                "SELECT count(*) FROM stories_sourcepost WHERE state NOT IN ('queued', 'claimed')"
            )[0][0]
        )

    def begin(self) -> list[str]:
        """Creates the sessions, every second one with a model, and goes live."""
        each = self.plan.stories // self.plan.sessions
        sessions = []
        for number in range(self.plan.sessions):
            items = [distinct(f"chaos{number}", index) for index in range(each)]
            sources = [
                {"kind": "rss", "locator": self.feeds.publish(f"c{number}-{start}", part)}
                for start in range(0, each, PART)
                if (part := items[start : start + PART])
            ]
            settings = {"pace": 0} | ({} if number % 2 else {"model": "extractive"})
            sessions.append(self.studio.create(f"Chaos {number}", *sources, **settings))
        for session in sessions:
            assert self.studio.command(session, "start").status == 202
        return sessions

    def play(self) -> None:
        """Tells all stories, with a strike after each share of them."""
        plan = self.plan
        strikes = ["kill"] * plan.kills + ["redis"] * plan.redis_kills + ["restart"] * plan.restarts
        self.chance.shuffle(strikes)
        total = plan.stories // plan.sessions * plan.sessions
        deadline = time.monotonic() + plan.seconds
        for number, strike in enumerate(strikes):
            share = total * (number + 1) // (len(strikes) + 1)
            while self.told() < share and time.monotonic() < deadline:
                time.sleep(0.2)
            # Some calls fail of themselves meanwhile.
            if self.chance.random() < 0.5:
                self.api.script.append(self.chance.choice(FAULTS))
            self._strike(strike)
        while self.settled() < total and time.monotonic() < deadline:
            time.sleep(0.5)

    def _strike(self, strike: str) -> None:
        """Lets something die and measures until what it did is done again."""
        told = self.told()
        leased = self.rows("SELECT id, epoch FROM sessions_app_step WHERE state = 'leased'")
        if strike == "restart":
            kind = "database"
            self._lose_database()
        else:
            kind = "redis" if strike == "redis" else self._victim()
            if not self._kill(kind):
                return
        if kind == "web":
            self._wait(kind, self._answers)
        elif kind == "sweeper":
            self._wait(kind, lambda: bool(self._processes(kind)))
        elif kind in ("database", "redis"):
            self._wait(kind, lambda: self.told() > told and not self._still_leased(leased))
        else:
            self._wait(kind, lambda: not self._still_leased(leased))

    def _victim(self) -> str:
        kind = self.chance.choices([*VICTIMS], [*VICTIMS.values()])[0]
        # Its supervisor would pause for longer each time, which is not what is measured here.
        recent = time.monotonic() - self._killed_at.get(kind, float("-inf")) < QUIET
        return "pool child" if recent else kind

    def _processes(self, kind: str) -> list[int]:
        """The process of a kind, or the children in which its steps run."""
        children = self.studio.children()
        if kind == "pool child":
            # By the parent, as Celery changes the command line of its children.
            hosts = self._processes("host")
            return [pid for pid in children if parent_of(pid) in hosts]
        studio = self.studio.process.pid
        return [p for p, line in children.items() if LINES[kind] in line and parent_of(p) == studio]

    def _kill(self, kind: str) -> bool:
        found = sorted(self._processes(kind))
        if not found:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.chance.choice(found), signal.SIGKILL)
        self._killed_at[kind] = time.monotonic()
        return True

    def _lose_database(self) -> None:
        if self.server is not None:
            self.server.restart()
            return
        command = [sys.executable, "-c", LOCK, str(self.data / "smnb.sqlite3")]
        subprocess.run(command, check=False, timeout=60)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.studio.call("GET", "/login/").status == 200
        return False

    def _still_leased(self, leased: list[tuple[Any, ...]]) -> bool:
        found = self.rows("SELECT id, epoch FROM sessions_app_step WHERE state = 'leased'")
        return bool(set(leased) & set(found))

    def _wait(self, kind: str, recovered: Callable[[], bool]) -> None:
        began = time.monotonic()
        total = self.plan.stories // self.plan.sessions * self.plan.sessions
        while not recovered() and self.settled() < total:
            if time.monotonic() - began > PATIENCE:
                self.outcome.faults.append(f"{kind} had not recovered after {PATIENCE:g} s")
                break
            time.sleep(0.1)
        self.recoveries[kind].append(time.monotonic() - began)

    def end(self, sessions: list[str]) -> None:
        for session in sessions:
            eventually("web answers", self._answers)
            self.studio.command(session, "stop")
        for session in sessions:
            self.studio.wait_state(session, "idle")

    def check(self, sessions: list[str]) -> Outcome:
        """Compares the rows with what was published and with what the API was asked."""
        outcome, plan = self.outcome, self.plan
        each = plan.stories // plan.sessions
        states = Counter(
            dict(self.rows("SELECT state, count(*) FROM stories_sourcepost GROUP BY state"))
        )
        outcome.note("posts by state", ", ".join(f"{n} {name}" for name, n in states.items()))
        outcome.expect("posts read", sum(states.values()), each * plan.sessions)
        lost = states["queued"] + states["claimed"] + states["failed"]
        outcome.expect("stories lost", lost, 0)
        posts = self.rows("SELECT post_id FROM stories_story WHERE post_id IS NOT NULL")
        # A report of an event that has a story joins that story.
        reports = self.rows("SELECT count(*) FROM stories_storyreport WHERE role = 'report'")
        outcome.note("reports that joined a story", reports[0][0])
        outcome.expect("stories told", len(posts), states["told"] - reports[0][0])
        outcome.expect("told twice", len(posts) - len(set(posts)), 0)
        foreign = self.rows(
            "SELECT count(*) FROM stories_story s JOIN stories_sourcepost p ON p.id = s.post_id "
            "JOIN stories_source o ON o.id = p.source_id "
            "WHERE p.session_id <> s.session_id OR o.session_id <> s.session_id"
        )
        outcome.expect("in another session", foreign[0][0], 0)
        unaired = self.rows(
            "SELECT count(*) FROM stories_story s LEFT JOIN broadcast_airing a "
            "ON a.story_id = s.id WHERE a.id IS NULL"
        )
        outcome.expect("told and never aired", unaired[0][0], 0)
        self._check_ledger()
        intact = sum(
            self.studio.manage(
                "trace_session", session, "--last", str(each), seconds=CHECKS
            ).returncode
            == 0
            for session in sessions
        )
        outcome.expect("sessions with intact traces", intact, plan.sessions)
        lines = self.studio.log.read_text()
        outcome.expect("writes locked out", lines.count("database is locked"), 0)
        audited = self.studio.manage("audit_sessions", seconds=CHECKS)
        outcome.expect("audit", "clean" if audited.returncode == 0 else audited.stdout, "clean")
        for kind, seconds in sorted(self.recoveries.items()):
            ordered = sorted(seconds)
            at95 = ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)]
            text = f"median {ordered[len(ordered) // 2]:.1f} s, p95 {at95:.1f} s"
            goal = RECOVERY[kind]
            outcome.note(f"recovery of {kind}", f"{len(ordered)} deaths, {text} (goal {goal:g} s)")
        return outcome

    def _check_ledger(self) -> None:
        """Each question has one row; exact rows are right; the truth is within all bounds."""
        outcome = self.outcome
        asked = sum(each.path.startswith("/v1/messages") for each in self.api.requests)
        columns = "request_id, state, input_tokens, output_tokens, cost_lower, cost_upper, model"
        rows = self.rows(f"SELECT {columns} FROM stories_tokenusage")
        served = {one.request_id: one for one in self.api.served}
        outcome.note("questions to the API", asked)
        outcome.note("rows of the ledger", len(rows))
        outcome.expect("questions without a row", max(asked - len(rows), 0), 0)
        known = Counter(row[0] for row in rows if row[0])
        outcome.expect("questions with two rows", sum(n > 1 for n in known.values()), 0)
        outcome.expect("rows still open", sum(r[1] in ("reserved", "started") for r in rows), 0)
        wrong = [
            row
            for row in rows
            if row[1] == "final"
            and row[0] in served
            and (row[2], row[3]) != (served[row[0]].counts.input, served[row[0]].counts.output)
        ]
        outcome.expect("rows called exact that are wrong", len(wrong), 0)
        # Each alone: a long input costs more, and all of them together would be one.
        truth = sum(pricing.price(one.model, one.counts).cost for one in self.api.served)
        inside = sum(row[4] for row in rows) <= truth <= sum(row[5] for row in rows)
        outcome.expect("cost within its bounds", inside or self.api.total == Counts(), True)
        outcome.note("rows with bounds", sum(row[1] == "bounded" for row in rows))


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


@contextmanager
def started(plan: Plan, folder: Path) -> Iterator[Run]:
    with ExitStack() as stack:
        yield Run(plan, stack, folder)


def play(plan: Plan, folder: Path) -> Outcome:
    """Plays the plan; the outcome has its table and its faults."""
    began = time.monotonic()
    with started(plan, folder) as run:
        sessions = run.begin()
        run.play()
        run.end(sessions)
        outcome = run.check(sessions)
    outcome.note("seconds", round(time.monotonic() - began))
    return outcome
