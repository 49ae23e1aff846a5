"""The producer without a model: answers by rules, and says what it can do."""

from __future__ import annotations

from collections.abc import Callable

from broadcast.chat import plans, questions, rules
from broadcast.chat.inquiry import Inquiry, Reply, Wanted
from sessions_app.errors import SmnbError
from sessions_app.models import Session

PLANNED = "This is what I understand. Nothing changes until you press Apply."


class RuleAnswerer:
    """Asks nobody and costs nothing; ``note`` is said first, e.g. why no model is asked."""

    model = "extractive"

    def __init__(self, note: str = "") -> None:
        self._note = note

    def answer(self, inquiry: Inquiry, on_text: Callable[[str], None]) -> Reply:
        wanted = rules.wanted(inquiry)
        text = f"{self._note} {_said(inquiry, wanted)}".strip()
        on_text(text)
        return Reply(text, tuple(wanted))


def _said(inquiry: Inquiry, wanted: list[Wanted]) -> str:
    if not wanted:
        return questions.answered(inquiry) or questions.HELP
    reasons = list(filter(None, (_reason(inquiry.session, each) for each in wanted)))
    if len(reasons) == len(wanted):
        return " ".join(reasons)
    return " ".join([PLANNED, *reasons])


def _reason(session: Session, wanted: Wanted) -> str:
    """Why something cannot be proposed; "" when it can."""
    try:
        plans.checked(session, *wanted)
    except SmnbError as error:
        return error.sentence
    return ""
