"""Whose turn it is: follows from what was handed over so far, and from nothing else.

Research, outline and its review, text; then at most three rounds of review, the expert, and if the
expert wants a change, one more text and the last word. Nobody ever speaks twice in a row, and no
draft takes more than ``MOST_TURNS``.

The checkpoints at a third and at two thirds of a draft's way, told from its turns and versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stories.drafting import drafts
from stories.models import Draft, DraftMessage

Role, Kind = DraftMessage.Role, DraftMessage.Kind

Phase = Draft.Phase


ROUNDS = 3

MOST_TURNS = 12


@dataclass(frozen=True, slots=True)
class Said:
    """A turn that was taken: its kind, and for a review or a verdict the decision."""

    kind: str
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """The next turn; ``settles``: the expert has to decide, nobody is asked after it."""

    role: str
    kind: str
    phase: str
    settles: bool = False


_EXPERT = Turn(Role.EXPERT, Kind.VERDICT, Phase.FINAL)

_SETTLES = Turn(Role.EXPERT, Kind.VERDICT, Phase.FINAL, settles=True)


def next_turn(said: Sequence[Said]) -> Turn | None:
    """The turn after these; None when the draft is finished."""
    if not said:
        return Turn(Role.RESEARCHER, Kind.RESEARCH, Phase.RESEARCH)
    kinds = [each.kind for each in said]
    match said[-1].kind:
        case Kind.RESEARCH:
            return Turn(Role.WRITER, Kind.OUTLINE, Phase.OUTLINE)
        case Kind.OUTLINE:
            return Turn(Role.READER, Kind.REVIEW, Phase.OUTLINE)
        case Kind.TEXT if Kind.VERDICT in kinds:
            return _SETTLES
        case Kind.TEXT:
            return Turn(Role.READER, Kind.REVIEW, Phase.REVIEW)
        case Kind.REVIEW:
            return _after_review(said[-1].decision, kinds)
    if said[-1].decision == "approve":
        return None
    return Turn(Role.WRITER, Kind.TEXT, Phase.FINAL)


def _after_review(decision: str, kinds: list[str]) -> Turn:
    if Kind.TEXT not in kinds:
        return Turn(Role.WRITER, Kind.TEXT, Phase.WRITING)
    if decision == "approve":
        return _EXPERT
    rounds = kinds[kinds.index(Kind.TEXT) :].count(Kind.REVIEW)
    return _SETTLES if rounds >= ROUNDS else Turn(Role.WRITER, Kind.TEXT, Phase.REVIEW)


def said_in(message: DraftMessage) -> Said:
    return Said(message.kind, str(message.payload.get("decision", "")))


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
        following = next_turn(taken)
        phase = following.phase if following else drafts.Phase.DONE
        while ahead and drafts.BEGINS[drafts.Phase(phase)] >= ahead[0]:
            yield ahead.pop(0), turn


def _written(version: Shown, turn: Shown) -> bool:
    """Whether the version was there when the turn was stored; its own text is stored with it."""
    return bool(version["number"] == turn["payload"].get("version") or version["at"] <= turn["at"])
