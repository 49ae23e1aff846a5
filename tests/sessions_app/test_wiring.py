"""Modules register themselves and are found by it: whoever adds a command writes one file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from sessions_app import commands, wiring
from sessions_app.models import Session
from tests.smnb.test_architecture import APPS, ROOT

COMMAND = """
from sessions_app import commands
from sessions_app.commands import Call, Nothing


def shout(call: Call) -> str:
    return call.target.name.upper()


def register() -> None:
    commands.register("session.shout", Nothing, shout, "Say its name.")
"""


@pytest.fixture
def extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An app of the name ``extra_app`` that is empty as yet."""
    folder = tmp_path / "extra_app"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(commands, "_registry", dict(commands._registry))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "extra_app"]:
        del sys.modules[name]


@pytest.mark.django_db
def test_one_file_adds_a_command(extra: Path, session: Session, owner: User) -> None:
    (extra / "shouting.py").write_text(COMMAND)
    wiring.register("extra_app")
    assert commands.run("session.shout", owner, session, {}) == "MORNING"


def test_a_file_in_a_package_of_the_app_is_found_too(extra: Path) -> None:
    (extra / "loud").mkdir()
    (extra / "loud" / "__init__.py").touch()
    (extra / "loud" / "shouting.py").write_text(COMMAND)
    wiring.register("extra_app")
    assert commands.known("session.shout")


def test_what_others_register_with_is_not_called(extra: Path) -> None:
    (extra / "registry.py").write_text("def register(what):\n    raise AssertionError\n")
    (extra / "borrower.py").write_text("from extra_app.lender import register\n")
    (extra / "lender.py").write_text("calls = []\ndef register():\n    calls.append(1)\n")
    wiring.register("extra_app")
    assert import_module("extra_app.lender").calls == [1]


@pytest.mark.parametrize("room", ["views", "admin", "migrations"])
def test_the_rooms_above_the_domain_are_left_to_django(extra: Path, room: str) -> None:
    (extra / f"{room}.py").write_text("raise AssertionError")
    wiring.register("extra_app")


def test_two_commands_of_one_name_are_refused_at_the_start(extra: Path) -> None:
    (extra / "one.py").write_text(COMMAND)
    (extra / "two.py").write_text(COMMAND)
    with pytest.raises(ValueError, match=r"two commands are called session\.shout"):
        wiring.register("extra_app")


@pytest.mark.parametrize("app", APPS)
def test_no_app_lists_its_modules(app: str) -> None:
    text = (ROOT / app / "apps.py").read_text("utf-8")
    named = set(re.findall(r"(\w+)\.register\(", text))
    assert named <= {"wiring"}
