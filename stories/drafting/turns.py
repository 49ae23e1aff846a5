"""The order of turns, which follows from the hand-overs so far and from nothing else.

Research, outline and its review, text; then at most three rounds of review, then the expert; if the
expert asks for a change, one more text and a final verdict. No agent takes two turns in a row, and
no draft takes more than ``MOST_TURNS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import TypedDict

from stories.drafting import drafts
from stories.drafting.drafts import DraftMessagePayload
from stories.drafting.versions import DraftVersionPayload
from stories.models import Draft, DraftMessage

Role, Kind = DraftMessage.Role, DraftMessage.Kind
Phase = Draft.Phase

ROUNDS = 3
MOST_TURNS = 12


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A finished turn: its kind and, for a review or a verdict, the decision."""

    kind: str
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """The next turn; with ``settles`` the expert must decide, because no turn follows."""

    role: str
    kind: str
    phase: str
    settles: bool = False


def next_turn(past: Sequence[PastTurn]) -> Turn | None:
    """Returns the turn that follows these; None when the draft is finished."""
    if not past:
        return Turn(Role.RESEARCHER, Kind.RESEARCH, Phase.RESEARCH)
    expert = Turn(Role.EXPERT, Kind.VERDICT, Phase.FINAL)
    last_word = Turn(Role.EXPERT, Kind.VERDICT, Phase.FINAL, settles=True)
    kinds = [turn.kind for turn in past]
    approved = past[-1].decision == "approve"
    match past[-1].kind:
        case Kind.RESEARCH:
            return Turn(Role.WRITER, Kind.OUTLINE, Phase.OUTLINE)
        case Kind.OUTLINE:
            return Turn(Role.READER, Kind.REVIEW, Phase.OUTLINE)
        # The expert asked for this text and now has the last word.
        case Kind.TEXT if Kind.VERDICT in kinds:
            return last_word
        case Kind.TEXT:
            return Turn(Role.READER, Kind.REVIEW, Phase.REVIEW)
        case Kind.REVIEW if Kind.TEXT not in kinds:
            # The outline was reviewed. It is not revised: the writer heeds the remarks in the text.
            return Turn(Role.WRITER, Kind.TEXT, Phase.WRITING)
        case Kind.REVIEW if approved:
            return expert
        case Kind.REVIEW:
            rounds = kinds[kinds.index(Kind.TEXT) :].count(Kind.REVIEW)
            return last_word if rounds >= ROUNDS else Turn(Role.WRITER, Kind.TEXT, Phase.REVIEW)
    return None if approved else Turn(Role.WRITER, Kind.TEXT, Phase.FINAL)


def past_turn(message: DraftMessage) -> PastTurn:
    return PastTurn(message.kind, str(message.payload.get("decision", "")))


class Milestone(TypedDict):
    """A milestone as the page of a draft shows it: the turn that reached it, and the length then."""

    percent: int
    turn: int
    words: int
    wanted: int


def milestones_passed(
    messages: Sequence[DraftMessagePayload], versions: Sequence[DraftVersionPayload], wanted: int
) -> list[Milestone]:
    """Returns the milestones that the draft has passed, in order.

    ``messages`` are the turns, oldest first, and ``versions`` the versions, newest first. ``words``
    is the length of the latest version at that time, ``wanted`` the ordered length.
    """
    passed: list[Milestone] = []
    ahead = list(drafts.MILESTONES)
    past: list[PastTurn] = []
    for message in messages:
        past.append(PastTurn(message["kind"], str(message["payload"].get("decision", ""))))
        following = next_turn(past)
        begins = drafts.BEGINS[Phase(following.phase) if following else Phase.DONE]
        while ahead and begins >= ahead[0]:
            # A turn and its own version are stored together, so their times are too close to tell.
            own_version = message["payload"].get("version")
            words = next(
                (
                    version["word_count"]
                    for version in versions
                    if version["number"] == own_version or version["at"] <= message["at"]
                ),
                0,
            )
            passed.append(
                {"percent": ahead.pop(0), "turn": message["turn"], "words": words, "wanted": wanted}
            )
    return passed
