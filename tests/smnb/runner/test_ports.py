"""What the studio looks at before it starts anything: its port and its lock."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.db import connection

from sessions_app import constraints
from smnb.management.commands.studio import migrate_if_needed
from smnb.runner import first_run
from smnb.runner.first_run import AlreadyRunning, only_studio, port_is_free, port_taken_sentence
from stories.models import Source
from stories.search import index


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
    assert port_is_free("127.0.0.1", port)


def test_a_taken_port_is_one_plain_sentence_with_a_way_out() -> None:
    sentence = "Port 8000 is taken. Set PORT=8001 make run, or stop what uses it."
    assert port_taken_sentence(8000) == sentence


def test_the_last_port_points_to_one_that_exists() -> None:
    assert "PORT=65534" in port_taken_sentence(65_535)


def test_two_studios_do_not_share_a_data_folder(tmp_path: Path) -> None:
    with only_studio(tmp_path):
        with (
            pytest.raises(AlreadyRunning, match=rf"process {os.getpid()}\)"),
            only_studio(tmp_path),
        ):
            pytest.fail("the second studio started")
        with only_studio(_folder(tmp_path / "other")):
            pass


def test_the_lock_is_free_after_the_studio_ended(tmp_path: Path) -> None:
    with only_studio(tmp_path):
        pass
    with only_studio(tmp_path):
        assert (tmp_path / "studio.lock").read_text() == f"{os.getpid()}\n"


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.django_db(transaction=True)
def test_the_first_start_has_an_owner_and_a_demo_that_loops_and_names_the_log() -> None:
    lines = first_run.prepare()
    source = Source.objects.get(session__name="Demo newsroom")
    assert (source.kind, source.locator, source.cursor) == ("recording", "demo", {"loop": True})
    begins = [line.split(":")[0] for line in lines]
    assert begins[:2] == ["Studio", "Watch page"]
    assert begins[2].startswith("Sign in")
    assert begins[-2:] == ["Log", "Ctrl-C stops everything."]


@pytest.mark.django_db(transaction=True)
def test_a_start_migrates_a_database_that_lacks_something_and_no_other() -> None:
    of_sessions = Permission.objects.filter(content_type__app_label="sessions_app")
    permission = of_sessions.filter(codename="view_session")
    trigger_of_index = next(name for name, _ in index.triggers(index.STORIES))
    for lost in ("", min(constraints.expected(connection)), trigger_of_index):
        if lost:
            with connection.cursor() as cursor:
                cursor.execute(f'DROP TRIGGER "{lost}"')
        # The command writes it again.
        permission.delete()
        migrate_if_needed()
        assert permission.exists() == bool(lost)
        assert constraints.missing() == index.missing(connection) == []
