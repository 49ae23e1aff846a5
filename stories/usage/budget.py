"""The budget of a session: each call is reserved at its upper bound before it is made.

What is spent and what is reserved never exceed the budget together, whatever calls run at the same
time. An open row holds its reservation in ``cost_upper``; when it is closed, its cost replaces it.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import BooleanField, F, Sum
from django.db.models.expressions import RawSQL

from sessions_app.errors import NeedsHuman, Retry
from sessions_app.events import recorder
from sessions_app.models import Session, SessionStats
from sessions_app.money import dollars
from sessions_app.sessions import used_percent
from sessions_app.statements import Given, Prepared, insert
from stories.models import TokenUsage

# Early enough for the owner to raise the budget before narration pauses.
WARN_AT = 80  # per cent of the budget
WARNING = "budget_warning"
CODE = "budget"

# Literals, not parameters, because SQLite uses the partial index of open rows only then.
IS_OPEN = RawSQL("stories_tokenusage.state IN ('reserved', 'started')", [], BooleanField())

_BUDGET = Prepared(lambda: Session.objects.filter(pk=Given("session")).values_list("budget"))


def warn_if_crossed(session: Session, before_upper: int, after_upper: int) -> None:
    """Warns the owner when a booking brings the spending over 80 % of the budget.

    The amounts are the session's upper bound before and after it, in 10⁻¹² USD. Call it in the
    booking's transaction, after its event.
    """
    if session.budget is None:
        return
    before, after = (used_percent(spent, session.budget) for spent in (before_upper, after_upper))
    # Only the booking that crosses the line warns, so each budget gives one warning.
    if before < WARN_AT <= after:
        sentence = (
            f"{after} % of the budget is used: {dollars(after_upper)} of {dollars(session.budget)}. "
            "At 100 % narration pauses until you raise the budget in the Session Manager."
        )
        recorder.add_message(session, "system", sentence, WARNING)


def over_budget(session: Session) -> bool:
    """Whether the session has spent its budget, counting the upper bounds of its costs."""
    if session.budget is None:
        return False
    # Read from the database, because the caller's session may have been loaded minutes ago.
    spent = SessionStats.objects.values_list("cost_upper", flat=True).get(session=session)
    return spent >= session.budget


def reserve(row: TokenUsage, upper: int | None) -> None:
    """Inserts the row of a call that may cost up to ``upper`` (10⁻¹² USD; None: not known).

    Raises NeedsHuman where the call does not fit into the budget, and Retry where it will fit if
    the calls under way cost less than their upper bounds. Both have the code of a budget.
    """
    row.cost_upper = upper or 0
    session_id = row.session_id
    if _BUDGET.first(session=session_id) == (None,):
        insert(row)
        return
    with transaction.atomic():
        # The counters' row is the lock, as each booking takes it too. What is read after it was
        # locked includes every reservation and booking before; a condition in the same statement
        # would compare with the rows as they were before the wait.
        SessionStats.objects.filter(session=session_id).update(last_seq=F("last_seq"))
        stats = SessionStats.objects.select_related("session").get(session=session_id)
        _refuse_if_over(stats, row, upper)
        insert(row)


def _refuse_if_over(stats: SessionStats, row: TokenUsage, upper: int | None) -> None:
    limit, spent = stats.session.budget, stats.cost_upper
    if limit is None:
        return
    if upper is None:
        raise NeedsHuman(
            f"No price is known for the model “{row.model[:80]}”, so its calls cannot be limited by "
            "the budget. Choose another model, or remove the budget in the Session Manager.",
            code=CODE,
        )
    open_rows = TokenUsage.objects.filter(IS_OPEN, session=row.session_id)
    reserved = open_rows.aggregate(sum=Sum("cost_upper", default=0))["sum"]
    if spent + reserved + upper <= limit:
        return
    if spent + upper <= limit:
        raise Retry(
            "Calls under way may need the rest of the budget. It is tried again when they end.",
            code=CODE,
        )
    raise NeedsHuman(
        f"The next call may cost up to {dollars(upper)}, and {dollars(max(limit - spent, 0))} of the "
        "session's budget is left. Raise the budget in the Session Manager to continue.",
        code=CODE,
    )
