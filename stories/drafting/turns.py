"""Whose turn it is: follows from what was handed over so far, and from nothing else.

Research, outline and its review, text; then at most three rounds of review, the expert, and if the
expert wants a change, one more text and the last word. Nobody ever speaks twice in a row, and no
draft takes more than ``MOST_TURNS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def following(said: Sequence[Said]) -> Turn | None:
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
