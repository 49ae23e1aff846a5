"""The embedded Redis and the addresses that every process computes alike."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import redis

from smnb.runner.first_run import redis_child
from smnb.runner.redis_server import (
    LONGEST_SOCKET_PATH,
    EmbeddedRedis,
    NoRedis,
    find_binary,
    socket_path,
    urls,
)
from smnb.runner.supervisor import Supervisor


def test_the_embedded_redis_starts_answers_and_leaves_nothing(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.prepare()
    with Supervisor([redis_child(server)]) as supervisor:
        supervisor.start()
        with redis.Redis.from_url(urls("", tmp_path).hub) as client:
            assert client.ping()
        assert server.socket.parent.stat().st_mode & 0o777 == 0o700
    server.remove()
    assert not server.socket.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_redis_is_back_at_the_same_address(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.prepare()
    with Supervisor([redis_child(server)]) as supervisor:
        supervisor.start()
        pid = supervisor.pids()["redis"]
        os.kill(pid, signal.SIGKILL)
        back = supervisor.run(
            lambda: supervisor.pids().get("redis", pid) != pid and server.is_ready(), within=20
        )
    server.remove()
    assert back


def test_the_socket_does_not_depend_on_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_desktop = socket_path(tmp_path)
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    assert socket_path(tmp_path) == from_desktop


def test_two_data_folders_have_two_sockets_and_both_are_short(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-folder-name"] * 8)
    assert socket_path(deep) != socket_path(tmp_path)
    assert len(str(socket_path(deep))) <= LONGEST_SOCKET_PATH


def test_a_redis_url_is_split_into_three_databases(tmp_path: Path) -> None:
    found = urls("redis://:secret@queue:6380/4?health_check_interval=5", tmp_path)
    assert found.broker == "redis://:secret@queue:6380/4?health_check_interval=5"
    assert found.hub == "redis://:secret@queue:6380/6?health_check_interval=5"
    assert found.cache == "redis://:secret@queue:6380/7?health_check_interval=5"


def test_a_socket_may_be_named_in_redis_url(tmp_path: Path) -> None:
    found = urls("unix:///run/redis/redis.sock", tmp_path)
    assert found.broker == "redis+socket:///run/redis/redis.sock?virtual_host=0"
    assert found.hub == "unix:///run/redis/redis.sock?db=2"


def test_the_operators_binary_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "my-redis"
    own.touch(mode=0o755)
    monkeypatch.setenv("SMNB_REDIS_BIN", str(own))
    assert find_binary() == own


def test_a_wrong_binary_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMNB_REDIS_BIN", "/nowhere/redis")
    with pytest.raises(NoRedis, match=r"^SMNB_REDIS_BIN names /nowhere/redis.*\.$"):
        find_binary()


def test_without_any_redis_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SMNB_REDIS_BIN", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.prefix", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoRedis, match="apt install redis-server"):
        find_binary()


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.socket.parent.symlink_to(tmp_path)
    try:
        with pytest.raises(NoRedis, match="belongs to another user"):
            server.prepare()
    finally:
        server.socket.parent.unlink()
