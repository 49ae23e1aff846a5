"""Variables, commands, URLs and links in README.md and the other documents agree with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import resolve

from smnb.env import ROOT, Environment

README = (ROOT / "README.md").read_text()
OURS = {"sessions_app", "stories", "broadcast", "smnb"}
ROWS = {
    name: default.strip(" `")
    for name, default in re.findall(r"^\| `([A-Z_]+)` \|([^|]*)\|", README, re.MULTILINE)
}
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def _shown(default: object) -> str:
    return f"{float(default):g}" if isinstance(default, (bool, int, float)) else str(default)


def test_every_variable_of_the_environment_has_its_row() -> None:
    aliases = [field.alias for field in Environment.model_fields.values()]
    assert list(ROWS) == aliases


def test_the_defaults_are_those_of_the_code() -> None:
    plain = {
        str(field.alias): _shown(field.default)
        for field in Environment.model_fields.values()
        if isinstance(field.default, (str, int, float)) and field.default != ""
    }
    assert {name: ROWS[name] for name in plain} == plain


def test_every_command_of_ours_is_explained() -> None:
    ours = {name for name, app in get_commands().items() if app in OURS}
    explained = set(re.findall(r"^\| `([a-z_]+)[ `]", README, re.MULTILINE))
    assert explained == ours


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_typed_exists(document: Path) -> None:
    text = document.read_text()
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= get_commands().keys()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(), re.MULTILINE)
    assert set(named) <= targets


def test_every_url_of_the_examples_is_one_of_the_api() -> None:
    paths = re.findall(r"\$API(/[a-z/$ID]*)", README)
    assert paths
    for path in paths:
        resolve(f"/api{path.replace('$ID', '5f649d88-6599-493f-87a9-cfe124e59cd4')}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_link_leads_nowhere(document: Path) -> None:
    text = document.read_text()
    for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#:]+)\)", text):
        assert (document.parent / link).exists(), link


def test_every_dependency_is_explained() -> None:
    explained = (ROOT / "docs" / "dependencies.md").read_text()
    kinds = (
        "requirements.in",
        "requirements-uvicorn.in",
        "requirements-otel.in",
        "requirements-audio.in",
        "requirements-voices.in",
        "requirements-dev.in",
    )
    for file in kinds:
        for line in (ROOT / file).read_text().splitlines():
            name = re.split(r"[><=;\s]", line)[0]
            assert line.startswith("-r") or name in explained, name
