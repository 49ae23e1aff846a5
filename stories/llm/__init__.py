"""The only way to ask a model: one streamed request to Anthropic, one row in the ledger."""

from stories.llm.credentials import EXTRACTIVE, count_models, gateway_for
from stories.llm.errors import EmptyAnswer, PromptTooLong, Refused
from stories.llm.gateway import Gateway
from stories.llm.types import Answer, Ask, Credentials, Turn

__all__ = [
    "EXTRACTIVE",
    "Answer",
    "Ask",
    "Credentials",
    "EmptyAnswer",
    "Gateway",
    "PromptTooLong",
    "Refused",
    "Turn",
    "count_models",
    "gateway_for",
]
