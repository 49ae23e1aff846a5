"""Each app registers its modules by name in AppConfig.ready()."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from sessions_app import commands
from sessions_app.commands import Command, Nothing

ROOT = Path(__file__).resolve().parents[2]


def registering_modules(app: str) -> list[str]:
    """The names of the modules of an app that define ``register()`` without parameters."""
    names = []
    for path in sorted((ROOT / app).rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == "register":
                names += [] if node.args.args else [path.stem]
    return names


@pytest.mark.parametrize(("app", "least"), [("sessions_app", 6), ("stories", 6), ("broadcast", 18)])
def test_ready_calls_the_register_function_of_every_module(app: str, least: int) -> None:
    names = registering_modules(app)
    assert len(names) >= least
    text = (ROOT / app / "apps.py").read_text("utf-8")
    called = re.findall(r"^        (\w+)\.register\(\)$", text, re.MULTILINE)
    assert sorted(called) == sorted(names)


def test_two_commands_with_the_same_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_registry", dict(commands._registry))
    shout = Command("session.shout", Nothing, lambda call: None, "Repeats the name of the session.")
    commands.register(shout)
    with pytest.raises(ValueError, match=r"two commands are called session\.shout"):
        commands.register(shout)
