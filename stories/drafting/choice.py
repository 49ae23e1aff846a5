"""Who plays the agents of a session: a model when there is a key, else the rules."""

from __future__ import annotations

from threading import Event

from sessions_app.errors import NeedsHuman
from sessions_app.models import Session
from stories import keys, usage
from stories.drafting.agents import Agent
from stories.drafting.model import ModelAgent
from stories.drafting.offline import NAME, OfflineAgent
from stories.ledger_types import Ledger
from stories.llm import Gateway

LONGEST = 75.0  # seconds of one answer, within the 90 of a step
SPENT = "The session's budget is spent. Raise it in the Session Manager, and the draft goes on."


def agent_for(session: Session, ledger: Ledger, ended: Event) -> Agent:
    """The session's agent; NeedsHuman when its key cannot be used or its budget is spent.

    It asks with the key of the session's owner, else with the operator's. Setting ``ended`` hangs
    up on the model at once.
    """
    if session.model == NAME:
        return OfflineAgent()
    found = keys.anthropic_of(session.owner)
    if found is None:
        return OfflineAgent()
    if usage.over_budget(session):
        raise NeedsHuman(SPENT, code="budget")
    return ModelAgent(Gateway(found, deadline=LONGEST, ended=ended), ledger, session.model)
