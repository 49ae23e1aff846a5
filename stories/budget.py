"""How much of a session's budget is spent; what is uncertain counts as spent."""

from __future__ import annotations

from sessions_app import events
from sessions_app.lifecycle import PICO, used_percent
from sessions_app.models import Session

WARN_AT = 80  # per cent
WARNING = "budget_warning"


def warn_if_crossed(session: Session, before_upper: int, after_upper: int) -> None:
    """Warn the owner when a booking brings the spending over 80 % of the budget.

    The amounts are the session's upper bound before and after it, in 10⁻¹² USD. Call it in the
    booking's transaction, after its event.
    """
    if session.budget is None:
        return
    before, after = (used_percent(each, session.budget) for each in (before_upper, after_upper))
    if before < WARN_AT <= after:
        events.say(session, "system", _sentence(after, after_upper, session.budget), WARNING)


def _sentence(percent: int, spent: int, budget: int) -> str:
    return (
        f"{percent} % of the budget is used: {_usd(spent)} of {_usd(budget)}. "
        "When all of it is spent, narration pauses until you raise it in the Session Manager."
    )


def _usd(pico: int) -> str:
    return f"${pico / PICO:,.4f}"
