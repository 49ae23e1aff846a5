"""The AI chain: links every completed model operation of a session to the one before it.

``append`` is called in the transaction that stores the operation's cost. It locks the chain's row, so
that of two operations that end at the same time the second is linked to the first, without a second
call to the model. The lock order is: live run, chain, counters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import structlog
from django.db import connection, transaction
from django.db.models import F, Q, Sum

from sessions_app import commands, statements
from sessions_app.commands import Command, Nothing
from sessions_app.events import recorder
from sessions_app.hooks import Topic
from sessions_app.models import AILink, AITransition, Chain, Session
from sessions_app.statements import Given, Prepared, insert

log = structlog.get_logger(__name__)

Source = AILink.Source

# Links that start a new context, from which tokens count.
_BASES = (Source.COMPACTION, Source.RESET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A completed model operation; ``tokens`` is how many it added to the context."""

    source: str
    provider_id: str
    model: str = ""
    run_number: int | None = None
    context_head: AILink | None = None
    tokens: int = 0
    summary: str = ""


on_append: Topic[[AILink, Chain]] = Topic(
    "chain.joined", "An operation was appended to the AI chain; its event is recorded later."
)

_before_append: list[Callable[[Session, Operation], None]] = []
_before_recover: list[Callable[[Session], str]] = []


def before_append(function: Callable[[Session, Operation], None]) -> None:
    """Calls ``function(session, operation)`` before the chain's row is locked.

    It may lock rows that come earlier in the lock order.
    """
    _before_append.append(function)


def before_recover(function: Callable[[Session], str]) -> None:
    """Calls ``function(session)`` in ``recover``, before the chain's row is locked.

    It repairs what a higher app stores about the chain, and returns a sentence about it or "".
    """
    _before_recover.append(function)


# Without select_related("head"): PostgreSQL would join the head as it was before the wait.
_LOCKED = Prepared(
    lambda: Chain.objects.select_for_update(no_key=True).filter(session=Given("session"))
)
# Without its text, which nothing here reads.
_LATEST = Prepared(
    lambda: (
        AILink.objects.filter(session=Given("session"))
        .order_by("-number")
        .only("session_id", "number")[:1]
    )
)
_MOVED = Prepared(
    lambda: Chain.objects.filter(pk=Given("pk"), head=Given("head")),
    {
        "head": Given("link"),
        "tokens": F("tokens") + Given("tokens"),
        "operations": F("operations") + 1,
    },
)

OFFLINE = "offline-"


def offline_id() -> str:
    """Returns an id for an operation without a provider."""
    return f"{OFFLINE}{uuid4().hex}"


def append(session: Session, operation: Operation) -> AILink:
    """Appends the operation to the chain as its new head, in the caller's transaction."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("append() must run in a transaction")
    # These lock the live run, which comes before the chain in the lock order.
    for function in _before_append:
        function(session, operation)
    chain = _locked(session)
    head = _valid_head(chain)
    link = AILink(
        session=session,
        number=head.number + 1 if head else 1,
        previous=head,
        context_head=operation.context_head,
        run_number=operation.run_number,
        source=operation.source,
        provider_id=operation.provider_id[:80],
        model=operation.model[:80],
        tokens=operation.tokens,
        summary=operation.summary,
    )
    insert(link)
    transition = AITransition(session=session, old=head, new=link, source=link.source)
    transition.run_number = link.run_number
    insert(transition)
    # Compare and set: the lock makes a failure impossible, unless a caller does not use it.
    if head is not None and link.source not in _BASES:
        rows = _MOVED.all(pk=chain.pk, head=head.pk, link=link.pk, tokens=link.tokens)
    else:
        changes: dict[str, object] = {
            "head": link,
            "tokens": F("tokens") + link.tokens,
            "operations": F("operations") + 1,
        }
        # The tokens of a base are not counted: it replaces what was in the context before.
        if link.source in _BASES:
            changes |= {"base": link, "tokens": 0}
        if link.source == Source.RESET:
            changes["operations"] = 0
        own = Chain.objects.filter(pk=chain.pk, head=head)
        rows = statements.update_returning(own, **changes)
    if len(rows) != 1:
        # The transaction is undone as a whole, so no link is left that the head does not know.
        raise RuntimeError("the chain changed while its row was locked")
    rows[0].session = session
    on_append.send(link, rows[0])
    return link


def _locked(session: Session) -> Chain:
    """Locks the chain's row; creates it for the first operation of a session."""
    chain = _LOCKED.first(session=session.pk)
    if chain is None:
        # Two first operations may both try to create it: the unique key lets one of them succeed.
        Chain.objects.get_or_create(session=session)
        [chain] = _LOCKED.all(session=session.pk)
    chain.session = session
    return chain


def _valid_head(chain: Chain) -> AILink | None:
    """Returns the head, after setting it to the latest link where it is another one."""
    latest = _LATEST.first(session=chain.session_id)
    # The usual case: one look-up by (session, number) shows that no link was lost.
    if chain.head_id == (latest.pk if latest else None):
        return latest
    if latest is None:
        sentence = "The AI chain lost its latest link and none is left, so it starts fresh."
    else:
        sentence = (
            f"The AI chain lost its latest link; it continues from link {latest.number}, "
            "the last valid one."
        )
        AITransition.objects.create(
            session=chain.session, old=chain.head, new=latest, source=AITransition.RECOVERY
        )
    Chain.objects.filter(pk=chain.pk).update(head=latest, **since_base(chain.session))
    chain.refresh_from_db()
    log.warning("chain_recovered", link=latest.number if latest else None)
    recorder.add_message(chain.session, "system", sentence, "chain_recovered")
    return latest


def since_base(session: Session) -> dict[str, object]:
    """Returns the base, tokens and operations of the chain's row from the links."""
    links = AILink.objects.filter(session=session).order_by("-number")
    base = links.filter(source__in=_BASES).first()
    reset = links.filter(source=Source.RESET).first()
    counted = links.filter(number__gt=base.number if base else 0)
    return {
        "base": base,
        "tokens": counted.aggregate(sum=Sum("tokens"))["sum"] or 0,
        "operations": links.filter(number__gt=reset.number if reset else 0).count(),
    }


def set_summary(link: AILink, text: str) -> bool:
    """Stores the summary of a compaction once, in the caller's transaction.

    Returns False when it is stored already, or when a reset lies between the links that were
    summarised and the compaction: nothing from before a reset may return to the context.
    """
    known = link.context_head.number if link.context_head else 0
    resets = AILink.objects.filter(session=link.session_id, source=Source.RESET)
    # The summary describes the links up to the context head, so a reset after it makes it obsolete.
    if resets.filter(number__gt=known, number__lt=link.number).exists():
        return False
    # Of two workers that summarise the same compaction only the first finds the summary empty.
    return bool(AILink.objects.filter(pk=link.pk, summary="").update(summary=text))


def rewrite_summaries(session_id: UUID, since: datetime, new_text: Callable[[str], str]) -> None:
    """Replaces the summaries of the links since a moment where ``new_text`` returns another one."""
    links = AILink.objects.filter(session=session_id, created_at__gte=since).exclude(summary="")
    for pk, summary in links.values_list("pk", "summary"):
        if (text := new_text(summary)) != summary:
            AILink.objects.filter(pk=pk).update(summary=text)


def base_and_head(session: Session) -> tuple[AILink | None, AILink | None]:
    """Returns the link from which the context counts, and the head of the chain.

    The first one is the latest reset or summarised compaction. A compaction without a summary is
    passed over: the summary is still being written, or its worker died.
    """
    rows = Chain.objects.filter(session=session)
    chain = rows.select_related("base__context_head", "head").first()
    if chain is None:
        return None, None
    link = chain.base
    if link is None or link.source == Source.RESET or link.summary:
        return link, chain.head
    # The base has no summary yet, so the context continues from the base before it.
    usable = Q(source=Source.RESET) | Q(source=Source.COMPACTION) & ~Q(summary="")
    earlier = AILink.objects.filter(usable, session=session, number__lt=link.number)
    return earlier.select_related("context_head").order_by("-number").first(), chain.head


def base(session: Session) -> AILink | None:
    """Returns the link from which the context counts."""
    return base_and_head(session)[0]


def last(session: Session) -> AILink | None:
    """Returns the latest link of the session's chain, from the links themselves."""
    return AILink.objects.filter(session=session).order_by("-number").first()


def recover(session: Session) -> AILink | None:
    """Sets the head to the latest link, repairs what other apps store about it, and returns it.

    Each repair is reported to the owner in a message.
    """
    with transaction.atomic():
        # These may lock live runs, which come before the chain in the lock order.
        sentences = [function(session) for function in _before_recover]
        head = _valid_head(_locked(session))
        for sentence in filter(None, sentences):
            recorder.add_message(session, "system", sentence, "chain_recovered")
        return head


def restore_imported(session: Session) -> None:
    """Creates the chain's row after the links of a session were imported."""
    latest = last(session)
    if latest is not None:
        Chain.objects.create(session=session, head=latest, **since_base(session))


@dataclass(frozen=True, slots=True)
class FoundLink:
    """The link to continue from; ``note`` says in a sentence when it is not the requested one."""

    link: AILink | None
    note: str = ""


def find(session: Session, text: str) -> FoundLink:
    """Returns the link with this number or provider id; for an unknown one, the latest link."""
    text = text.strip()
    links = AILink.objects.filter(session=session)
    link = None
    # At most 18 digits, as a longer number does not fit into the column.
    if text.isascii() and text.isdigit() and len(text) <= 18:
        link = links.filter(number=int(text)).first()
    # PostgreSQL refuses a NUL in a query, and no stored id can contain one.
    elif text and "\x00" not in text:
        link = links.filter(provider_id=text[:80]).order_by("-number").first()
    if link is not None:
        return FoundLink(link)
    latest = last(session)
    if latest is None:
        return FoundLink(None, "This id is unknown and the chain is empty, so it starts fresh.")
    return FoundLink(
        latest, f"This id is unknown, so it continues from link {latest.number}, the latest."
    )


RECOVER = Command(
    "chain.recover",
    Nothing,
    lambda call: recover(call.target),
    "Repairs the AI chain: its head is the latest link again.",
)


def register() -> None:
    commands.register(RECOVER)
