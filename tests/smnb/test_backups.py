"""A backup has all that must travel: restored elsewhere, every audit is clean and nothing is missing."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.db import connection

from broadcast.models import Sound
from broadcast.speech import sounds
from sessions_app import credentials
from sessions_app.errors import Invalid
from sessions_app.events import archive
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Session, SessionEvent, SessionStats, Step
from smnb import backups
from smnb.env import ROOT
from smnb.runner.first_run import only_studio
from stories.models import Story, StoryThread
from tests.archived_events import archive_all, let_time_pass
from tests.provision.postgres import find_binaries

pytestmark = pytest.mark.django_db(transaction=True)

Manage = Callable[..., "subprocess.CompletedProcess[str]"]

# In one process, as starting Django takes longer than either.
EXPORT_AND_REPLACE = """
from django.core.management import call_command
call_command("export_session", "{}", "--format", "json")
call_command("restore", "{}", "--replace")
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Manage:
    """Runs a command in another installation, whose data folder and database are empty."""
    url = ""
    if connection.vendor == "postgresql":
        here = os.environ["DATABASE_URL"]
        url = urlunsplit(urlsplit(here)._replace(path=f"/restored_{tmp_path.name[-8:]}"))
        with psycopg.connect(here, autocommit=True) as server:
            server.execute(f'CREATE DATABASE "restored_{tmp_path.name[-8:]}"'.encode())
    environment = {**os.environ, "DATABASE_URL": url, "SMNB_DATA_DIR": str(tmp_path / "data")}
    environment["PATH"] = f"{find_binaries() / 'bin'}:{environment['PATH']}"

    def manage(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return manage


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setenv("PATH", f"{find_binaries() / 'bin'}:{os.environ['PATH']}")

    def make(**options: Any) -> Path:
        path = tmp_path / "smnb.backup"
        assert backups.create(path, **options) == path.stat().st_size
        return path

    return make


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            each.name: content.read()
            for each in archive.getmembers()
            if (content := archive.extractfile(each)) is not None
        }


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def a_sound(session: Session) -> Sound:
    """A sound of a story; made here where the speech engine is not installed."""
    ready = Sound.objects.filter(session=session, state="ready").first()
    if ready is not None:
        return ready
    path = sounds.fresh(session.pk, "told")
    stored = storage.write(path, [bytes(100)])
    return Sound.objects.create(
        session=session,
        story=Story.objects.filter(session=session, state="aired").latest("pk"),
        state="ready",
        path=path,
        media_type="audio/mpeg",
        bytes=stored.bytes,
        sha256=stored.sha256,
        seconds=1,
    )


@pytest.mark.databases
@pytest.mark.slow
def test_a_restored_backup_has_everything_and_passes_every_audit(
    harbour_news: Session,
    backup: Callable[..., Path],
    elsewhere: Manage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = harbour_news
    monkeypatch.setattr(archive, "NEWEST", 20)
    StoryThread.objects.update(story_count=1)
    sound = a_sound(session)
    let_time_pass(days=100)
    Step.objects.filter(state="pending").update(state="cancelled")
    archive_all()
    credentials.save(session.owner, "anthropic", {"api_key": "sk-ant-a-key-of-the-owner"})
    path = backup()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = members(path)
    # The files of archived events and of sounds, and the keys.
    kinds = {name.split("/")[0] for name in found}
    database = backups.DATABASES[connection.vendor]
    assert kinds == {"manifest.json", database, "artifacts", "sounds", "keys"}
    assert any("/archive/" in name for name in found)
    assert found["keys/field_keys"].decode() == configured.FIELD_KEYS
    # What happens after the backup is not in it.
    artifacts.store(session, "files", "later.txt", [b"later"], media_type="text/plain")
    restored = elsewhere("restore", path)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "audits, no finding" in restored.stdout
    data = tmp_path / "data"
    assert (data / "field_keys").read_text() == configured.FIELD_KEYS
    assert stat.S_IMODE((data / "field_keys").stat().st_mode) == 0o600
    artifact = Artifact.objects.get(session=session, name="notes.txt")
    assert (data / artifact.path).read_bytes() == b"a note\n"
    assert (data / sound.path).read_bytes() == found[sound.path] != b""
    assert not (data / Artifact.objects.get(session=session, name="later.txt").path).exists()
    # The first event is in an archive now, and can still be exported; then the backup comes again.
    commands = elsewhere("shell", "-v", "0", "-c", EXPORT_AND_REPLACE.format(session.pk, path))
    assert commands.returncode == 0, commands.stdout + commands.stderr
    exported, _ = json.JSONDecoder().raw_decode(commands.stdout)
    assert len(exported["stories"]) == Story.objects.filter(session=session).count() > 5
    seqs = [event["seq"] for event in exported["events"]]
    assert (seqs[0], SessionEvent.objects.filter(session=session, seq=1).exists()) == (1, False)
    # Where there are sessions, a restoration has to be asked for, as above.
    with pytest.raises(Invalid, match="has sessions already"):
        backups.restore(path)
    assert "audits, no finding" in commands.stdout
    assert "What was here before is in replaced-" in commands.stderr


@pytest.mark.slow
def test_a_backup_without_keys_says_so_and_what_was_restored_is_audited(
    session: Session, backup: Callable[..., Path], elsewhere: Manage
) -> None:
    SessionStats.objects.filter(session=session).update(messages=7)
    path = backup(with_keys=False)
    assert not any(name.startswith("keys/") for name in members(path))
    restored = elsewhere("restore", path)
    assert "put back SECRET_KEY and SMNB_FIELD_KEYS yourself" in restored.stderr
    assert f"counters: {session.pk}: messages: 7 counted, 0 there" in restored.stdout
    assert restored.returncode == 1


def test_a_backup_while_others_write_is_consistent(
    session: Session, tmp_path: Path, backup: Callable[..., Path]
) -> None:
    """A writer commits between the first and the last page: the copy has all of it or nothing."""
    path = backup()
    copy = tmp_path / "copy.sqlite3"
    copy.write_bytes(members(path)["database.sqlite3"])
    with sqlite3.connect(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    assert {"fixed_stories_story", "stories_story_text"} <= names


def test_a_damaged_backup_changes_nothing(
    session: Session,
    backup: Callable[..., Path],
    elsewhere: Manage,
    tmp_path: Path,
    settings: Any,
) -> None:
    found = members(backup())
    manifest = json.loads(found["manifest.json"])
    assert manifest["format"] == "smnb-backup"
    newer = {**manifest, "migrations": [*manifest["migrations"], "stories.9999_later"]}
    foreign = {**manifest, "format": "tar"}
    outside = {**found, "../escaped": b"x"}
    name = "database.sqlite3"
    damaged = found[name][:5000] + bytes([found[name][5000] ^ 1]) + found[name][5001:]
    cases = {
        "differs from its manifest": {**found, name: damaged},
        "is missing": {key: value for key, value in found.items() if key != "keys/field_keys"},
        "newer version": {**found, "manifest.json": json.dumps(newer).encode()},
        "no backup that this version": {**found, "manifest.json": json.dumps(foreign).encode()},
        "no backup, or is damaged": outside,
        "does not begin with a manifest": {"notes.txt": b"x", **found},
    }
    data = tmp_path / "data"
    settings.SMNB = settings.SMNB.model_copy(update={"data_dir": data})
    # Here, where there are sessions, whatever passed all checks would be refused for them.
    for sentence, files in cases.items():
        with pytest.raises(Invalid, match=sentence):
            backups.restore(packed(tmp_path / "bad.backup", files))
    with tarfile.open(packed(tmp_path / "bad.backup", found), "a") as archive:
        link = tarfile.TarInfo("sounds/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hosts"
        archive.addfile(link)
    with pytest.raises(Invalid, match="no backup, or is damaged"):
        backups.restore(tmp_path / "bad.backup")
    (tmp_path / "bad.backup").write_bytes(b"no tar file")
    result = elsewhere("restore", tmp_path / "bad.backup")
    assert (result.returncode, "no backup, or is damaged" in result.stderr) == (1, True)
    assert not (tmp_path / "escaped").exists()
    # The folder has only what every command makes, and no remains of an unpacked backup.
    assert {path.name for path in data.iterdir()} <= {
        "secret_key",
        "field_keys",
        "studio.lock",
        "smnb.sqlite3",
        "static",
    }


def test_a_running_studio_is_not_restored_over(
    session: Session, backup: Callable[..., Path], tmp_path: Path, settings: Any
) -> None:
    path = backup()
    settings.SMNB = settings.SMNB.model_copy(update={"data_dir": tmp_path / "data"})
    (tmp_path / "data").mkdir()
    with only_studio(tmp_path / "data"), pytest.raises(CommandError, match="Another studio is"):
        call_command("restore", path)
