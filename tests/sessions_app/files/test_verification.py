"""The audit of rows and files, and the removal of leftovers of interrupted writers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from django.utils import timezone

from sessions_app import audits, preferences
from sessions_app.files import artifacts, storage, verification
from sessions_app.files.storage import ROOT
from sessions_app.models import Artifact, Session
from tests.concurrency import forked

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(session: Session) -> Artifact:
    return artifacts.store(session, "files", "log.txt", [b"a line\n"], media_type="text/plain")


def found() -> list[tuple[str, str]]:
    return [(each.session, each.detail) for each in audits.run("artifacts")]


def aged(path: Path, content: bytes = b"x") -> Path:
    """A file last changed two hours ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - 7200,) * 2)
    return path


def sweep() -> int:
    return verification.sweep(preferences.workspace(), timezone.now())


def test_a_file_and_its_row_agree(stored: Artifact) -> None:
    assert found() == []


def test_a_row_that_lost_its_file_is_named(stored: Artifact) -> None:
    storage.remove(stored.path)
    assert found() == [(str(stored.session_id), "files/log.txt has lost its file")]


@pytest.mark.parametrize("content", [b"a Line\n", b"a line", b""])
def test_a_damaged_file_is_named(stored: Artifact, content: bytes) -> None:
    storage.full_path(stored.path).write_bytes(content)
    [(session, detail)] = found()
    assert session == str(stored.session_id)
    assert "damaged" in detail


def test_a_file_that_is_still_written_has_no_hash_yet(stored: Artifact) -> None:
    Artifact.objects.filter(pk=stored.pk).update(state="open", sha256="")
    storage.full_path(stored.path).write_bytes(b"more than before")
    assert found() == []


def test_an_old_file_without_a_row_is_named_with_its_session(session: Session) -> None:
    aged(artifacts.folder(session, "files") / "lost.txt")
    detail = f"{session.folder}/files/lost.txt is a file without its artifact"
    assert found() == [(str(session.pk), detail)]


def test_a_file_of_no_session_is_named_too() -> None:
    aged(storage.full_path(f"{ROOT}/unknown/files/lost.txt"))
    assert [session for session, _ in found()] == [""]


def test_a_fresh_file_may_still_get_its_row(session: Session) -> None:
    path = artifacts.folder(session, "files") / "new.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert found() == []


def test_leftovers_of_interrupted_writers_go(session: Session, stored: Artifact) -> None:
    folder = artifacts.folder(session, "files")
    left = [aged(folder / "a.txt.part"), aged(folder / "taken.txt", b"")]
    assert sweep() == 2
    assert not any(path.exists() for path in left)
    assert found() == []


def test_a_file_whose_removal_was_cut_short_goes(stored: Artifact) -> None:
    Artifact.objects.filter(pk=stored.pk).update(state="dropped")
    aged(storage.full_path(stored.path))
    assert sweep() == 1
    assert found() == []


def test_a_file_with_content_is_never_swept_away(session: Session, stored: Artifact) -> None:
    lost = aged(artifacts.folder(session, "files") / "lost.txt")
    aged(storage.full_path(stored.path), b"a line\n")
    assert sweep() == 0
    assert lost.exists()
    assert storage.full_path(stored.path).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("content", [b"a line\n", b""])
def test_a_process_that_dies_between_file_and_row_leaves_no_row_and_the_rest_is_named_or_removed(
    session: Session, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    def write_and_die() -> None:
        monkeypatch.setattr(artifacts, "save_row", lambda _row: os._exit(9))
        artifacts.store(session, "files", "log.txt", [content], media_type="text/plain")

    assert os.waitstatus_to_exitcode(os.waitpid(forked(write_and_die), 0)[1]) == 9
    path = artifacts.folder(session, "files") / "log.txt"
    assert path.read_bytes() == content
    assert not Artifact.objects.exists()
    # A writer may still be at work on a file as young as this.
    assert (sweep(), found()) == (0, [])
    os.utime(path, (time.time() - 90_000,) * 2)
    # What has content is left to a person, as nothing says whose it is.
    assert sweep() == (0 if content else 1)
    assert path.exists() == bool(content)
    assert [session for session, _ in found()] == ([str(session.pk)] if content else [])
    # The name stays free for the next try.
    again = artifacts.store(session, "files", "log.txt", [b"x"], media_type="text/plain")
    assert storage.full_path(again.path).read_bytes() == b"x"
