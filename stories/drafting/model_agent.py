"""The agents played by one of Anthropic's models: one question a turn, one typed answer.

``agent_for`` chooses between a model and the offline agent.
"""

from __future__ import annotations

import json
import re
import secrets
from threading import Event

from pydantic import ValidationError

from sessions_app.errors import NeedsHuman
from sessions_app.models import Session
from stories.drafting import prompts
from stories.drafting.agents import (
    HANDOVER_TYPES,
    MOST_TEXT,
    Agent,
    BadHandover,
    Handover,
    OnText,
    Role,
    Task,
    plain,
)
from stories.drafting.offline_agent import OfflineAgent
from stories.llm import Gateway, gateway_for
from stories.usage import budget
from stories.usage.types import Ledger

LONGEST = 75.0  # seconds of one answer, within the 90 of a step
BUDGET_SPENT = (
    "The session's budget is spent. The draft resumes automatically when you raise the budget in the "
    "Session Manager."
)

# The schema puts "text" first, so it can be shown while the rest is still to come.
_TEXT_OPENING = re.compile(r'\s*\{\s*"text"\s*:\s*"')
# Possessive, so that a long answer is matched in linear time.
_STRING = re.compile(r'(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_WORD = re.compile(r"\w+")
_RULE_WORDS = 9  # consecutive words that count as a quotation of the rules


class ModelAgent:
    """Takes each turn with ``model``; every question is booked in ``ledger``.

    Besides what every agent raises: BadHandover, Refused (also PromptTooLong) and EmptyAnswer.
    """

    model = ""

    def __init__(self, gateway: Gateway, ledger: Ledger, model: str) -> None:
        self._gateway, self._ledger, self._model = gateway, ledger, model

    def take(self, task: Task, on_text: OnText) -> Handover:
        # New for each question, so that no text of a source can contain it.
        tag = f"desk-{secrets.token_hex(8)}"
        ask = prompts.ask_for(task, self._model, tag)

        def show(answer: str) -> None:
            def text() -> str:
                clean = plain(text_so_far(answer), MOST_TEXT)
                # Shown live before the answer is checked, so a quotation of the rules is hidden.
                return "" if gives_away(clean) else clean

            on_text(text)

        return handover_of(task, self._gateway.stream(ask, self._ledger, show).text)


def text_so_far(answer: str) -> str:
    """Returns the value of "text", which comes first, as far as the answer has arrived."""
    opening = _TEXT_OPENING.match(answer)
    if opening is None:
        return ""
    value = _STRING.match(answer, opening.end())
    # strict=False accepts line breaks inside a string, which models write.
    text: str = json.loads(f'"{value[0] if value else ""}"', strict=False)
    return _SURROGATE.sub("", text)


def handover_of(task: Task, answer: str) -> Handover:
    """Returns the answer as its type; BadHandover for anything else."""
    refusal = f"The {task.role}'s answer does not follow the given form. It is asked again."
    try:
        # Some models wrap JSON in a code block or a sentence.
        data = json.loads(answer[answer.find("{") : answer.rfind("}") + 1], strict=False)
        # No database can store half a surrogate pair, and PostgreSQL cannot store NUL.
        clean = _SURROGATE.sub("", json.dumps(data, ensure_ascii=False)).replace("\\u0000", "")
        handover = HANDOVER_TYPES[task.kind].model_validate(json.loads(clean))
    except (ValueError, RecursionError, ValidationError) as error:
        raise BadHandover(refusal) from error
    if gives_away(json.dumps(handover.model_dump(), ensure_ascii=False)):
        raise BadHandover(refusal)
    return handover


def _word_runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {
        tuple(words[start : start + _RULE_WORDS]) for start in range(len(words) - _RULE_WORDS + 1)
    }


_RULES = set().union(*(_word_runs(prompts.system_of(role)) for role in Role.values))


def gives_away(text: str) -> bool:
    """Returns whether a text quotes the rules that the agents are given."""
    return not _RULES.isdisjoint(_word_runs(text))


def agent_for(session: Session, ledger: Ledger, ended: Event) -> Agent:
    """Returns the session's agent; NeedsHuman when its key is not usable or its budget is spent.

    Setting ``ended`` closes the connection to the model at once.
    """
    gateway = gateway_for(session, ended, LONGEST)
    if gateway is None:
        return OfflineAgent()
    # Checked before each turn: another draft or the host may have spent the rest.
    if budget.over_budget(session):
        raise NeedsHuman(BUDGET_SPENT, code="budget")
    return ModelAgent(gateway, ledger, session.model)
