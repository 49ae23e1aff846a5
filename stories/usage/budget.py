"""The budget of a session: what it has spent, and the warning before it is spent."""

from __future__ import annotations

from sessions_app.events import recorder
from sessions_app.models import Session, SessionStats
from sessions_app.money import dollars
from sessions_app.sessions import used_percent

# Early enough for the owner to raise the budget before narration pauses.
WARN_AT = 80  # per cent of the budget
WARNING = "budget_warning"


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
