"""Topics: how a higher package subscribes to what a lower package does, in the same transaction.

The lower module declares a topic and sends it. A higher module subscribes in its ``register()``, so
that the lower one need not import it. A subscriber that raises undoes the whole transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")


class Topic(Generic[P]):
    """Calls its subscribers, in the order in which they subscribed, whenever it is sent."""

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning
        self._subscribers: list[Callable[P, object]] = []
        _topics[name] = self

    def subscribe(self, function: Callable[P, object]) -> None:
        """Calls ``function`` whenever the topic is sent, after the earlier subscribers."""
        self._subscribers.append(function)

    def send(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Calls all subscribers with these arguments."""
        # Errors are not caught: the event and what follows from it are stored together or not at
        # all.
        for function in self._subscribers:
            function(*args, **kwargs)

    def subscribers(self) -> list[str]:
        """Returns the modules that subscribed, in the order in which they are called."""
        return [function.__module__ for function in self._subscribers]


_topics: dict[str, Topic[...]] = {}


def topics() -> list[Topic[...]]:
    """Returns the topics that have subscribers, by name."""
    return [topic for _, topic in sorted(_topics.items()) if topic.subscribers()]
