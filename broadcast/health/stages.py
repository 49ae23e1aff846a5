"""The health of a session in eight stages, from the sources to the pages, as Live Stats shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from broadcast import airing
from broadcast.health import judgement
from broadcast.health.judgement import ATTENTION, LATE, OFF_AIR, OK, STOPPED, Judgement, Snapshot
from broadcast.statistics import Statistics, Totals
from sessions_app.models import Session, SessionEvent
from stories.posts.queue import QUEUE_LIMIT
from stories.usage import ledger

QUIET = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage; ``figure`` is a number with its unit."""

    name: str
    state: str
    sentence: str
    figure: str


def stages(session: Session, statistics: Statistics) -> list[Stage]:
    """Judges the eight stages, in the order in which posts become stories on the pages."""
    totals = statistics.totals
    figures = totals.figures
    snapshot = judgement.observe(session, statistics.run, figures["queue"])
    sources = len(snapshot.sources)
    readable = f"{sources - len(snapshot.faulty_sources)} of {sources} readable"
    links = snapshot.chain.links
    judged = (
        ("Sources", judgement.sources(snapshot), readable if sources else "0 sources"),
        ("Producer", judgement.producer(snapshot), f"{figures['feed']:,} posts read"),
        ("Queue", _queue(figures["queue"]), f"{figures['queue']:,} posts waiting"),
        ("Host", judgement.host(snapshot), f"{figures['story_count']:,} stories written"),
        ("Ledger", _ledger(session, totals), f"{totals.calls:,} calls recorded"),
        (
            "AI chain",
            judgement.ai_chain(snapshot),
            f"{links:,} {'link' if links == 1 else 'links'}",
        ),
        ("Airing", _airing(session, snapshot), f"{totals.aired:,} stories aired"),
        ("Delivery", _delivery(session, snapshot), f"{statistics.last_seq:,} events"),
    )
    return [
        Stage(name, verdict.state, verdict.sentence, figure) for name, verdict, figure in judged
    ]


def _queue(waiting: int) -> Judgement:
    if waiting >= QUEUE_LIMIT:
        return Judgement(ATTENTION, "The queue is full, so sources are read more slowly.")
    if waiting:
        return Judgement(OK, "Posts wait to be narrated, the best first.")
    return Judgement(OK, "No post waits: the next post read is narrated next.")


def _ledger(session: Session, totals: Totals) -> Judgement:
    if unpriced := totals.figures["unpriced"]:
        sentence = f"No price is known for {unpriced:,} calls: their cost is missing."
        return Judgement(ATTENTION, sentence)
    if ledger.left_open().filter(session=session).exists():
        sentence = "A worker died during a call. The call will soon be closed with bounds."
        return Judgement(ATTENTION, sentence)
    if totals.bounded:
        sentence = f"{totals.bounded:,} calls broke off: only bounds of their usage are known."
        return Judgement(OK, sentence)
    return Judgement(OK, "Every call is recorded as the API reported it.")


def _airing(session: Session, snapshot: Snapshot) -> Judgement:
    if snapshot.live is None:
        return Judgement(STOPPED, OFF_AIR)
    on_air = airing.now_airing(session)
    if on_air is not None and on_air.finish_at < snapshot.at - LATE:
        sentence = "The story on air should have ended more than a minute ago."
        return Judgement(ATTENTION, sentence)
    if on_air is not None:
        return Judgement(OK, "A story is on air.")
    if snapshot.needs_approval:
        return Judgement(ATTENTION, "A story waits for your approval in the Broadcast Center.")
    return Judgement(OK, "Nothing is on air; the next story airs when it is ready.")


def _delivery(session: Session, snapshot: Snapshot) -> Judgement:
    events = SessionEvent.objects.filter(session=session).order_by("-seq")
    last_at = events.values_list("at", flat=True).first()
    if snapshot.live and last_at is not None and last_at < snapshot.at - QUIET:
        return Judgement(ATTENTION, "Nothing has happened for more than ten minutes.")
    return Judgement(OK, "Every event goes to the open pages as it happens.")
