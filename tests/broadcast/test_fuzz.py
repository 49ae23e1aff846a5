"""Damaged feeds, archives and messages: none is an error of the product."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from sessions_app import sessions
from sessions_app.models import Session
from tests.broadcast.fuzz_inputs import bring_in, read_feeds, send_messages
from tests.broadcast.session_with_history import Bring, archive_of_a_past


def test_a_damaged_feed_is_read_or_refused() -> None:
    assert read_feeds(range(6)) > 30


@pytest.mark.django_db
@pytest.mark.slow
def test_a_damaged_archive_comes_in_whole_or_not_at_all(session: Session, bring: Bring) -> None:
    assert bring_in(archive_of_a_past(session), bring, range(40)) > 12


@pytest.mark.django_db(transaction=True)
async def test_a_damaged_message_ends_no_socket_by_an_error(session: Session) -> None:
    shown = await sync_to_async(sessions.show)(session, True)
    await send_messages(f"/ws/watch/{shown.watch_token}/", range(4))
