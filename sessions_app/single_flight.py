"""Values that are costly to make, made once for all threads that ask at the same time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class SingleFlight(Generic[V]):
    """Stores the ``most`` values made last; an error is raised to all who wait and is not stored."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._asked: dict[Hashable, Future[V]] = {}
        self._storing = Lock()

    def stored(self, key: Hashable) -> V | None:
        """Returns the value if it was made."""
        return self._values.get(key)

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Returns the stored value, or calls ``make`` while other threads wait for its result."""
        if (value := self.stored(key)) is not None:
            return value
        own: Future[V] = Future()
        # One operation of the dictionary, so that of two threads one makes the value.
        asked = self._asked.setdefault(key, own)
        if asked is not own:
            return asked.result()
        try:
            # Another thread may have ended between the look above and this one's turn.
            if (value := self.stored(key)) is None:
                value = make()
                with self._storing:
                    self._values[key] = value
                    while len(self._values) > self.most:
                        self._values.popitem(last=False)
            own.set_result(value)
        except BaseException as error:
            own.set_exception(error)
            raise
        finally:
            del self._asked[key]
        return value
