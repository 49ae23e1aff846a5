"""Asking the session's model for what can be had without it: by rules, at no cost."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import structlog

from broadcast.narrators.choice import gateway_for
from sessions_app.errors import NeedsHuman
from sessions_app.steps import Claim
from stories import usage
from stories.llm import Answer, Ask, EmptyAnswer, Refused
from stories.usage import SessionLedger

log = structlog.get_logger(__name__)


def fresh_tag() -> str:
    """A name for the block of quoted material that nobody can guess."""
    return f"told-{secrets.token_hex(8)}"


def answer(claim: Claim, ledger: SessionLedger, ask: Callable[[], Ask]) -> Answer | None:
    """The model's answer, booked in ``ledger``; None where rules have to do instead.

    That is so without a model, a usable key or money, and where the model gives no answer. Whether
    a key is usable is said where stories are narrated. Raises Retry and WaitUntil.
    """
    if usage.over_budget(claim.session):
        return None
    try:
        gateway = gateway_for(claim.session, claim.lost)
        if gateway is None:
            return None
        return gateway.stream(ask(), ledger, lambda _: claim.check())
    except (Refused, EmptyAnswer, NeedsHuman) as error:
        log.info("done_by_rule", code=error.code)
        return None
