"""Converts DATABASE_URL to Django's database settings, with the options that each database needs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# IMMEDIATE takes the write lock at BEGIN, so that a transaction that reads before it writes waits
# instead of failing. FULL, as the ledger must survive a power cut.
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; "
    "PRAGMA journal_size_limit=67108864;"
)


def sqlite(path: Path) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            # Seconds that a transaction waits for the write lock before it fails as "locked".
            "timeout": 20,
            "init_command": SQLITE_PRAGMAS,
        },
        # A file, so that threads and processes which a test starts can open the database too.
        "TEST": {"NAME": str(path.with_name("test.sqlite3"))},
    }


def postgresql(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    # In milliseconds. A query or a forgotten transaction must not hold locks for longer.
    timeouts = "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=10000"
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        # Under ASGI requests run in changing threads, so connections left open would add up.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        # Other parameters of the address, such as sslmode, are passed on to libpq.
        "OPTIONS": {"options": timeouts, **query},
    }


def database(url: str, data_dir: Path) -> dict[str, object]:
    """Returns the settings for sqlite:///path or postgresql://…; empty is SQLite in the data folder."""
    scheme = urlsplit(url).scheme
    if not url:
        return sqlite(data_dir / "smnb.sqlite3")
    if scheme == "sqlite":
        return sqlite(Path(unquote(url.removeprefix("sqlite:///"))))
    if scheme in {"postgres", "postgresql"}:
        return postgresql(url)
    raise ImproperlyConfigured("DATABASE_URL: must begin with sqlite:/// or postgresql://")


def files_of(settings: dict[str, object]) -> list[Path]:
    """Returns the files in which a database is stored; none for PostgreSQL."""
    if settings["ENGINE"] != "django.db.backends.sqlite3":
        return []
    return [Path(f"{settings['NAME']}{suffix}") for suffix in ("", "-wal", "-shm")]
