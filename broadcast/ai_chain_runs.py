"""Runs in the AI chain: each run stores its own latest link."""

from __future__ import annotations

from django.db import connection
from django.db.models import F, OuterRef, Q, Subquery

from broadcast.models import Broadcast
from sessions_app import constraints
from sessions_app.ai_chain import chain, status
from sessions_app.ai_chain.chain import Operation
from sessions_app.models import AILink, AITransition, Chain, Session


def lock_run(session: Session, operation: Operation) -> None:
    """Locks the run before the chain, because ``store_head`` writes to the run afterwards."""
    # SQLite has no locks of rows: its transaction already has the only one.
    if operation.run_number is not None and connection.features.has_select_for_update:
        rows = Broadcast.objects.select_for_update(no_key=True)
        # Evaluated for the lock alone; "values_list" avoids reading the whole row.
        rows.filter(session=session, number=operation.run_number).values_list("pk").first()


def store_head(link: AILink, _chain: Chain) -> None:
    if link.run_number is not None:
        runs = Broadcast.objects.filter(session=link.session_id, number=link.run_number)
        runs.update(ai_head=link)


def check(session: Session) -> list[str]:
    """Returns what is wrong with the latest links that the runs store."""
    wrong = _runs_with_wrong_head(session)
    return [f"run {number} does not keep its latest link" for _, number, _ in wrong]


def repair(session: Session) -> str:
    """Stores the latest link of each run that has another one; returns a sentence about it."""
    numbers = [number for _, number, _ in _runs_with_wrong_head(session)]
    if not numbers:
        return ""
    # Locked first and read again: an operation that is appended meanwhile locks its run too.
    runs = Broadcast.objects.filter(session=session, number__in=numbers)
    list(runs.select_for_update(no_key=True).order_by("number").values_list("pk"))
    for run_id, number, latest in _runs_with_wrong_head(session):
        if number in numbers:
            Broadcast.objects.filter(pk=run_id).update(ai_head=latest)
    return (
        f"Run {', '.join(map(str, numbers))} lost its latest link of the AI chain; it was repaired."
    )


def _runs_with_wrong_head(session: Session) -> list[tuple[int, int, int | None]]:
    """Returns (id, number, latest link) of each run whose ``ai_head`` is another link."""
    # By the index link_of_run: one look-up for each run, however long the chain is.
    links = AILink.objects.filter(session=OuterRef("session"), run_number=OuterRef("number"))
    latest = Subquery(links.order_by("-number").values("pk")[:1])
    runs = Broadcast.objects.filter(session=session).annotate(latest=latest)
    wrong = runs.exclude(Q(ai_head=F("latest")) | Q(ai_head=None, latest=None))
    return list(wrong.order_by("number").values_list("pk", "number", "latest"))


def register() -> None:
    chain.before_append(lock_run)
    chain.on_append.subscribe(store_head)
    chain.before_recover(repair)
    status.register_check(check)
    # A number and not a foreign key, because models of a lower app cannot point to a higher one.
    for model in (AILink, AITransition):
        constraints.require_same_session(model, "run_number", Broadcast, "number")
