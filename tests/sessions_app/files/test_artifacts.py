"""Artifacts: complete files with their rows, a quota, and a readable, unique folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from sessions_app import sessions
from sessions_app.errors import Conflict, NotFound
from sessions_app.files import artifacts, storage
from sessions_app.files.storage import folder_name
from sessions_app.models import Artifact, Session, SessionEvent, Workspace

pytestmark = pytest.mark.django_db


def add_file(session: Session, name: str = "log.txt", text: bytes = b"a line\n") -> Artifact:
    return artifacts.store(session, "files", name, [text], media_type="text/plain")


def test_a_file_has_its_row_its_hash_and_its_event(session: Session) -> None:
    row = add_file(session)
    assert storage.full_path(row.path).read_bytes() == b"a line\n"
    assert (row.bytes, row.sha256) == (7, hashlib.sha256(b"a line\n").hexdigest())
    assert SessionEvent.objects.get(session=session, type="artifact.kept").payload["artifact"][
        "name"
    ] == ("log.txt")


def test_a_folder_is_readable_and_unique(owner: User) -> None:
    first, second = (sessions.create(owner, "Tägliche News!", {}, None) for _ in range(2))
    assert first.folder.startswith(f"tagliche-news-{first.created_at:%Y-%m-%d}-")
    assert first.folder != second.folder


def test_a_name_without_latin_letters_still_has_a_folder() -> None:
    id_ = UUID("0123456789abcdef0123456789abcdef")
    assert folder_name("新闻", date(2026, 1, 2), id_) == "session-2026-01-02-0123456789ab"


def test_the_folder_stays_when_the_session_is_renamed(session: Session) -> None:
    before = session.folder
    assert sessions.change(session, name="Another").folder == before


def test_a_taken_name_gets_a_number(session: Session) -> None:
    assert [add_file(session).name for _ in range(3)] == ["log.txt", "log-2.txt", "log-3.txt"]


def test_a_name_cannot_leave_its_folder(session: Session) -> None:
    row = add_file(session, "../../etc/passwd")
    assert storage.full_path(row.path).parent == artifacts.folder(session, "files")


def test_a_full_quota_refuses_and_leaves_nothing(session: Session) -> None:
    Workspace.objects.create(pk=1, artifact_quota_mb=10)
    with pytest.raises(Conflict, match="quota"):
        artifacts.store(session, "files", "big", [b"x" * 6_000_000] * 2, media_type="text/plain")
    assert not Artifact.objects.exists()
    assert list(artifacts.folder(session, "files").iterdir()) == []


def test_a_person_removes_a_file_and_its_room_is_free_again(
    session: Session, django_capture_on_commit_callbacks: object
) -> None:
    row = add_file(session)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        artifacts.remove(row)
    assert not storage.full_path(row.path).exists()
    assert artifacts.used_bytes(session) == 0
    with pytest.raises(Conflict, match="already been removed"):
        artifacts.remove(row)


def test_a_file_of_another_session_is_not_found(session: Session, stranger: User) -> None:
    other = sessions.create(stranger, "Other", {}, None)
    with pytest.raises(NotFound):
        artifacts.find(other, add_file(session).pk)


def test_two_at_once_never_take_the_same_name(session: Session) -> None:
    first = artifacts._free_path(session, "files", "log.txt")
    assert artifacts._free_path(session, "files", "log.txt") != first


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("a b.txt", "a_b.txt"),
        ("C:\\temp\\report.csv", "report.csv"),
        (".htaccess", "htaccess"),
        ("", "file"),
        ("...", "file"),
        ("log.part", "log_part"),
        ("evil\u202etxt.exe\x00", "eviltxt.exe"),
        ("日本.txt", "日本.txt"),
    ],
)
def test_a_name_is_made_safe(given: str, safe: str) -> None:
    assert artifacts.safe_name(given) == safe


def test_a_long_name_still_fits_a_file_system(session: Session) -> None:
    row = add_file(session, "字" * 500 + ".txt")
    assert len(row.name.encode()) < 160
    assert row.name.endswith(".txt")


def test_a_file_that_failed_leaves_its_name_free(session: Session) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        artifacts.store(session, "files", "log.txt", breaks(), media_type="text/plain")
    assert add_file(session).name == "log.txt"


def test_what_came_in_between_counts_for_the_quota(session: Session) -> None:
    Workspace.objects.create(pk=1, artifact_quota_mb=10)
    with pytest.raises(Conflict, match="quota"):
        artifacts.store(session, "files", "a", _meanwhile(session), media_type="text/plain")
    assert artifacts.used_bytes(session) == 6_000_000


def _meanwhile(session: Session) -> Iterator[bytes]:
    """Six megabytes, during which another file of the same size is stored."""
    yield bytes(6_000_000)
    add_file(session, "other", bytes(6_000_000))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": "open"}, "still written"),
        ({"category": "archive"}, "cannot be removed"),
        ({"path": "sounds/episode.mp3"}, "episode"),
    ],
)
def test_what_is_needed_is_not_removed(
    session: Session, change: dict[str, str], reason: str
) -> None:
    row = add_file(session)
    Artifact.objects.filter(pk=row.pk).update(**change)
    with pytest.raises(Conflict, match=reason):
        artifacts.remove(artifacts.find(session, row.pk))
    assert Artifact.objects.get(pk=row.pk).state != "dropped"


def test_a_full_quota_stops_neither_the_log_nor_the_archive(session: Session) -> None:
    Workspace.objects.create(pk=1, artifact_quota_mb=10)
    artifacts.store(session, "files", "big", [bytes(10_000_000)], media_type="text/plain")
    for category in artifacts.UNLIMITED:
        row = artifacts.store(session, category, "a", [b"x"], media_type="text/plain")
        assert storage.full_path(row.path).exists()
