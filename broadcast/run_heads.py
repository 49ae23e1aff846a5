"""What runs keep of the AI chain: each its own latest link."""

from __future__ import annotations

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from broadcast.models import Broadcast
from sessions_app import chain, chain_status, integrity
from sessions_app.chain import Operation
from sessions_app.models import AILink, AITransition, Chain, Session


def _hold_run(session: Session, operation: Operation) -> None:
    """Take the run before the chain, as everywhere, for ``_note_run`` writes it afterwards."""
    if operation.run_number is not None:
        rows = Broadcast.objects.select_for_update(no_key=True)
        rows.filter(session=session, number=operation.run_number).values_list("pk").first()


def _note_run(link: AILink, _chain: Chain) -> None:
    if link.run_number is not None:
        run = Broadcast.objects.filter(session=link.session_id, number=link.run_number)
        run.update(ai_head=link)


def _astray(session: Session) -> QuerySet[Broadcast]:
    """Runs that do not keep their latest link, which stands in ``true_head``."""
    own = AILink.objects.filter(session=OuterRef("session"), run_number=OuterRef("number"))
    runs = Broadcast.objects.filter(session=session)
    runs = runs.annotate(true_head=Subquery(own.order_by("-number").values("pk")[:1]))
    both = Q(ai_head=F("true_head")) | Q(ai_head=None, true_head=None)
    return runs.exclude(both)


def _runs_agree(session: Session) -> list[str]:
    """What is wrong with the heads that runs keep."""
    numbers = _astray(session).order_by("number").values_list("number", flat=True)
    return [f"run {number} does not keep its latest link" for number in numbers]


def _put_right(session: Session) -> str:
    numbers = list(_astray(session).order_by("number").values_list("number", flat=True))
    if not numbers:
        return ""
    # Locked first and read again: an operation that joins meanwhile has its run, too.
    runs = Broadcast.objects.filter(session=session, number__in=numbers)
    list(runs.select_for_update(no_key=True).order_by("number").values_list("pk"))
    for run in _astray(session).filter(number__in=numbers):
        Broadcast.objects.filter(pk=run.pk).update(ai_head=run.true_head)  # type: ignore[attr-defined]
    named = ", ".join(map(str, numbers))
    return f"Run {named} lost its latest link of the AI chain; it is put right."


def register() -> None:
    chain.before_join(_hold_run)
    chain.on_join(_note_run)
    chain.on_recover(_put_right)
    chain_status.register_check(_runs_agree)
    for model in (AILink, AITransition):
        integrity.agree(model, "run_number", Broadcast, "number")
