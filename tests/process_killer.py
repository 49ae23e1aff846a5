"""Deaths of a studio's processes at random, by a seed, never so many that the studio gives up."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import deque
from contextlib import suppress

from tests.endtoend.studio_process import Studio

WORKERS = ("control,producer", "host,drafting")
MINUTE, MOST = 60.0, 3  # the studio ends when one child dies five times in a minute


class Killer:
    """Kills one process at a time, as no process can notice beforehand."""

    def __init__(self, studio: Studio, chance: random.Random, victims: tuple[str, ...]) -> None:
        self.studio, self.chance = studio, chance
        self.killed = 0
        self._deaths: dict[str, deque[float]] = {victim: deque() for victim in victims}

    def strike(self) -> None:
        """Kill a process of a kind of which not too many died of late."""
        at = time.monotonic()
        for deaths in self._deaths.values():
            while deaths and deaths[0] < at - MINUTE:
                deaths.popleft()
        spared = [kind for kind, deaths in self._deaths.items() if len(deaths) < MOST]
        kind = self.chance.choice(spared) if spared else ""
        found = [pid for pid, line in self.studio.children().items() if kind and kind in line]
        if found:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(sorted(found)), signal.SIGKILL)
            self._deaths[kind].append(at)
            self.killed += 1
