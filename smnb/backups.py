"""Backups: one tar file with all that must travel, and its restoration into an empty installation.

It has the database, the folders ``artifacts`` (with archived events) and ``sounds``, the keys, and a
manifest with the size and SHA-256 of each. The database is copied by the database itself, so a
studio may run meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from sessions_app.errors import Invalid
from sessions_app.models import Session

FORMAT, VERSION = "smnb-backup", 1
MANIFEST = "manifest.json"
FOLDERS = ("artifacts", "sounds")
KEYS = {"secret_key": "SECRET_KEY", "field_keys": "FIELD_KEYS"}
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
MOST_MANIFEST = 1 << 28
CHUNK = 1 << 20


def create(target: Path, *, with_keys: bool = True) -> int:
    """Writes a backup of this installation; returns its size. The file gets its name when complete."""
    data_dir: Path = settings.SMNB.data_dir
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=data_dir) as name:
        stage = Path(name)
        # Before and after the database: a file that is removed meanwhile is in the first copy, and
        # one that is added in the second. Links, as files never change once they have their name.
        _link_folders(data_dir, stage)
        migrations = sorted(
            f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()
        )
        _dump(stage / DATABASES[connection.vendor])
        _link_folders(data_dir, stage)
        if with_keys:
            (stage / "keys").mkdir()
            for file, setting in KEYS.items():
                (stage / "keys" / file).write_text(getattr(settings, setting))
        head = {
            "format": FORMAT,
            "version": VERSION,
            "database": connection.vendor,
            "created_at": timezone.now().isoformat(),
            "migrations": migrations,
        }
        unfinished = target.with_name(f"{target.name}.part")
        try:
            # Only its owner may read it: it has the keys.
            handle = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "wb") as written:
                _pack(written, stage, head)
                written.flush()
                os.fsync(written.fileno())
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    return target.stat().st_size


def _link_folders(data_dir: Path, stage: Path) -> None:
    for folder in FOLDERS:
        for path in sorted((data_dir / folder).rglob("*")):
            copy = stage / path.relative_to(data_dir)
            if path.is_symlink() or not path.is_file() or copy.exists():
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, copy)
            except FileNotFoundError:
                continue  # removed since the folder was listed


def _dump(target: Path) -> None:
    """Writes a consistent copy of the database, while others write to it."""
    if connection.vendor == "sqlite":
        # In one read transaction, so writers neither wait for it nor make it begin again.
        with sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None) as source:
            source.execute("VACUUM INTO ?", (str(target),))
        source.close()
        return
    _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def _run(program: str, *arguments: str) -> None:
    """Runs a program of PostgreSQL on our database; Invalid with its last line if it fails."""
    if shutil.which(program) is None:
        raise Invalid(f"{program} is not installed: install the client programs of PostgreSQL.")
    config = connection.settings_dict
    names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}
    given = {variable: str(config[key]) for key, variable in names.items() if config.get(key)}
    # In the environment, as anyone on this machine can read the arguments of a process.
    environment = {**os.environ, **given, "PGDATABASE": str(config["NAME"])}
    result = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        last = (result.stderr.strip() or "no message").splitlines()[-1]
        raise Invalid(f"{program} failed: {last[:300]}")


def _pack(file: BinaryIO, stage: Path, head: dict[str, object]) -> None:
    """Writes the manifest, and then the files of the stage."""
    paths = [path for path in sorted(stage.rglob("*")) if path.is_file()]
    members: dict[str, dict[str, object]] = {}
    for path in paths:
        # A log that is still written may grow: what it has now is what the backup has.
        size, digest = path.stat().st_size, hashlib.sha256()
        with path.open("rb") as source:
            left = size
            while left and (chunk := source.read(min(left, CHUNK))):
                digest.update(chunk)
                left -= len(chunk)
        name = path.relative_to(stage).as_posix()
        members[name] = {"bytes": size, "sha256": digest.hexdigest()}
    manifest = json.dumps({**head, "members": members}, indent=1).encode()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        about = tarfile.TarInfo(MANIFEST)
        about.size = len(manifest)
        archive.addfile(about, io.BytesIO(manifest))
        for path in paths:
            name = path.relative_to(stage).as_posix()
            entry = archive.gettarinfo(path, arcname=name)
            entry.size = int(str(members[name]["bytes"]))
            with path.open("rb") as source:
                archive.addfile(entry, source)


def restore(source: Path, *, replace: bool = False) -> list[str]:
    """Restores a backup; returns what the operator has to know, as sentences.

    Everything is read and checked before anything is changed. Invalid where this installation has
    sessions already, unless ``replace``; what it had is then moved aside.
    """
    data_dir: Path = settings.SMNB.data_dir
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=data_dir) as name:
        stage = Path(name)
        manifest = _unpack(source, stage)
        if manifest["database"] != connection.vendor:
            raise Invalid(
                f"The backup is of {manifest['database']}, but DATABASE_URL names "
                f"{connection.vendor}. Sessions can be moved between them by export and import."
            )
        if not replace and _is_used():
            raise Invalid(
                "This installation has sessions already. Restore into an empty one, or add "
                "--replace; what is here is then moved aside."
            )
        notes = _restore_keys(stage / "keys", data_dir)
        aside = data_dir / f"replaced-{timezone.now():%Y%m%dT%H%M%S}"
        for folder in FOLDERS:
            _move_aside(data_dir / folder, aside)
            (stage / folder).mkdir(exist_ok=True)
            (stage / folder).replace(data_dir / folder)
        _load(stage / DATABASES[connection.vendor], aside)
        if aside.exists():
            notes.append(f"What was here before is in {aside.name} in the data folder.")
    # An older backup gets the tables of this version, and all constraints are checked and restored.
    call_command("migrate", verbosity=0)
    return notes


def _is_used() -> bool:
    tables = connection.introspection.table_names()
    return Session._meta.db_table in tables and Session.objects.exists()


def _unpack(source: Path, stage: Path) -> dict[str, Any]:
    """Unpacks a backup and checks every file against the manifest; returns the manifest."""
    try:
        with tarfile.open(source, mode="r:") as archive:
            first = archive.next()
            content = archive.extractfile(first) if first and first.name == MANIFEST else None
            if content is None or first is None or first.size > MOST_MANIFEST:
                raise Invalid("This file is no backup: it does not begin with a manifest.")
            manifest: dict[str, Any] = json.loads(content.read())
            _check_version(manifest)
            members: dict[str, dict[str, Any]] = manifest["members"]
            # Python 3.11.2, as in Debian 12, has no filter for extractall.
            for entry in archive:
                target, content = stage / entry.name, archive.extractfile(entry)
                within = target.resolve().is_relative_to(stage.resolve())
                if content is None or not entry.isreg() or not within:
                    raise tarfile.ExtractError(f"{entry.name} is no file of a backup")
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, json.JSONDecodeError, KeyError, EOFError) as error:
        raise Invalid(f"This file is no backup, or is damaged ({type(error).__name__}).") from None
    for name, expected in members.items():
        path = stage / name
        if not path.is_file():
            raise Invalid(f"The backup is damaged: {name} is missing.")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if (path.stat().st_size, digest) != (expected["bytes"], expected["sha256"]):
            raise Invalid(f"The backup is damaged: {name} differs from its manifest.")
    return manifest


def _check_version(manifest: dict[str, Any]) -> None:
    if (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
        raise Invalid("This file is no backup that this version can read.")
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    unknown = sorted(set(manifest["migrations"]) - known)
    if unknown:
        raise Invalid(
            f"The backup is of a newer version (it has {unknown[0]}). Install that version first."
        )


def _restore_keys(keys: Path, data_dir: Path) -> list[str]:
    """Puts the keys into the data folder, where the environment does not set them."""
    notes = []
    given = {"SECRET_KEY": settings.SMNB.secret_key, "FIELD_KEYS": settings.SMNB.field_keys}
    if not keys.is_dir():
        return ["The backup has no keys: put back SECRET_KEY and SMNB_FIELD_KEYS yourself."]
    for file, setting in KEYS.items():
        value = (keys / file).read_text()
        variable = {"FIELD_KEYS": "SMNB_FIELD_KEYS"}.get(setting, setting)
        if given[setting].get_secret_value():
            if value != getattr(settings, setting):
                notes.append(f"{variable} in the environment differs from that of the backup.")
            continue
        target = data_dir / file
        handle = os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as opened:
            opened.write(value)
        # The audits that follow in this process open what the backup sealed.
        setattr(settings, setting, value)
    return notes


def _move_aside(path: Path, aside: Path) -> None:
    """Moves what is there into the folder of replaced things, unless it is empty."""
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
    elif path.exists():
        aside.mkdir(mode=0o700, exist_ok=True)
        path.replace(aside / path.name)


def _load(dump: Path, aside: Path) -> None:
    """Replaces the database by the one of the backup."""
    connections.close_all()
    if connection.vendor != "sqlite":
        # One transaction: a failure leaves the old tables as they were.
        _run(
            "pg_restore",
            *("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction"),
            *("--dbname", str(connection.settings_dict["NAME"]), str(dump)),
        )
        return
    target = Path(connection.settings_dict["NAME"])
    if target.exists() and _is_used():
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connections.close_all()
        _move_aside(target, aside)
    # A connection to the file that was here would still be used, instead of the restored one.
    connections.close_all()
    # The journal belongs to the database that was there before.
    for suffix in ("-wal", "-shm", "-journal"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    dump.chmod(0o600)
    shutil.move(dump, target)
