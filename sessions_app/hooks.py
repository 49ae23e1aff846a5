"""The bus: what happens in one place, and who hears of it elsewhere, in the same transaction.

A topic is declared where the thing happens and subscribed to in the ``register()`` of whoever wants
to hear of it; so the lower module need not know the higher one. Whoever raises undoes it all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Topic(Generic[P]):
    """Something that happens. Call it with a function to subscribe; ``tell`` calls them all."""

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning
        self._heard_by: list[Callable[P, object]] = []
        _topics[name] = self

    def __call__(self, function: Callable[P, object]) -> None:
        """Have ``function`` called whenever it happens, after those that subscribed before."""
        self._heard_by.append(function)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for function in self._heard_by:
            function(*args, **kwargs)

    def listeners(self) -> list[str]:
        """The modules that hear of it, in the order in which they do."""
        return [function.__module__ for function in self._heard_by]


_topics: dict[str, Topic[...]] = {}


def topics() -> list[Topic[...]]:
    """All that somebody hears of, by name."""
    return [topic for _, topic in sorted(_topics.items()) if topic.listeners()]
