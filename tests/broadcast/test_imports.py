"""Imports: what was exported comes in again, once, whole, and as sound as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from broadcast.transfer import formats, importing
from broadcast.transfer.tables import TABLES
from sessions_app import audits
from sessions_app.models import Session
from tests.broadcast.told import with_a_past

pytestmark = pytest.mark.django_db


def exported(session: Session, format_: str = "zip") -> bytes:
    return b"".join(formats.stream(session, formats.get(format_)))


@pytest.fixture
def brought(tmp_path: Path) -> Any:
    def bring(data: bytes, owner: User) -> importing.Brought:
        path = tmp_path / "session.zip"
        path.write_bytes(data)
        return importing.bring(path, owner)

    return bring


def ranks(text: dict[str, Any]) -> dict[str, dict[int, int]]:
    """By table: the place of each id, which is what ids come to when they are put aside."""
    return {
        table.name: {row["id"]: at for at, row in enumerate(text[table.name])}
        for table in TABLES
        if table.key == "id"
    }


def test_export_import_export_is_the_same_but_for_ids(
    session: Session, owner: User, brought: Any
) -> None:
    first = json.loads(exported(with_a_past(session), "json"))
    copy = brought(exported(session), owner).session
    second = json.loads(exported(copy, "json"))
    for table in TABLES:
        print(table.name, len(first[table.name]), len(second[table.name]))
    assert list(audits.run()) == []
