"""The agents with a model of Anthropic's behind them: one question a turn, one typed answer.

Who plays the agents of a session: a model when there is a key, else the rules.
"""

from __future__ import annotations

import json
import re
import secrets
from threading import Event
from typing import Any

from pydantic import ValidationError

from sessions_app.errors import NeedsHuman
from sessions_app.models import Session
from stories.drafting import prompts
from stories.drafting.agents import SHAPES, Agent, BadHandover, Handover, OnText, Role, Task, plain
from stories.drafting.offline_agent import OfflineAgent
from stories.llm import Gateway, gateway_for
from stories.usage import ledger as usage_ledger
from stories.usage.types import Ledger

_OPENING = re.compile(r'\s*\{\s*"text"\s*:\s*"')

_STRING = re.compile(r'(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')

_HALF = re.compile(r"[\ud800-\udfff]")

_WORD = re.compile(r"\w+")

_RUN = 9  # words in a row that give the rules away


class ModelAgent:
    """All four agents, played by ``model``; every question is booked in ``ledger``.

    Besides what every agent raises: BadHandover, Refused (also PromptTooLong) and EmptyAnswer.
    """

    model = ""

    def __init__(self, gateway: Gateway, ledger: Ledger, model: str) -> None:
        self._gateway, self._ledger, self._model = gateway, ledger, model

    def take(self, task: Task, on_text: OnText) -> Handover:
        tag = f"desk-{secrets.token_hex(8)}"
        ask = prompts.ask_for(task, self._model, tag)

        def follow(text: str) -> None:
            so_far = plain(text_so_far(text), 24_000)
            on_text("" if gives_away(so_far) else so_far)

        return handover_of(task, self._gateway.stream(ask, self._ledger, follow).text)


def text_so_far(answer: str) -> str:
    """The value of "text", which comes first, as far as the answer goes."""
    opening = _OPENING.match(answer)
    if opening is None:
        return ""
    said = _STRING.match(answer, opening.end())
    found: str = json.loads(f'"{said[0] if said else ""}"', strict=False)
    return _HALF.sub("", found)


def handover_of(task: Task, answer: str) -> Handover:
    """The answer as its type; BadHandover for anything else."""
    try:
        said: Any = json.loads(answer[answer.find("{") : answer.rfind("}") + 1], strict=False)
        handover = SHAPES[task.kind].model_validate(_whole(said))
    except (ValueError, RecursionError, ValidationError) as error:
        raise BadHandover(_NOT_OURS.format(role=task.role)) from error
    if gives_away(json.dumps(handover.model_dump(), ensure_ascii=False)):
        raise BadHandover(_NOT_OURS.format(role=task.role))
    return handover


_NOT_OURS = "The {role} answered with something else than was asked for. It is asked again."


def _whole(said: Any) -> Any:
    """Without halves of characters, which no database keeps."""
    return json.loads(_HALF.sub("", json.dumps(said, ensure_ascii=False)).replace("\\u0000", ""))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)}


_RULES = set().union(*(_runs(prompts.system_of(role)) for role in Role.values))


def gives_away(text: str) -> bool:
    """Whether a text repeats the rules that the agents are given."""
    return not _RULES.isdisjoint(_runs(text))


LONGEST = 75.0  # seconds of one answer, within the 90 of a step

SPENT = "The session's budget is spent. Raise it in the Session Manager, and the draft goes on."


def agent_for(session: Session, ledger: Ledger, ended: Event) -> Agent:
    """Returns the session's agent; raises NeedsHuman when its key is unusable or its budget spent."""
    gateway = gateway_for(session, ended, LONGEST)
    if gateway is None:
        return OfflineAgent()
    if usage_ledger.over_budget(session):
        raise NeedsHuman(SPENT, code="budget")
    return ModelAgent(gateway, ledger, session.model)
