"""The files in deploy/ fit the code: commands, options, variables, queues, ports."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from celery.bin.celery import celery
from daphne.cli import CommandLineInterface
from django.conf import settings
from django.core.management import get_commands, load_command_class

from sessions_app.background import steps
from smnb.env import ROOT, Environment
from smnb.runner.process import studio_children

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OF_THE_STORES = {"postgres", "redis", "nginx"}
APPS = {name: each for name, each in COMPOSE["services"].items() if name not in OF_THE_STORES}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
KNOWN = {str(field.alias) for field in Environment.model_fields.values()}
FOR_COMPOSE = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "TLS_DIR"}


def _composed(name: str) -> list[list[str]]:
    command = APPS[name]["command"]
    return [line.split() for line in command[2].splitlines()] if command[0] == "sh" else [command]


def _started(unit: Path) -> list[list[str]]:
    text = unit.read_text().replace("\\\n", " ").replace("%%", "%")
    return [shlex.split(line) for line in re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)]


COMMANDS = {
    **{f"compose:{name}": _composed(name) for name in APPS},
    **{f"systemd:{unit.name}": _started(unit) for unit in UNITS},
}


def _plain(word: str) -> str:
    """The word with what the environment and systemd put in."""
    return re.sub(r"\$\{[^}]*\}", "4", word).replace("%i", "1")


def _check_manage(words: list[str]) -> None:
    name, *options = words
    command: Any = get_commands()[name]
    command = load_command_class(command, name) if isinstance(command, str) else command
    command.create_parser("manage.py", name).parse_args(options)


def _check_celery(words: list[str]) -> None:
    found = celery.make_context("celery", [word for word in words if word != "--app=smnb"])
    name, worker, rest = celery.resolve_command(found, [*found._protected_args, *found.args])
    assert name == "worker"
    assert "--app=smnb" in words
    worker.make_parser(found).parse_args(rest)


def _check(words: list[str]) -> None:
    program, *rest = [_plain(word) for word in words]
    if Path(program).name == "celery":
        _check_celery(rest)
    elif rest[0] == "manage.py":
        _check_manage(rest[1:])
    else:
        assert rest[:2] == ["-m", "daphne"]
        CommandLineInterface().parser.parse_args(rest[2:])


def test_the_command_for_uvicorn_exists_with_its_options() -> None:
    text = (ROOT / "docs" / "operations.md").read_text().replace("\\\n", " ")
    [words] = [
        shlex.split(line) for line in re.findall(r"^ExecStart=(.+uvicorn.+)$", text, re.MULTILINE)
    ]
    python, _, name, application, *options = [_plain(word) for word in words]
    assert (Path(python).name, name) == ("python", "uvicorn")
    assert application == "smnb.asgi:application"
    found = uvicorn.main.make_context("uvicorn", [application, *options])
    assert found.params["port"] == 8001
    assert found.params["ws_per_message_deflate"] is False


@pytest.mark.parametrize("where", COMMANDS)
def test_every_command_and_its_options_exist(where: str) -> None:
    assert COMMANDS[where]
    for words in COMMANDS[where]:
        _check(words)


def test_every_variable_is_one_that_the_environment_knows() -> None:
    for name, service in APPS.items():
        assert set(service["environment"]) <= KNOWN, name
    compose = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{([A-Z_]+)", compose)) <= KNOWN | FOR_COMPOSE


def _names(path: Path) -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=", path.read_text(), re.MULTILINE))


def test_the_examples_of_the_environment_hold_nothing_unknown() -> None:
    assert _names(DEPLOY / "compose.env.example") <= KNOWN | FOR_COMPOSE
    assert _names(DEPLOY / "systemd" / "smnb.env.example") <= KNOWN


def test_whatever_compose_reads_stands_in_its_example() -> None:
    compose = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", compose))
    assert asked == _names(DEPLOY / "compose.env.example")


def _queues(commands: list[list[str]]) -> set[str]:
    words = " ".join(word for command in commands for word in command)
    found = re.findall(r"(?:--queues=| -Q )(\S+)", words)
    return {queue for queues in found for queue in queues.split(",")}


@pytest.mark.parametrize("kind", ["compose", "systemd"])
def test_the_workers_take_every_queue_there_is(kind: str) -> None:
    deployed = _queues(
        [each for where in COMMANDS if where.startswith(kind) for each in COMMANDS[where]]
    )
    used = {each.queue for each in steps._kinds.values()} | {settings.CELERY_TASK_DEFAULT_QUEUE}
    assert used <= deployed
    assert deployed == _queues([list(child.argv) for child in studio_children(8000, 4)])


def _seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_a_worker_has_time_to_end_its_longest_task() -> None:
    graces = [
        _seconds(each["stop_grace_period"]) for name, each in APPS.items() if "worker" in name
    ]
    for unit in (DEPLOY / "systemd").glob("smnb-worker-*.service"):
        graces += map(int, re.findall(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE))
        assert "KillMode=mixed" in unit.read_text()
    assert len(graces) == 4
    assert min(graces) == 100 > settings.CELERY_TASK_TIME_LIMIT


def _upstream(kind: str) -> set[str]:
    text = (DEPLOY / "nginx" / f"upstream-{kind}.conf").read_text()
    return set(re.findall(r"^\s*server ([^ ;]+)", text, re.MULTILINE))


def test_nginx_knows_every_web_process() -> None:
    assert _upstream("compose") == {f"{name}:8000" for name in APPS if name.startswith("web")}
    target = (DEPLOY / "systemd" / "smnb.target").read_text()
    instances = re.findall(r"smnb-web@(\d)\.service", target)
    assert _upstream("systemd") == {f"127.0.0.1:800{number}" for number in instances}


def test_nginx_overwrites_the_address_that_the_web_processes_believe() -> None:
    conf = (DEPLOY / "nginx" / "smnb.conf").read_text()
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in conf
    assert "proxy_add_x_forwarded_for" not in conf
    for where in ("compose:web-1", "systemd:smnb-web@.service"):
        assert "--proxy-headers" in COMMANDS[where][0]


def test_nginx_lets_a_quiet_socket_live_longer_than_two_pings() -> None:
    conf = (DEPLOY / "nginx" / "smnb.conf").read_text()
    blocks = re.findall(r"location /ws/[a-z/]* \{(.+?)\n    \}", conf, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        patience = re.search(r"proxy_read_timeout (\d+)s;", block)
        assert patience is not None
        assert int(patience[1]) > 20 + 30
    assert "proxy_set_header Upgrade $http_upgrade;" in conf


def test_the_units_that_the_target_wants_are_there() -> None:
    wanted = re.findall(
        r"smnb-[a-z-]+@?(?=\d?\.service)", (DEPLOY / "systemd/smnb.target").read_text()
    )
    assert {f"{name}.service" for name in wanted} | {"smnb-prepare.service"} == {
        unit.name for unit in UNITS
    }


def test_the_image_holds_every_app_and_nothing_that_is_not_there() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = {
        word for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for word in line.split()
    }
    assert all((ROOT / name).exists() for name in copied)
    ours = {app for app in settings.INSTALLED_APPS if (ROOT / app).is_dir()}
    assert ours | {"templates", "static", "manage.py", "requirements.txt"} <= copied


def test_the_image_can_speak() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    [installed] = re.findall(r"^ARG REQUIREMENTS=(\S+)$", text, re.MULTILINE)
    assert "-r ${REQUIREMENTS}\n" in text
    assert f" {installed} " in text
    locked = (ROOT / installed).read_text()
    for package in ("av", "django", "espeakng-loader", "lameenc", "psycopg"):
        assert f"\n{package}==" in locked.lower(), package
    assert "SMNB_SPEECH: ${SMNB_SPEECH:-}" in (DEPLOY / "compose.yaml").read_text()


def test_redis_keeps_a_log_and_never_evicts() -> None:
    lines = (DEPLOY / "redis.conf").read_text().splitlines()
    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"} <= set(lines)


@pytest.mark.slow
def test_the_deployment_passes_django_s_own_checks(tmp_path: Path) -> None:
    """As the service ``prepare`` runs them, with the example of the environment filled in."""
    env = {name: value for name, value in os.environ.items() if name not in KNOWN}
    env |= {
        "PUBLIC_URL": "https://studio.example",
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRS",
        "SMNB_DATA_DIR": str(tmp_path / "data"),
        "REDIS_URL": "redis://:password@127.0.0.1:6379/0",
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    found = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert "--deploy --fail-level WARNING" in str(COMPOSE["services"]["prepare"]["command"])
