"""The AI chain: every completed operation of a session joins behind the latest one.

``join`` is called in the transaction that books the operation. It holds the chain's row, so that of
two operations that end at once the second links behind the first; nobody asks a model again. The
row is taken after a live run and before the counters, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from django.db import connection, transaction
from django.db.models import Count, F, Max, Min, Q, Sum

from sessions_app import events
from sessions_app.models import AILink, AITransition, Chain, Session, TransitionArchive

log = structlog.get_logger(__name__)

Source = AILink.Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a completed operation was; ``tokens`` is what it added to what was said."""

    source: str
    provider_id: str
    model: str = ""
    run_number: int | None = None
    context_head: AILink | None = None
    tokens: int = 0
    summary: str = ""


_joined: list[Callable[[AILink, Chain], None]] = []


def on_join(function: Callable[[AILink, Chain], None]) -> None:
    """Call ``function(link, chain)`` in the transaction of each link, before its event."""
    _joined.append(function)


def offline_id() -> str:
    """What stands for a provider's id where no provider was asked."""
    return f"offline-{uuid4().hex}"


def join(session: Session, operation: Operation) -> AILink:
    """Put the operation behind the head and make it the head; in the caller's transaction."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("join() belongs to a transaction")
    chain = _hold(session)
    head = _head(chain)
    link = AILink.objects.create(
        session=session, number=head.number + 1 if head else 1, previous=head,
        context_head=operation.context_head, run_number=operation.run_number,
        source=operation.source, provider_id=operation.provider_id[:80],
        model=operation.model[:80], tokens=operation.tokens, summary=operation.summary,
    )  # fmt: skip
    AITransition.objects.create(
        session=session, old=head, new=link, source=link.source, run_number=link.run_number
    )
    _advance(chain, head, link)
    for function in _joined:
        function(link, chain)
    return link


def _hold(session: Session) -> Chain:
    Chain.objects.get_or_create(session=session)
    return Chain.objects.select_for_update(of=("self",), no_key=True).get(session=session)


def _advance(chain: Chain, head: AILink | None, link: AILink) -> None:
    """Compare and set; a base is what sums up or forgets all before it."""
    changes: dict[str, Any] = {
        "head": link, "tokens": F("tokens") + link.tokens, "operations": F("operations") + 1,
    }  # fmt: skip
    if link.source in (Source.COMPACTION, Source.RESET):
        changes |= {"base": link, "tokens": 0}
    if link.source == Source.RESET:
        changes["operations"] = 0
    if Chain.objects.filter(pk=chain.pk, head=head).update(**changes) != 1:
        raise RuntimeError("the chain moved while it was held")
    chain.refresh_from_db()


def _head(chain: Chain) -> AILink | None:
    """The head, after putting it right where it is not the end of the chain."""
    tip = last(chain.session)
    if tip == chain.head:
        return tip
    if tip is not None:
        AITransition.objects.create(
            session=chain.session, old=chain.head, new=tip, source=AITransition.RECOVERY
        )
    Chain.objects.filter(pk=chain.pk).update(head=tip)
    chain.head = tip
    sentence = _recovered(tip)
    log.warning("chain_recovered", link=tip.number if tip else None)
    events.say(chain.session, "system", sentence, "chain_recovered")
    return tip


def _recovered(tip: AILink | None) -> str:
    if tip is None:
        return "The AI chain lost its latest link and none is left, so it starts fresh."
    return f"The AI chain lost its latest link; it goes on from link {tip.number}, the last valid."


def last(session: Session) -> AILink | None:
    """The end of the session's chain."""
    return AILink.objects.filter(session=session).order_by("-number").first()


def recover(session: Session) -> AILink | None:
    """Put the head right if it is not the end of the chain; returns the head."""
    with transaction.atomic():
        return _head(_hold(session))


@dataclass(frozen=True, slots=True)
class Found:
    """The link to go on from; ``note`` says in a sentence when it is not the one that was named."""

    link: AILink | None
    note: str = ""


def find(session: Session, named: str) -> Found:
    """The link with this number or id of a provider; for an unknown one the latest, or none."""
    rows = AILink.objects.filter(session=session)
    if named.isascii() and named.isdigit() and len(named) <= 18:
        found = rows.filter(number=int(named)).first()
    else:
        found = rows.filter(provider_id=named[:80]).order_by("-number").first()
    if found is not None:
        return Found(found)
    latest = last(session)
    if latest is None:
        return Found(None, "This id is unknown and the chain is empty, so it starts fresh.")
    return Found(
        latest, f"This id is unknown, so it goes on from link {latest.number}, the latest."
    )


SYNCED, OUT_OF_SYNC, EMPTY = "SYNCED", "OUT_OF_SYNC", "EMPTY"


@dataclass(frozen=True, slots=True)
class Status:
    """How a chain stands: ``agreeing`` of ``links`` are in order, ``rate`` is that in per cent."""

    state: str
    links: int
    agreeing: int
    head: AILink | None
    problems: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        return 100.0 * self.agreeing / self.links if self.links else 100.0


Check = Callable[[Session], list[str]]
_checks: list[Check] = []


def register_check(check: Check) -> None:
    """Have ``check(session)`` name what a higher app finds wrong with the chain."""
    _checks.append(check)


def status(session: Session) -> Status:
    """Look at every link of the session's chain."""
    links = AILink.objects.filter(session=session)
    seen = links.aggregate(count=Count("pk"), top=Max("number"), low=Min("number"))
    count = seen["count"]
    wrong = links.filter(number__gt=1).exclude(previous__number=F("number") - 1).count()
    missing = count - _recorded(session)
    chain = Chain.objects.select_related("head").filter(session=session).first()
    head = chain.head if chain else None
    problems = []
    if count and (seen["low"] != 1 or seen["top"] != count):
        problems.append("links are missing")
    if wrong:
        problems.append(f"{wrong} links do not follow the one before")
    if missing:
        problems.append(f"{missing} links have no transition, or more than one")
    if (head.number if head else 0) != (seen["top"] or 0):
        problems.append("the head is not the latest link")
    problems += [problem for check in _checks for problem in check(session)]
    agreeing = max(0, count - wrong - abs(missing))
    if problems and agreeing == count and count:
        agreeing -= 1
    state = OUT_OF_SYNC if problems else SYNCED if count else EMPTY
    return Status(state, count, agreeing, head, tuple(problems))


def _recorded(session: Session) -> int:
    rows = AITransition.objects.filter(session=session).exclude(source=AITransition.RECOVERY)
    packed = TransitionArchive.objects.filter(session=session).aggregate(n=Sum("joined"))["n"]
    return rows.values("new").distinct().count() + (packed or 0)


def rate() -> tuple[int, int]:
    """(chains whose head is the latest link, all chains); cheap enough for the health page."""
    chains = Chain.objects.annotate(follows=Count("head__following"))
    synced = chains.filter(Q(follows=0), Q(head__isnull=False)).count()
    return synced, Chain.objects.exclude(head=None).count()
