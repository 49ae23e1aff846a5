"""The producer without a model: answers by rules, and says what it can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        wanted = [(each, _reason(inquiry.session, each)) for each in rules.wanted(inquiry)]
        fit = tuple(each for each, reason in wanted if not reason)
        reasons = [reason for _, reason in wanted if reason]
        text = f"{self._note} {_said(inquiry, fit, reasons)}".strip()
        on_text(text)
        return Reply(text, fit)


def _said(inquiry: Inquiry, fit: Sequence[Wanted], reasons: Sequence[str]) -> str:
    """What is understood, and why some of it cannot be; else the answer to a question."""
    if fit or reasons:
        return " ".join([PLANNED, *reasons] if fit else reasons)
    return questions.answered(inquiry) or questions.HELP


def _reason(session: Session, wanted: Wanted) -> str:
    """Why something cannot be proposed; "" when it can."""
    try:
        plans.checked(session, *wanted)
    except SmnbError as error:
        return error.sentence
    return ""
