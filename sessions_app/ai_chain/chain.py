"""The AI chain: every completed operation of a session joins behind the latest one.

``append`` is called in the transaction that books the operation. It holds the chain's row, so that of
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
from django.db.models import F, Q, Sum

from sessions_app import commands
from sessions_app.commands import Call, Nothing
from sessions_app.events import recorder
from sessions_app.hooks import Topic
from sessions_app.models import AILink, AITransition, Chain, Session

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


on_append: Topic[[AILink, Chain]] = Topic(
    "chain.joined", "An operation joined the AI chain; its event is still to come."
)

_preparing: list[Callable[[Session, Operation], None]] = []
_repairing: list[Callable[[Session], str]] = []


def before_append(function: Callable[[Session, Operation], None]) -> None:
    """Call ``function(session, operation)`` before the chain's row is taken, to take rows that are
    locked before it.
    """
    _preparing.append(function)


def on_recover(function: Callable[[Session], str]) -> None:
    """Have ``function(session)`` put right what a higher app keeps of the chain, before the chain's
    row is taken; it says what it did, or nothing.
    """
    _repairing.append(function)


def offline_id() -> str:
    """What stands for a provider's id where no provider was asked."""
    return f"offline-{uuid4().hex}"


def append(session: Session, operation: Operation) -> AILink:
    """Put the operation behind the head and make it the head; in the caller's transaction."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("append() belongs to a transaction")
    for function in _preparing:
        function(session, operation)
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
    on_append.send(link, chain)
    return link


def _hold(session: Session) -> Chain:
    Chain.objects.get_or_create(session=session)
    # Without its head: a row that was waited for is joined with what there was before the wait.
    chain = Chain.objects.select_for_update(no_key=True).get(session=session)
    chain.session = session
    return chain


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
    if chain.head_id == (tip.pk if tip else None):
        return tip
    if tip is not None:
        AITransition.objects.create(
            session=chain.session, old=chain.head, new=tip, source=AITransition.RECOVERY
        )
    Chain.objects.filter(pk=chain.pk).update(head=tip, **_since_base(chain.session))
    chain.refresh_from_db()
    sentence = _recovered(tip)
    log.warning("chain_recovered", link=tip.number if tip else None)
    recorder.add_message(chain.session, "system", sentence, "chain_recovered")
    return tip


def _since_base(session: Session) -> dict[str, Any]:
    """What the chain's row says of the context, from the links themselves."""
    links = AILink.objects.filter(session=session).order_by("-number")
    base = links.filter(source__in=(Source.COMPACTION, Source.RESET)).first()
    reset = links.filter(source=Source.RESET).first()
    said = links.filter(number__gt=base.number if base else 0).aggregate(sum=Sum("tokens"))["sum"]
    operations = links.filter(number__gt=reset.number if reset else 0).count()
    return {"base": base, "tokens": said or 0, "operations": operations}


def _recovered(tip: AILink | None) -> str:
    if tip is None:
        return "The AI chain lost its latest link and none is left, so it starts fresh."
    return f"The AI chain lost its latest link; it goes on from link {tip.number}, the last valid."


def set_summary(link: AILink, text: str) -> bool:
    """Write what a compaction carries on, once, in the caller's transaction.

    Nothing is carried past a reset that came between what was read for it and its link: then, and
    where it was written before, this is False.
    """
    known = link.context_head.number if link.context_head else 0
    between = AILink.objects.filter(session=link.session_id, source=Source.RESET)
    if between.filter(number__gt=known, number__lt=link.number).exists():
        return False
    return bool(AILink.objects.filter(pk=link.pk, summary="").update(summary=text))


_CARRIES = Q(source=Source.RESET) | Q(source=Source.COMPACTION) & ~Q(summary="")


def base(session: Session) -> AILink | None:
    """From where context counts: the latest reset, or compaction that says what it carries on.

    A compaction whose summary is still being written, or was lost with its worker, carries nothing.
    """
    found = Chain.objects.filter(session=session).select_related("base__context_head").first()
    at = found.base if found else None
    if at is None or at.source == Source.RESET or at.summary:
        return at
    links = AILink.objects.filter(session=session, number__lt=at.number)
    return links.select_related("context_head").filter(_CARRIES).order_by("-number").first()


def last(session: Session) -> AILink | None:
    """The end of the session's chain."""
    return AILink.objects.filter(session=session).order_by("-number").first()


def recover(session: Session) -> AILink | None:
    """Put right the head that is not the end of the chain, and what is kept of it elsewhere.

    Returns the head; what was put right is said to the owner.
    """
    with transaction.atomic():
        done = [function(session) for function in _repairing]
        head = _head(_hold(session))
        for sentence in filter(None, done):
            recorder.add_message(session, "system", sentence, "chain_recovered")
        return head


def restore_imported(session: Session) -> None:
    """Give links that were brought in the row that says where their chain stands."""
    tip = last(session)
    if tip is not None:
        Chain.objects.create(session=session, head=tip, **_since_base(session))


@dataclass(frozen=True, slots=True)
class Found:
    """The link to go on from; ``note`` says in a sentence when it is not the one that was named."""

    link: AILink | None
    note: str = ""


def find(session: Session, named: str) -> Found:
    """The link with this number or id of a provider; for an unknown one the latest, or none."""
    found = _named(session, named.strip())
    if found is not None:
        return Found(found)
    latest = last(session)
    if latest is None:
        return Found(None, "This id is unknown and the chain is empty, so it starts fresh.")
    return Found(
        latest, f"This id is unknown, so it goes on from link {latest.number}, the latest."
    )


def _named(session: Session, named: str) -> AILink | None:
    rows = AILink.objects.filter(session=session)
    if named.isascii() and named.isdigit() and len(named) <= 18:
        return rows.filter(number=int(named)).first()
    # PostgreSQL takes no NUL, so nothing of that name can be kept.
    if not named or "\x00" in named:
        return None
    return rows.filter(provider_id=named[:80]).order_by("-number").first()


def _recover(call: Call) -> AILink | None:
    return recover(call.target)


def register() -> None:
    meaning = "Put the AI chain right: its head is the latest link again."
    commands.register("chain.recover", Nothing, _recover, meaning)
