"""Who answers for the producer: a model when there is a key and money, else rules."""

from __future__ import annotations

from threading import Event

from broadcast.chat.inquiry import Answerer
from broadcast.chat.model import ModelAnswerer
from broadcast.chat.offline import RuleAnswerer
from broadcast.narrators.choice import EXTRACTIVE
from sessions_app.models import Session
from stories import keys, usage
from stories.ledger_types import Ledger
from stories.llm import Gateway

SPENT = "The budget is spent, so I answer by rules alone until there is money again."


def answerer_for(session: Session, ledger: Ledger, ended: Event) -> Answerer:
    """The session's answerer; NeedsHuman when there is a key that cannot be used.

    It asks with the key of the session's owner, else with the operator's. Setting ``ended`` hangs
    up on the model at once.
    """
    if session.model == EXTRACTIVE:
        return RuleAnswerer()
    found = keys.anthropic_of(session.owner)
    if found is None:
        return RuleAnswerer()
    if usage.over_budget(session):
        return RuleAnswerer(SPENT)
    return ModelAnswerer(Gateway(found, ended=ended), ledger, session.model)
