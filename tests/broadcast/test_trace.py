"""The flow inspector: the way of every story is told, and what breaks it is named."""

from __future__ import annotations

import pytest

from broadcast.trace import listing
from tests.broadcast.hearing import tell
from tests.conftest import MakeSession

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


def test_what_was_told_from_a_post_is_intact(make_session: MakeSession) -> None:
    session = make_session(model="extractive")
    tell(session, 3)
    for trace in listing.latest(session, 9):
        print(trace.story, [(h.name, h.state, h.at, h.seq, h.air, h.problem) for h in trace.hops])
        assert trace.verdict == "INTACT"
