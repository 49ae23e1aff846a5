"""The table of failures names tests that exist, at least one for each of its 49 rows."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+) \|")


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} | {
        node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)
    }


def test_each_failure_has_tests_that_exist() -> None:
    rows = [
        line for line in (ROOT / "tests/FAILURES.md").read_text().splitlines() if ROW.match(line)
    ]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 50))
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert named, row
        missing = [name for path, name in named if name not in functions(path)]
        assert missing == [], row
