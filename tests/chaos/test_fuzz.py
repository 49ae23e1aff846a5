"""Many damaged feeds, archives and messages (tests/broadcast/fuzz_inputs.py), each by its seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from broadcast.transfer import importer
from sessions_app import sessions
from sessions_app.models import Session
from tests.broadcast.fuzz_inputs import bring_in, read_feeds, send_messages
from tests.broadcast.session_with_history import archive_of_a_past


def test_damaged_feeds_are_read_or_refused() -> None:
    assert read_feeds(range(100, 200)) > 500


@pytest.mark.django_db
def test_damaged_archives_come_in_whole_or_not_at_all(
    session: Session, owner: User, tmp_path: Path
) -> None:
    def bring(data: bytes) -> Session:
        path = tmp_path / "session.zip"
        path.write_bytes(data)
        return importer.import_file(path, owner).session

    assert bring_in(archive_of_a_past(session), bring, range(100, 400)) > 100


@pytest.mark.django_db(transaction=True)
async def test_damaged_messages_end_no_socket_by_an_error(session: Session) -> None:
    shown = await sync_to_async(sessions.show)(session, True)
    await send_messages(f"/ws/watch/{shown.watch_token}/", range(100, 200))
