"""Deaths of a studio's processes at random, by a seed."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress

from tests.endtoend.studio_process import Studio

WORKERS = ("control,producer", "host,drafting")


class Killer:
    """Kills one process at a time, as no process can notice beforehand."""

    def __init__(self, studio: Studio, chance: random.Random, victims: tuple[str, ...]) -> None:
        self.studio, self.chance, self.victims = studio, chance, victims
        self.killed = 0

    def strike(self) -> None:
        """Kill a process of one kind, if one runs."""
        kind = self.chance.choice(self.victims)
        found = [pid for pid, line in self.studio.children().items() if kind in line]
        if found:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(sorted(found)), signal.SIGKILL)
            self.killed += 1
