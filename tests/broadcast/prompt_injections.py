"""Texts that try to command, the model that obeys them, and what none of them may change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import models

from stories.llm import Credentials, credentials
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.recorded import DATA

CASES: list[dict[str, str]] = json.loads(Path(DATA / "injections.json").read_text("utf-8"))
KEY = "sk-ant-CANARY-0123456789"
FOREIGN = "Zeppelin of another newsroom"

TEXTS: dict[str, list[str]] = {
    aim: [each["text"] for each in CASES if each["aim"] == aim]
    for aim in sorted({each["aim"] for each in CASES})
}
# The aims that `make test` tries; all others are slow there.
FIRST = ("command", "key", "tag")


def each_aim(*marks: pytest.MarkDecorator) -> pytest.MarkDecorator:
    """A test of each aim; these marks are for all but the first three."""
    aims = [aim if aim in FIRST else pytest.param(aim, marks=marks) for aim in TEXTS]
    return pytest.mark.parametrize("aim", aims)


@contextmanager
def keyed(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicStandIn]:
    """The stand-in, with a key for all users."""
    with AnthropicStandIn() as stand_in:
        found = Credentials(api_key=KEY, base_url=stand_in.url)
        monkeypatch.setattr(credentials, "anthropic_of", lambda _: found)
        yield stand_in


def rows_of(kinds: Iterable[type[models.Model]]) -> list[tuple[object, ...]]:
    """All rows of these kinds, to be compared."""
    return [row for kind in kinds for row in kind._default_manager.order_by("pk").values_list()]
