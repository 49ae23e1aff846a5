"""Checks AI chains (SYNCED, OUT_OF_SYNC or EMPTY), and lists and archives their transitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Annotated, NotRequired

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import audits
from sessions_app.ai_chain.chain import since_base
from sessions_app.background import retention
from sessions_app.events import archive as events_archive
from sessions_app.events import recorder
from sessions_app.events.archive import Damaged
from sessions_app.models import AILink, AITransition, Archive, Chain, Session, Workspace

SYNCED, OUT_OF_SYNC, EMPTY = "SYNCED", "OUT_OF_SYNC", "EMPTY"

LATEST = 500  # links that a page checks; the audit checks all


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a chain: ``agreeing`` of the ``seen`` latest of its ``links`` are in order."""

    state: str = EMPTY
    links: int = 0
    seen: int = 0
    agreeing: int = 0
    chain: Chain | None = None
    problems: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """The share of the checked links that are in order, in per cent."""
        return 100.0 * self.agreeing / self.seen if self.seen else 100.0

    @property
    def head(self) -> AILink | None:
        return self.chain.head if self.chain else None


Check = Callable[[Session], list[str]]

_checks: list[Check] = []


def register_check(check: Check) -> None:
    """Calls ``check(session)`` for the problems that a higher app finds with the chain."""
    _checks.append(check)


def status(session: Session, most: int | None = LATEST) -> Status:
    """Checks the ``most`` latest links of the session's chain, or all of them for None."""
    first_look = _check_links(session, most)
    # A link that is appended between two queries looks like a fault, so a fault is checked again.
    return _check_links(session, most) if first_look.problems else first_look


def _check_links(session: Session, most: int | None) -> Status:
    links = AILink.objects.filter(session=session)
    archives = Archive.objects.filter(session=session, kind=Archive.Kind.TRANSITIONS)
    archived = archives.aggregate(n=Sum("joined"))["n"] or 0
    rows = Chain.objects.select_related("head__context_head", "base__context_head")
    # With the head and base in the same query, as the page shows both.
    chain = rows.filter(session=session).first()
    latest = links.order_by("-number").values_list("number", flat=True).first()
    # What other apps store about the chain, e.g. the head of each run.
    elsewhere = [problem for check in _checks for problem in check(session)]
    if latest is None:
        state = OUT_OF_SYNC if elsewhere else EMPTY
        return Status(state, chain=chain, problems=tuple(elsewhere))
    first = max(1, latest - most + 1) if most else 1
    seen = latest - first + 1
    checked = links.filter(number__gte=first)
    linked = Q(number=1) | Q(previous__number=F("number") - 1)
    recorded = AITransition.objects.filter(new=OuterRef("pk")).exclude(source=AITransition.RECOVERY)
    # Archives hold the transitions of the first links, so only later ones need a row.
    unrecorded = checked.filter(~Exists(recorded), number__gt=archived)
    faults = {
        "missing": seen - checked.count(),
        "not behind the one before": checked.exclude(linked).count(),
        "without a transition": unrecorded.count(),
    }
    problems = [
        f"{number} {'link is' if number == 1 else 'links are'} {fault}"
        for fault, number in faults.items()
        if number
    ]
    if chain is None or chain.head is None or chain.head.number != latest:
        problems.append("the head is not the latest link")
    problems += elsewhere
    agreeing = max(0, seen - sum(faults.values()))
    if problems and agreeing == seen:
        # A problem of the head or of another app counts as one link out of order.
        agreeing -= 1
    state = OUT_OF_SYNC if problems else SYNCED
    return Status(state, latest, seen, agreeing, chain, tuple(problems))


@dataclass(frozen=True, slots=True)
class QuickStatus:
    """The number of links and of the head, read by one query."""

    links: int = 0
    head: int | None = None

    @property
    def state(self) -> str:
        if not self.links:
            return EMPTY
        return SYNCED if self.head == self.links else OUT_OF_SYNC


def quick_status(session: Session) -> QuickStatus:
    """Returns the state of the chain without checking its links, for pages about something else."""
    head = Chain.objects.filter(session=OuterRef("session")).values("head__number")
    links = AILink.objects.filter(session=session).annotate(head=Subquery(head[:1]))
    row = links.order_by("-number").values_list("number", "head").first()
    return QuickStatus(*row) if row else QuickStatus()


def synced_counts() -> tuple[int, int]:
    """Returns (chains whose head is the latest link, all chains): two look-ups by key a session."""
    links = AILink.objects.filter(session=OuterRef("pk"))
    head = Chain.objects.filter(session=OuterRef(OuterRef("pk"))).values("head__number")
    beyond = links.filter(number__gt=Coalesce(Subquery(head[:1]), 0))
    # A session whose chain has lost its row counts as one with head 0.
    begun = Session.objects.filter(Exists(links))
    return begun.exclude(Exists(beyond)).count(), begun.count()


def summary(synced: int, chains: int) -> str:
    """Returns e.g. ``SYNCED: 100 % of 3 chains``, rounded down, so that 100 means all."""
    if not chains:
        return f"{EMPTY}: no chain has begun"
    state = SYNCED if synced == chains else OUT_OF_SYNC
    tenths = 1000 * synced // chains
    noun = "chain" if chains == 1 else "chains"
    return f"{state}: {tenths / 10:g} % of {chains:,} {noun}"


class TransitionPayload(TypedDict):
    """A transition as the API shows it."""

    id: Annotated[int, Field(description="Id of the transition.")]
    old: Annotated[str | None, Field(description="Provider's id of the head before it.")]
    new: Annotated[str | None, Field(description="Provider's id of the head after it.")]
    source: Annotated[str, Field(description="Kind of operation, recovery, or archive.damaged.")]
    run: Annotated[int | None, Field(description="Number of the run, if any.")]
    at: Annotated[str, Field(description="When the head changed.")]
    sentence: NotRequired[
        Annotated[str, Field(description="What is wrong with an archive that cannot be read.")]
    ]


def of_session(session: Session) -> QuerySet[AITransition]:
    """Returns the transitions that are not archived yet, newest first."""
    rows = AITransition.objects.filter(session=session).select_related("old", "new")
    return rows.order_by("-id")


def transition_payload(transition: AITransition) -> TransitionPayload:
    """Returns a transition as the API shows it."""
    return {
        "id": transition.pk,
        "old": transition.old.provider_id if transition.old else None,
        "new": transition.new.provider_id,
        "source": transition.source,
        "run": transition.run_number,
        "at": recorder.timestamp(transition.created_at),
    }


def _damaged_archive(error: Damaged) -> TransitionPayload:
    """Returns the one line shown for an archive that cannot be read."""
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


def transition_payloads(session: Session, before: int | None, most: int) -> list[TransitionPayload]:
    """Returns transitions older than the id ``before``, newest first, archived ones included."""
    rows = of_session(session)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    payloads = [transition_payload(row) for row in rows[:most]]
    if len(payloads) < most:
        # Read after the rows: what is archived between the two queries is in the archive by now.
        oldest = payloads[-1]["id"] if payloads else before
        archives = events_archive.of_session(session, events_archive.TRANSITIONS)
        left = most - len(payloads)
        payloads += events_archive.newest(archives, "id", oldest, left, _damaged_archive)
    return payloads


def archive(settings: Workspace, now: datetime) -> int:
    """Archives some old transitions of one session (a retention rule); returns how many."""
    until = now - timedelta(days=settings.keep_transitions_days)
    old = AITransition.objects.filter(created_at__lt=until).order_by("created_at")
    paused = events_archive.recently_archived(events_archive.TRANSITIONS, now).values("session")
    first = old.exclude(session__in=paused).select_related("session").first()
    if first is None:
        return 0
    # From the first row on, up to one that is too new: an archive has no gaps, so that the archives
    # hold the transitions of the first links in their order.
    oldest = of_session(first.session).order_by("id")[: retention.CHUNK]
    rows = list(takewhile(lambda row: row.created_at < until, oldest))
    if not rows:
        return 0
    return events_archive.pack(
        first.session,
        events_archive.TRANSITIONS,
        "id",
        [transition_payload(row) for row in rows],
        AITransition.objects.filter(pk__in=[row.pk for row in rows]),
        sum(row.source != AITransition.RECOVERY for row in rows),
    )


def audit_links() -> Iterator[tuple[object, str]]:
    """A transition agrees with its link, a chain's sums with its links, and a context is earlier."""
    changed = AITransition.objects.exclude(source=AITransition.RECOVERY)
    wrong = changed.exclude(
        Q(old=F("new__previous")) | Q(old=None, new__previous=None),
        Q(run_number=F("new__run_number")) | Q(run_number=None, new__run_number=None),
        source=F("new__source"),
    )
    for row in wrong.iterator(audits.BATCH):
        yield row.session_id, f"transition {row.pk} does not agree with its link"
    for link in AILink.objects.filter(context_head__number__gte=F("number")).iterator(audits.BATCH):
        yield link.session_id, f"link {link.number} has a context from after it"
    for chain in Chain.objects.select_related("session").iterator(audits.BATCH):
        sums = since_base(chain.session)
        if any(getattr(chain, name) != value for name, value in sums.items()):
            yield (
                chain.session_id,
                "the base or the sums of the AI chain are not those of its links",
            )


def register() -> None:
    retention.register(archive)
    audits.register("links", audit_links, AILink, AITransition, Chain)
