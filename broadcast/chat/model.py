"""The producer with a model of Anthropic's behind it: one question, one structured answer."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

from broadcast.chat import plans, prompt
from broadcast.chat.conversation import MOST_TEXT
from broadcast.chat.inquiry import Inquiry, Reply, Wanted
from broadcast.narrators.base import whole_sentences
from broadcast.narrators.partial_json import parsed, said_so_far
from stories.ledger_types import Ledger
from stories.llm import Answer, EmptyAnswer, Gateway
from stories.text import clean_text

LONGEST = 1500  # characters of a reply
_RUN = 8  # words in a row that give the rules away
_WORD = re.compile(r"\w+")
_TAG = re.compile(r"(?:<|\\u003c)?/?facts-[0-9a-f]{8,}(?:>|\\u003e)?", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,15}://|\bwww\.)[^\s<>\"'()\[\]]+", re.IGNORECASE)
WITHHELD = "I would rather not say that. Ask me about the broadcast."


class ModelAnswerer:
    """Answers with ``model``; every question is booked in ``ledger``.

    Besides what every answerer raises: Refused (also PromptTooLong) and EmptyAnswer.
    """

    def __init__(self, gateway: Gateway, ledger: Ledger, model: str) -> None:
        self._gateway, self._ledger = gateway, ledger
        self.model = model

    def answer(self, inquiry: Inquiry, on_text: Callable[[str], None]) -> Reply:
        tag = f"facts-{secrets.token_hex(8)}"
        shown = ""

        def follow(text: str) -> None:
            nonlocal shown
            so_far = reviewed(said_so_far(text, "reply"))
            if so_far == WITHHELD or len(so_far) > len(shown):
                shown = so_far
            if shown:
                on_text(shown)

        ask = prompt.ask_for(inquiry, self.model, tag)
        return reply_of(self._gateway.stream(ask, self._ledger, follow))


def reply_of(answer: Answer) -> Reply:
    """What the model said, fit to be shown; EmptyAnswer where nothing is left."""
    text = reviewed(said_so_far(answer.text, "reply"))
    if not answer.complete:
        text = whole_sentences(text) or text
    said = parsed(answer.text, "reply") or {}
    wanted = _wanted(said.get("plan"))
    if not text and not wanted:
        raise EmptyAnswer("The model's answer holds nothing to say. Please ask again.")
    return Reply(text or "This is what I would do.", wanted)


def reviewed(text: str) -> str:
    """A reply without tags and addresses; none of it where it repeats the rules it was given."""
    plain = clean_text(_TAG.sub("", text)[: MOST_TEXT * 4], LONGEST)
    plain = _TAG.sub("", _ADDRESS.sub("", plain)).strip()
    return WITHHELD if _gives_away(plain) else plain


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)}


_RULES = _runs(prompt.SYSTEM)


def _gives_away(text: str) -> bool:
    return not _RULES.isdisjoint(_runs(text))


def _wanted(plan: Any) -> tuple[Wanted, ...]:
    items = plan if isinstance(plan, list) else []
    named = [each for each in items[: 2 * plans.MOST] if isinstance(each, dict)]
    return tuple(_command(each) for each in named)


def _command(item: dict[str, Any]) -> Wanted:
    """A command with those of its fields that it has; what is not ours stays and is refused later."""
    name = str(item.get("command", ""))[:40]
    fields = {
        each: item[each] for each in prompt.FIELDS.get(name, ()) if item.get(each) is not None
    }
    if name == "session.change":
        return name, {"settings": fields}
    return name, fields | ({"on": True} if name == "story.bookmark" else {})
