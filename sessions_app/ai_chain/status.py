"""Whether a chain is in order: SYNCED, OUT_OF_SYNC or EMPTY, with a rate in per cent.

The transitions of AI chains: listed, and archived when they are old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from sessions_app.background import retention
from sessions_app.events import archive as events_archive
from sessions_app.events import recorder
from sessions_app.events.archive import Damaged
from sessions_app.models import AILink, AITransition, Archive, Chain, Session, Workspace

SYNCED, OUT_OF_SYNC, EMPTY = "SYNCED", "OUT_OF_SYNC", "EMPTY"

LATEST = 500  # links that a page looks at; the audit looks at all


@dataclass(frozen=True, slots=True)
class Status:
    """How a chain stands: ``agreeing`` of the ``seen`` latest of its ``links`` are in order."""

    state: str = EMPTY
    links: int = 0
    seen: int = 0
    agreeing: int = 0
    chain: Chain | None = None
    problems: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Of the links that were looked at, how many are in order, in per cent."""
        return 100.0 * self.agreeing / self.seen if self.seen else 100.0

    @property
    def head(self) -> AILink | None:
        return self.chain.head if self.chain else None


Check = Callable[[Session], list[str]]

_checks: list[Check] = []


def register_check(check: Check) -> None:
    """Have ``check(session)`` name what a higher app finds wrong with the chain."""
    _checks.append(check)


def status(session: Session, most: int | None = LATEST) -> Status:
    """Look at the ``most`` latest links of the session's chain; None looks at all of them."""
    found = _look(session, most)
    # A link that joins between two queries looks like a fault; a second look tells.
    return _look(session, most) if found.problems else found


def _look(session: Session, most: int | None) -> Status:
    links = AILink.objects.filter(session=session)
    archived = Archive.objects.filter(session=session, kind=Archive.Kind.TRANSITIONS)
    packed = archived.aggregate(n=Sum("joined"))["n"] or 0
    rows = Chain.objects.select_related("head__context_head", "base__context_head")
    chain = rows.filter(session=session).first()
    top = links.order_by("-number").values_list("number", flat=True).first()
    if top is None:
        problems = tuple(_elsewhere(session))
        return Status(OUT_OF_SYNC if problems else EMPTY, chain=chain, problems=problems)
    low = max(1, top - most + 1) if most else 1
    seen = top - low + 1
    counted = _faults(links.filter(number__gte=low), seen, packed)
    problems = tuple(_problems(counted, chain, top)) + tuple(_elsewhere(session))
    agreeing = max(0, seen - sum(counted.values()))
    if problems and agreeing == seen:
        agreeing -= 1
    return Status(OUT_OF_SYNC if problems else SYNCED, top, seen, agreeing, chain, problems)


def _faults(links: QuerySet[AILink], seen: int, packed: int) -> dict[str, int]:
    """How many links have which fault. Archives hold the transitions of the first ``packed``."""
    recorded = AITransition.objects.filter(new=OuterRef("pk")).exclude(source=AITransition.RECOVERY)
    follows = Q(number=1) | Q(previous__number=F("number") - 1)
    return {
        "missing": seen - links.count(),
        "not behind the one before": links.exclude(follows).count(),
        "without a transition": links.filter(~Exists(recorded), number__gt=packed).count(),
    }


def _problems(counted: dict[str, int], chain: Chain | None, top: int) -> Iterator[str]:
    for fault, number in counted.items():
        if number:
            yield f"{number} {'link is' if number == 1 else 'links are'} {fault}"
    head = chain.head if chain else None
    if head is None or head.number != top:
        yield "the head is not the latest link"


def _elsewhere(session: Session) -> Iterator[str]:
    for check in _checks:
        yield from check(session)


@dataclass(frozen=True, slots=True)
class QuickStatus:
    """As much as one query tells: how many links, and whether the head is the latest of them."""

    links: int = 0
    head: int | None = None

    @property
    def state(self) -> str:
        if not self.links:
            return EMPTY
        return SYNCED if self.head == self.links else OUT_OF_SYNC


def quick_status(session: Session) -> QuickStatus:
    """How the chain stands at a glance, for pages that are about something else."""
    head = Chain.objects.filter(session=OuterRef("session")).values("head__number")
    links = AILink.objects.filter(session=session).annotate(head=Subquery(head[:1]))
    found = links.order_by("-number").values_list("number", "head").first()
    return QuickStatus(*found) if found else QuickStatus()


def synced_counts() -> tuple[int, int]:
    """(chains whose head is the latest link, all chains): two look-ups by key for each session."""
    links = AILink.objects.filter(session=OuterRef("pk"))
    head = Chain.objects.filter(session=OuterRef(OuterRef("pk"))).values("head__number")
    beyond = links.filter(number__gt=Coalesce(Subquery(head[:1]), 0))
    begun = Session.objects.filter(Exists(links))
    return begun.exclude(Exists(beyond)).count(), begun.count()


def summary(synced: int, chains: int) -> str:
    """``SYNCED: 100 % of 3 chains``; the rate is rounded down, so that 100 means all."""
    if not chains:
        return f"{EMPTY}: no chain has begun"
    state = SYNCED if synced == chains else OUT_OF_SYNC
    tenths = 1000 * synced // chains
    noun = "chain" if chains == 1 else "chains"
    return f"{state}: {tenths / 10:g} % of {chains:,} {noun}"


def of_session(session: Session) -> QuerySet[AITransition]:
    """Those not archived yet, newest first."""
    rows = AITransition.objects.filter(session=session).select_related("old", "new")
    return rows.order_by("-id")


def payload(transition: AITransition) -> dict[str, Any]:
    """A transition as the API shows it: ``old`` and ``new`` are ids of providers."""
    return {
        "id": transition.pk,
        "old": transition.old.provider_id if transition.old else None,
        "new": transition.new.provider_id,
        "source": transition.source,
        "run": transition.run_number,
        "at": recorder.timestamp(transition.created_at),
    }


def archived(session: Session, before: int | None, most: int) -> list[dict[str, Any]]:
    """Archived transitions older than the id ``before``, newest first."""
    packed = events_archive.of_session(session, events_archive.TRANSITIONS)
    return events_archive.newest(packed, "id", before, most, _instead)


def _instead(error: Damaged) -> dict[str, Any]:
    """What stands for all of an archive that cannot be read."""
    archive = error.archive
    return {
        "id": archive.first,
        "old": None,
        "new": None,
        "source": events_archive.DAMAGED,
        "run": None,
        "at": recorder.timestamp(archive.created_at),
        "sentence": error.sentence,
    }


def transition_payloads(session: Session, before: int | None, most: int) -> list[dict[str, Any]]:
    """Transitions older than the id ``before``, newest first: those that live, then archived ones.

    What is archived between the two queries is found by the second one.
    """
    rows = of_session(session)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = [payload(row) for row in rows[:most]]
    if len(found) < most:
        oldest = found[-1]["id"] if found else before
        found += archived(session, oldest, most - len(found))
    return found


def archive(shared: Workspace, now: datetime) -> int:
    """A rule of retention: archive a piece of one session's old transitions; returns how many."""
    until = now - timedelta(days=shared.keep_transitions_days)
    old = AITransition.objects.filter(created_at__lt=until).order_by("created_at")
    resting = events_archive.rested(events_archive.TRANSITIONS, now).values("session")
    first = old.exclude(session__in=resting).select_related("session").first()
    rows = _oldest(first.session, until) if first else []
    if first is None or not rows:
        return 0
    gone = AITransition.objects.filter(pk__in=[row.pk for row in rows])
    joined = sum(row.source != AITransition.RECOVERY for row in rows)
    lines = [payload(row) for row in rows]
    return events_archive.pack(first.session, events_archive.TRANSITIONS, "id", lines, gone, joined)


def _oldest(session: Session, until: datetime) -> list[AITransition]:
    """The first transitions of a session, as far as they are old: an archive has no holes, so that
    archives hold those of the first links and come in their order.
    """
    chosen = of_session(session).order_by("id")[: retention.CHUNK]
    return list(takewhile(lambda row: row.created_at < until, chosen))


def register() -> None:
    retention.register(archive)
