"""Templates are readable, and are rendered without the indentation of their source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.template import engines
from django.template.loader import get_template

from tests.template_lines import broken_attributes, too_long

LONG = ("templates/a.html:1", "x" * 121)
LONGER = ("templates/a.html:2", "x" * 201)
SHORT = ("templates/a.html:3", "x" * 120)


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([SHORT, LONG], [LONG]),
        ([SHORT] * 97 + [LONG] * 3, []),
        ([SHORT] * 96 + [LONG] * 4, [LONG] * 4),
        ([SHORT] * 99 + [LONGER], [LONGER]),
    ],
)
def test_lines_that_are_too_long_are_named(
    lines: list[tuple[str, str]], named: list[tuple[str, str]]
) -> None:
    assert too_long(lines) == [f"{place}: {len(line)} columns" for place, line in named]


@pytest.mark.parametrize("line", ['  hx-trigger="submit, change', '<a aria-label="Switch it'])
def test_a_value_that_goes_on_in_the_next_line_is_named(line: str) -> None:
    whole = ("templates/a.html:1", '<a aria-label="Switch it" hx-get="/x/" class="a')
    assert broken_attributes([whole, ("templates/a.html:2", line)]) == [
        "templates/a.html:2: value broken over lines"
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """A folder that templates are loaded from, as from the folder of this project."""
    engine = engines["django"].engine  # type: ignore[attr-defined]
    engine.dirs.append(str(tmp_path))
    yield tmp_path
    engine.dirs.remove(str(tmp_path))


def test_only_the_indentation_of_the_source_is_dropped(folder: Path) -> None:
    source = "<ul>\n  <li>\n\t{{ text }}  a  b\n  </li>\n</ul>\n<pre>\n  as it is\n</pre>\n"
    (folder / "loaded.html").write_text(source)
    shown = get_template("loaded.html").render({"text": "one\n  two"})
    assert shown == "<ul>\n<li>\none\n  two  a  b\n</li>\n</ul>\n<pre>\n  as it is\n</pre>\n"


def test_an_icon_is_drawn_with_the_attributes_it_is_given_each_time() -> None:
    template = engines["django"].from_string(
        '{% load lucide %}{% lucide "square" size=18 class=name %}'
    )
    for name, shown in (("big", "big"), ('"<', "&quot;&lt;"), ("big", "big")):
        assert template.render({"name": name}) == (
            '<svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor"'
            ' stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'
            f' class="{shown}">\n  <rect width="18" height="18" x="3" y="3" rx="2" />\n</svg>'
        )
