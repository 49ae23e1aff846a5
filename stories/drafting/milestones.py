"""The checkpoints at a third and at two thirds of a draft's way, told from its turns and versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stories.drafting import drafts, turns
from stories.drafting.turns import Said

Shown = dict[str, Any]


def passed(said: Sequence[Shown], versions: Sequence[Shown], wanted: int) -> list[Shown]:
    """The milestones that were passed, the first one first, with the turn after which it was so.

    ``said`` are the draft's turns, the oldest first, and ``versions`` its versions, the newest
    first, both as pages show them; ``words`` had the latest version then, of those ``wanted``.
    """
    found: list[Shown] = []
    for percent, turn in _turns(said):
        by_then = [each for each in versions if _written(each, turn)]
        words = by_then[0]["word_count"] if by_then else 0
        found.append({"percent": percent, "turn": turn["turn"], "words": words, "wanted": wanted})
    return found


def _turns(said: Sequence[Shown]) -> Iterator[tuple[int, Shown]]:
    """Each milestone with the turn that brought the draft to it."""
    ahead = list(drafts.MILESTONES)
    for number, turn in enumerate(said, 1):
        taken = [Said(each["kind"], each["payload"].get("decision", "")) for each in said[:number]]
        following = turns.following(taken)
        phase = following.phase if following else drafts.Phase.DONE
        while ahead and drafts.BEGINS[drafts.Phase(phase)] >= ahead[0]:
            yield ahead.pop(0), turn


def _written(version: Shown, turn: Shown) -> bool:
    """Whether the version was there when the turn was stored; its own text is stored with it."""
    return bool(version["number"] == turn["payload"].get("version") or version["at"] <= turn["at"])
