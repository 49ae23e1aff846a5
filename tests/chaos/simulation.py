"""A deterministic simulation of steps, leases, ledger, AI chain and publication, by seeds.

The product's own code runs in one process, on a SQLite database with a virtual clock. Workers are
greenlets, which change places wherever the code begins a transaction or writes outside of one: so
every order is possible that SQLite allows. The scheduler draws from one random generator what comes
next: a message is delivered, late, twice or never; a worker works, dies, freezes or thaws; time
passes, or the clock is set; the sweeper sweeps; a page looks. Then all is left to end, and the rows
must agree with what was asked of the model. A seed always gives the same schedule.

    python -m tests.chaos simulation --schedules 100000
    python -m tests.chaos simulation --first SEED --schedules 1     # replays one
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped]

from sessions_app.ai_chain import chain
from sessions_app.background import sending, steps, sweeper
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import Retry
from sessions_app.events import recorder, statistics
from sessions_app.models import FailedWork, Session, SessionStats, Step
from stories.models import TokenUsage
from stories.usage import ledger, pricing
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.pricing import Rates
from stories.usage.types import Close, Counts
from tests.chaos.compiled_queries import compiled_once

KIND = "simulated"
MODEL = "claude-haiku-4-5"
INPUT, OUTPUT = 1000, 200
RATES = Rates.per_million("1", "5")
UPPER = INPUT * RATES.input + OUTPUT * RATES.output
START = datetime(2026, 11, 29, tzinfo=UTC)
MOST_ACTIONS = 30
MOST_ROUNDS = 60  # until all must have ended

WRITTEN = "simulated.written"


class Fault(Exception):
    """The rows do not agree; the text says how."""


class Bug(Exception):
    """An error of the handler that the product does not expect."""


@dataclass(eq=False)
class Worker:
    """A process that runs one step at a time; frozen, it neither works nor extends its lease."""

    thread: greenlet
    frozen: bool = False
    claim: Claim | None = None


@dataclass
class World:
    """One schedule: its session, clock, messages and workers."""

    session: Session
    random: Random
    steps: list[int] = field(default_factory=list)
    seconds: float = 0.0
    budget: int | None = None
    messages: list[int] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    asked: dict[UUID, Counts] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    hints: list[int] = field(default_factory=list)
    faulty: float = 0.0  # the share of calls that fail
    calm: bool = False  # nothing dies, is lost or fails any more
    log: list[str] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    # What the product calls instead of threads, broker and Redis.

    def poked(self, step_id: int) -> None:
        """A message to the workers: delivered once, twice or never."""
        copies = 1 if self.calm else self.random.choice((0, 1, 1, 1, 2))
        self.messages += [step_id] * copies

    def published(self, seq: int) -> None:
        if self.calm or self.random.random() < 0.8:
            self.hints.append(seq)

    @contextmanager
    def heartbeat(self, claim: Claim) -> Iterator[None]:
        """The lease is extended as time passes (see ``_pass_time``), not by a thread."""
        worker = self._worker_of(getcurrent())
        worker.claim = claim
        try:
            yield
        finally:
            worker.claim = None

    def handler(self, claim: Claim) -> None:
        """Asks a model and stores the effect of the answer, as the host does."""
        book = SessionLedger(claim, Purpose(source="narration"))
        attempt = book.reserve(
            model=MODEL, operation="narrate", max_tokens=OUTPUT, input_upper=INPUT
        )
        # From here on the API has the question, whether its answer arrives or not.
        served = Counts(self.random.randint(1, INPUT), self.random.randint(1, OUTPUT))
        self.asked[attempt.id] = served
        fate = 1.0 if self.calm else self.random.random()
        if fate < self.faulty / 2:
            raise Bug
        attempt.started(MODEL, "msg", "req", Counts(served.input, 1))
        if fate < self.faulty:
            attempt.close(
                Close(
                    state="bounded",
                    counts=Counts(served.input, 1),
                    model=MODEL,
                    output_lower=1,
                    output_upper=OUTPUT,
                    error="stream_broken",
                )
            )
            raise Retry("The answer broke off.")
        attempt.close(Close(state="final", counts=served, model=MODEL, stop_reason="end_turn"))
        claim.check()
        with transaction.atomic():
            claim.complete()
            recorder.record(claim.session, WRITTEN, {"subject": claim.subject}, story_count=1)

    # The scheduler.

    def play(self) -> None:
        """Draws and takes actions, and then lets everything end."""
        for _ in range(self.random.randint(8, MOST_ACTIONS)):
            self._act()
        self.calm = True
        if self.budget is not None:
            # Its owner raises it, as a step that does not fit waits for that.
            self._check_budget()
            self.budget = None
            Session.objects.filter(pk=self.session.pk).update(budget=None)
        for _ in range(MOST_ROUNDS):
            if not self._open():
                break
            self._round()
        self.look()
        self.check()

    def _act(self) -> None:
        actions: list[tuple[float, str, Callable[[], None]]] = [
            (3 if self.messages else 0, "deliver", self._deliver),
            (12 if self._awake() else 0, "work", self._work),
            (1 if self.workers else 0, "kill", self._kill),
            (0.5 if self._awake() else 0, "freeze", self._freeze),
            (0.7 if len(self._awake()) < len(self.workers) else 0, "thaw", self._thaw),
            (1, "time", lambda: self._pass_time(self.random.choice((0.5, 3, 11, 15)))),
            (0.1, "clock", lambda: self._set_clock(self.random.choice((-3600, 3600)))),
            (0.4, "sweep", self._sweep),
            (0.3, "look", self.look),
        ]
        weights = [weight for weight, _, _ in actions]
        _, name, action = self.random.choices(actions, weights)[0]
        self.log.append(name)
        action()
        if self.budget is not None and name == "work":
            self._check_budget()

    def _round(self) -> None:
        for worker in self.workers:
            worker.frozen = False
        while self.messages or self.workers:
            if self.messages:
                self._deliver()
            while self._awake():
                self._work()
        if self._open():
            self._pass_time(15)
            self._sweep()

    def _deliver(self) -> None:
        """A worker takes a message, any of them, and begins."""
        step_id = self.messages.pop(self.random.randrange(len(self.messages)))
        self.workers.append(Worker(greenlet(lambda: self._run(step_id))))

    def _run(self, step_id: int) -> None:
        try:
            steps.run(step_id)
        except Bug:
            return

    def _work(self) -> None:
        """A worker goes on to the next place at which others may come between."""
        worker = self.random.choice(self._awake())
        worker.thread.switch()
        if worker.thread.dead:
            self.workers.remove(worker)

    def _kill(self) -> None:
        worker = self.workers.pop(self.random.randrange(len(self.workers)))
        # Between transactions, so nothing of it remains but what was committed.
        worker.thread.throw(GreenletExit)

    def _freeze(self) -> None:
        self.random.choice(self._awake()).frozen = True

    def _thaw(self) -> None:
        self.random.choice([each for each in self.workers if each.frozen]).frozen = False

    def _awake(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.frozen]

    def _pass_time(self, seconds: float) -> None:
        """Time passes, less than a lease at once; who is awake extends its lease before."""
        for worker in self._awake():
            self._beat(worker)
        self.seconds += seconds

    def _set_clock(self, seconds: float) -> None:
        """Somebody sets the clock; nobody's lease is extended before, and the sweeper notices."""
        before = (time.monotonic(), steps.now())
        self.seconds += seconds
        sweeper.follow_clock(before)

    @staticmethod
    def _beat(worker: Worker) -> None:
        if worker.claim is not None and not worker.claim.extend_lease():
            worker.claim.lost.set()

    def _sweep(self) -> None:
        sweeper.poke_overdue()
        ledger._bound_left_open(0)

    def look(self) -> None:
        """A page reads what is new, whether its hints arrived or not."""
        self.hints.clear()
        last = max(self.seen, default=0)
        self.seen += [row["seq"] for row in self._rows("sessionevent", f"seq > {last}", "seq")]

    def _worker_of(self, thread: greenlet) -> Worker:
        return next(worker for worker in self.workers if worker.thread is thread)

    def _rows(self, table: str, where: str = "1", order: str = "1") -> list[dict[str, Any]]:
        """The session's rows, read past the ORM: the simulation looks far more often than it writes."""
        name = f"stories_{table}" if table == "tokenusage" else f"sessions_app_{table}"
        cursor = connection.connection.execute(
            f"SELECT * FROM {name} WHERE session_id = ? AND {where} ORDER BY {order}",
            [self.session.pk.hex],
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _open(self) -> bool:
        return bool(
            self.workers
            or self._rows("step", "state IN ('pending', 'leased')")
            or self._rows("tokenusage", "state IN ('reserved', 'started')")
        )

    def _check_budget(self) -> None:
        if self.budget is None:
            return
        committed = sum(
            row["cost_upper"]
            for row in (
                *self._rows("sessionstats"),
                *self._rows("tokenusage", "state IN ('reserved', 'started')"),
            )
        )
        if committed > self.budget:
            raise Fault(f"{committed} of a budget of {self.budget} is spent or reserved")

    def clear(self) -> None:
        """Ends what a failed schedule left open, which the next ones would find."""
        for worker in self.workers:
            worker.thread.throw(GreenletExit)
        Step.objects.filter(session=self.session, state__in=Step.OPEN).update(
            state=Step.State.CANCELLED, lease_until=None
        )
        TokenUsage.objects.filter(session=self.session, state__in=TokenUsage.OPEN).update(
            state=TokenUsage.State.BOUNDED
        )
        FailedWork.objects.all().delete()

    # What must hold at the end, whatever happened.

    def check(self) -> None:
        """Raises Fault when something was lost, doubled or booked wrongly."""
        [stats] = self._rows("sessionstats")
        events = self._rows("sessionevent", order="seq")
        sequence = [event["seq"] for event in events]
        expect("events", sequence, list(range(1, stats["last_seq"] + 1)))
        expect("a page saw", self.seen, sequence)
        written = [event for event in events if event["type"] == WRITTEN]
        effects = Counter(json.loads(event["payload"])["subject"] for event in written)
        steps_ = self._rows("step")
        unended = [row["id"] for row in steps_ if row["state"] not in ("done", "failed")]
        expect(f"steps open after {MOST_ROUNDS} rounds", unended, [])
        done = {row["subject"]: 1 for row in steps_ if row["state"] == "done"}
        expect("effects", dict(effects), done)
        expect("stories counted", stats["story_count"], len(done))
        self._check_ledger(stats)
        self._check_chain()
        failed = connection.connection.execute("SELECT rule, error FROM sessions_app_failedwork")
        expect("set aside", failed.fetchall(), [])

    def _check_ledger(self, stats: dict[str, Any]) -> None:
        """Each question has one row, which is exact or has bounds that hold the truth."""
        rows = self._rows("tokenusage")
        attempts = {UUID(row["attempt"]) for row in rows}
        expect("questions without a row", set(self.asked) - attempts, set())
        for row in rows:
            served = self.asked.get(UUID(row["attempt"]), Counts())
            truth = pricing.price(MODEL, served).cost
            counts = (row["input_tokens"], row["output_tokens"])
            if row["state"] not in ("final", "bounded"):
                raise Fault(f"call {row['id']} is still {row['state']}")
            if row["state"] == "final" and counts != (served.input, served.output):
                raise Fault(f"call {row['id']} is final with {counts} and served {served}")
            if not row["cost_lower"] <= truth <= row["cost_upper"]:
                raise Fault(f"{truth} is not in {row['cost_lower']} to {row['cost_upper']}")
        for name in ("input_tokens", "output_tokens", "cost_lower", "cost_upper"):
            expect(name, stats[name], sum(row[name] for row in rows))

    def _check_chain(self) -> None:
        """Each final answer has its link, and the links are one line that ends in the head."""
        links = self._rows("ailink", order="number")
        expect("numbers of links", [link["number"] for link in links], [*range(1, len(links) + 1)])
        before = [None, *(link["id"] for link in links)]
        expect("links", [link["previous_id"] for link in links], before[:-1])
        expect("head", [row["head_id"] for row in self._rows("chain")], before[1:][-1:])
        final = self._rows("tokenusage", "state = 'final'")
        expect("links of final answers", len(links), len(final))


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Fault(f"{what}: {found!r} instead of {wanted!r}")


@dataclass
class Stage:
    """The process as a simulation sees it: its clock, its workers and what it calls."""

    world: World | None = None

    @property
    def playing(self) -> World:
        assert self.world is not None
        return self.world

    def poked(self, step_id: int, _queue: str) -> None:
        self.playing.poked(step_id)

    def message_count(self, _queue: str) -> int:
        return len(self.playing.messages)

    def heartbeat(self, claim: Claim) -> AbstractContextManager[None]:
        return self.playing.heartbeat(claim)

    def published(self, _session_id: UUID, seq: int) -> None:
        self.playing.published(seq)

    def handled(self, claim: Claim) -> None:
        self.playing.handler(claim)

    def clock(self, _format: str, *arguments: str) -> str:
        """SQLite's STRFTIME for the moment now, with an offset in seconds."""
        assert arguments[0] == "NOW", arguments
        at = self.playing.now
        for offset in arguments[1:]:
            at += timedelta(seconds=float(offset.removesuffix(" seconds")))
        separator, end = ("T", "+00:00") if "T" in _format else (" ", "")
        return f"{at:%Y-%m-%d}{separator}{at:%H:%M:%S}.{at.microsecond // 1000:03}{end}"

    def pause(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        """Lets the scheduler choose who is next, before a worker begins something of its own."""
        current = getcurrent()
        if current.parent is not None and not connection.in_atomic_block:
            current.parent.switch()
        return execute(*arguments)

    def now(self) -> datetime:
        return self.playing.now


def make_world(stage: Stage, owner: User, seed: int) -> World:
    """A session with one or two steps; every third one has two or three, and a budget."""
    random = Random(seed)
    session = Session(owner=owner, name="Simulated")
    session.folder = str(session.pk)
    session.watch_token = uuid4().hex
    # Schedules differ in how bad they are, as some faults need many others before them.
    world = stage.world = World(session, random, faulty=random.choice((0.05, 0.2, 0.7)))
    if seed % 3 == 0:
        world.budget = session.budget = random.randint(UPPER, 4 * UPPER)
    with transaction.atomic():
        session.save(force_insert=True)
        SessionStats.objects.create(session=session)
        for number in range(random.choice((2, 2, 3) if world.budget else (1, 1, 1, 2))):
            subject = f"{session.pk.hex}{number}"
            world.steps.append(steps.enqueue(session, KIND, subject).pk)
    return world


@contextmanager
def on_stage(owner: User) -> Iterator[Callable[[int], World]]:
    """Yields a function that plays the schedule of a seed; it raises Fault."""
    assert connection.vendor == "sqlite", "The virtual clock is a function of SQLite."
    stage = Stage()

    def play(seed: int) -> World:
        world = make_world(stage, owner, seed)
        try:
            world.play()
        except BaseException:
            world.clear()
            raise
        return world

    connection.ensure_connection()
    connection.connection.create_function("STRFTIME", -1, stage.clock)
    with ExitStack() as stack:
        stack.enter_context(patch.dict(steps._kinds))
        steps.register(Kind(KIND, "control", stage.handled))
        stack.enter_context(patch.dict(recorder._types))
        recorder.declare(WRITTEN, "A simulated step has had its effect.")
        stack.enter_context(patch.object(timezone, "now", stage.now))
        stack.enter_context(patch.object(sending, "_poker", [stage.poked]))
        stack.enter_context(patch.object(sending, "_message_count", [stage.message_count]))
        stack.enter_context(patch.object(steps, "heartbeat", stage.heartbeat))
        stack.enter_context(patch.object(recorder, "publish", stage.published))
        stack.enter_context(patch.object(recorder, "send", lambda *_: None))
        # Written in the transaction of each event, and not looked at here.
        stack.enter_context(patch.object(statistics, "add", lambda *_: None))
        stack.enter_context(patch.object(chain.on_append, "_subscribers", []))
        stack.enter_context(patch.dict(pricing.OVERRIDES, {MODEL: RATES}))
        stack.enter_context(compiled_once(stage.pause))
        stack.enter_context(connection.execute_wrapper(stage.pause))
        try:
            yield play
        finally:
            # Its clock stands still from now on.
            connection.close()
