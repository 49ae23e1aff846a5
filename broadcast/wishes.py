"""What a person can have done with the interests of a session, as commands."""

from __future__ import annotations

from broadcast import airing
from sessions_app import commands
from sessions_app.commands import Call
from stories import interests
from stories.models import Interest


def want(call: Call) -> Interest:
    # The run before the posts and the counters, as everywhere: no post is read meanwhile.
    airing.live_run(call.target)
    return interests.want(call.target, call.payload.text, call.payload.weight)


def drop(call: Call) -> Interest:
    airing.live_run(call.target)
    return interests.drop(call.target, call.payload.interest)


def register() -> None:
    for name, payload, function, meaning in (
        ("interest.set", interests.NewInterest, want, "Lift or lower the posts with these words."),
        ("interest.drop", interests.InterestId, drop, "Take an interest back."),
    ):
        commands.register(name, payload, function, meaning)
