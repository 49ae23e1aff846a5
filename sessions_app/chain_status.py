"""Whether a chain is in order: SYNCED, OUT_OF_SYNC or EMPTY, with a rate in per cent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from sessions_app.models import AILink, AITransition, Archive, Chain, Session

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
class Glance:
    """As much as one query tells: how many links, and whether the head is the latest of them."""

    links: int = 0
    head: int | None = None

    @property
    def state(self) -> str:
        if not self.links:
            return EMPTY
        return SYNCED if self.head == self.links else OUT_OF_SYNC


def glance(session: Session) -> Glance:
    """How the chain stands at a glance, for pages that are about something else."""
    head = Chain.objects.filter(session=OuterRef("session")).values("head__number")
    links = AILink.objects.filter(session=session).annotate(head=Subquery(head[:1]))
    found = links.order_by("-number").values_list("number", "head").first()
    return Glance(*found) if found else Glance()


def rate() -> tuple[int, int]:
    """(chains whose head is the latest link, all chains): two look-ups by key for each session."""
    links = AILink.objects.filter(session=OuterRef("pk"))
    head = Chain.objects.filter(session=OuterRef(OuterRef("pk"))).values("head__number")
    beyond = links.filter(number__gt=Coalesce(Subquery(head[:1]), 0))
    begun = Session.objects.filter(Exists(links))
    return begun.exclude(Exists(beyond)).count(), begun.count()


def in_words(synced: int, chains: int) -> str:
    """``SYNCED: 100 % of 3 chains``; the rate is rounded down, so that 100 means all."""
    if not chains:
        return f"{EMPTY}: no chain has begun"
    state = SYNCED if synced == chains else OUT_OF_SYNC
    tenths = 1000 * synced // chains
    noun = "chain" if chains == 1 else "chains"
    return f"{state}: {tenths / 10:g} % of {chains:,} {noun}"
