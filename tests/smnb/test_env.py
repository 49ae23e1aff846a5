"""The environment: defaults that work, errors that name the variable, and stored secrets."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pydantic import SecretStr

from smnb.env import ROOT, Environment, make_private, read_environment, stored_secret
from smnb.settings import database


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Environment.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)


def read(monkeypatch: pytest.MonkeyPatch, **values: str) -> Environment:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return read_environment()


def test_without_any_variable_the_defaults_are_those_that_are_promised() -> None:
    found = read_environment()
    assert (found.port, found.debug, found.demo, found.host_slots) == (8000, False, True, 4)
    assert (found.poll_seconds, found.owner, found.data_dir) == (30.0, "studio", ROOT / "var")
    assert found.origins == ["http://localhost:8000", "http://127.0.0.1:8000"]
    assert not found.allow_private_feeds
    assert found.limit_writes == 60
    assert found.limit_go_live == 30
    assert found.limit_public_sockets == 30


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "eighty"),
        ("SMNB_POLL_SECONDS", "0"),
        ("SMNB_POLL_SECONDS", "nan"),
        ("SMNB_HOST_SLOTS", "-1"),
        ("PUBLIC_URL", "studio.example"),
        ("REDDIT_URL", "ftp://x.test"),
        ("SMNB_LIMIT_WRITES", "-5"),
        ("SMNB_DEMO", "perhaps"),
    ],
)
def test_a_bad_value_names_its_variable_and_is_not_echoed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=name) as refused:
        read(monkeypatch, **{name: value})
    assert f"'{value}'" not in str(refused.value)


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        read(monkeypatch, PORT="x", SMNB_HOST_SLOTS="x")
    assert "PORT" in str(refused.value)
    assert "SMNB_HOST_SLOTS" in str(refused.value)


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, PORT="", SMNB_DATA_DIR="").port == 8000


def test_a_secret_is_not_shown_by_printing_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, ANTHROPIC_API_KEY="key-one", SECRET_KEY="key-two")
    assert "key-one" not in repr(found)
    assert "key-two" not in str(found)


def test_a_poll_may_come_more_than_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, SMNB_POLL_SECONDS="0.2").poll_seconds == 0.2


def test_a_public_address_is_the_one_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, PUBLIC_URL="https://news.example/", ALLOWED_HOSTS="other.example, ")
    assert found.origins == ["https://news.example"]
    assert found.hosts == ["127.0.0.1", "localhost", "news.example", "other.example"]


def test_a_relative_data_folder_is_taken_from_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, SMNB_DATA_DIR="elsewhere").data_dir == ROOT / "elsewhere"


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret_key"
    made = stored_secret(SecretStr(""), path)
    assert len(made) >= 50
    assert stored_secret(SecretStr(""), path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o700), (0o777, 0o700), (0o711, 0o711)])
def test_a_data_folder_that_others_can_read_is_made_private(
    tmp_path: Path, before: int, after: int
) -> None:
    folder, outside = tmp_path / "data", tmp_path / "outside.sqlite3"
    folder.mkdir()
    for path in (folder / "smnb.sqlite3", folder / "smnb.sqlite3-wal", outside):
        path.touch()
        path.chmod(0o644)
    folder.chmod(before)
    mask = os.umask(0o022)
    try:
        sentences = make_private(folder, outside, tmp_path / "missing")
        (folder / "later").touch()
    finally:
        os.umask(mask)
    assert stat.S_IMODE(folder.stat().st_mode) == after
    files = [outside, *folder.iterdir()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 4
    assert len(sentences) == (4 if before != after else 3)
    assert any(f"could read {outside}; now only you can" in each for each in sentences)
    assert make_private(folder, outside) == []


@pytest.mark.slow
def test_a_new_studio_and_its_static_files_have_the_right_modes(tmp_path: Path) -> None:
    """From the first moment, in a process of its own."""
    data = tmp_path / "var"
    code = (
        "import os; os.umask(0o022); import django; django.setup();"
        "from django.db import connection; connection.cursor().execute('CREATE TABLE x (y)');"
        "from django.core.management import call_command; call_command('collectstatic', '--noinput', '-v0')"
    )
    env = {**os.environ, "SMNB_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "smnb.settings"}
    env.pop("DATABASE_URL", None)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in [data, data / "smnb.sqlite3", data / "secret_key", data / "static"]
    }
    assert modes == {
        "var": 0o700,
        "var/smnb.sqlite3": 0o600,
        "var/secret_key": 0o600,
        "var/static": 0o755,
    }
    css = next((data / "static").rglob("*.css"))
    assert (stat.S_IMODE(css.stat().st_mode), stat.S_IMODE(css.parent.stat().st_mode)) == (
        0o644,
        0o755,
    )


def test_a_given_secret_is_used_and_not_written_down(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    assert stored_secret(SecretStr("given"), path) == "given"
    assert not path.exists()


@pytest.mark.parametrize(
    ("url", "engine", "name"),
    [
        ("", "sqlite3", "/data/smnb.sqlite3"),
        ("sqlite:////elsewhere/x.sqlite3", "sqlite3", "/elsewhere/x.sqlite3"),
        ("postgresql://u:p%40ss@db.example:5433/news", "postgresql", "news"),
        ("postgres://u@/news?host=/run/pg", "postgresql", "news"),
    ],
)
def test_a_database_address_is_understood(url: str, engine: str, name: str) -> None:
    found = database(url, Path("/data"))
    assert str(found["ENGINE"]).endswith(engine)
    assert found["NAME"] == name
    assert found.get("PASSWORD", "") in {"", "p@ss"}


@pytest.mark.parametrize(("most", "expected"), [(0, None), (8, 8)])
def test_only_a_process_with_a_pool_keeps_connections_to_postgresql(
    most: int, expected: int | None
) -> None:
    found = database("postgresql://u@db.example/news", Path("/data"), most)
    options = found["OPTIONS"]
    assert isinstance(options, dict)
    pool = options["pool"] or {}
    assert pool.get("max_size") == expected
    # Django refuses a pool beside persistent connections.
    assert found["CONN_MAX_AGE"] == 0


@pytest.mark.parametrize(("parameters", "seconds"), [("", "15"), ("?connect_timeout=3", "3")])
def test_a_database_that_cannot_be_reached_is_given_up_before_a_sweeper_seems_to_hang(
    parameters: str, seconds: str
) -> None:
    found = database(f"postgresql://u@db.example/news{parameters}", Path("/data"))
    assert isinstance(found["OPTIONS"], dict)
    assert found["OPTIONS"]["connect_timeout"] == seconds


def test_a_strange_database_address_is_refused_without_echo() -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as refused:
        database("mysql://user:hidden@host/x", Path("/data"))
    assert "hidden" not in str(refused.value)
