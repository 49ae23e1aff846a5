"""Checks how the code and the pages read: ``python -m tests.readability`` (part of ``make check``).

Counts words that the project's vocabulary avoids, ``dict[str, Any]``, ``# fmt: skip``, the length of
functions and private functions that are used once. Exits 1 and names the places when a count is over
its bound.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from smnb.env import ROOT

AVOIDED_WORDS = re.compile(
    r"(?<!\w)(anew|nobody|whoever|somebody|anybody|told|said|kept|stands?|mended?|goes on"
    r"|by itself|by themselves|of late|brought in|as everywhere|put right|astray|who has"
    r"|whose turn)(?!\w)",
    re.IGNORECASE,
)
MAX_WORDS_PER_10000_LINES = {"*.py": 10, "*.md": 15, "*.html": 15}
MAX_ANY_DICTS = 60
MAX_FORMAT_SKIPS = 40
MAX_FUNCTION_LINES = 60
MAX_ONE_USE_PERCENT = 10


def tracked(pattern: str) -> list[Path]:
    """Returns the tracked files that match, without migrations and vendored files."""
    listing = subprocess.run(
        ["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [Path(name) for name in listing.stdout.split()]
    return [path for path in paths if not {"migrations", "vendor", "var"} & set(path.parts)]


def places(paths: list[Path], pattern: re.Pattern[str]) -> list[str]:
    """Returns ``file:line: text`` for each match in the files."""
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate((ROOT / path).read_text("utf-8").splitlines(), 1)
        for _ in pattern.finditer(line)
    ]


def problems() -> Iterator[str]:
    """Yields a line for each place of a kind that is over its bound, and each function too long."""
    python = tracked("*.py")
    code = [path for path in python if path.parts[0] != "tests"]
    for pattern, bound in MAX_WORDS_PER_10000_LINES.items():
        paths = code if pattern == "*.py" else tracked(pattern)
        lines = sum((ROOT / path).read_text("utf-8").count("\n") for path in paths)
        words = places(paths, AVOIDED_WORDS)
        if len(words) * 10_000 > bound * lines:
            yield f"{len(words)} words to avoid in {lines} lines of {pattern}:"
            yield from words
    for text, paths, bound in (
        ("dict[str, Any]", code, MAX_ANY_DICTS),
        ("# fmt: skip", python, MAX_FORMAT_SKIPS),
    ):
        matches = places(
            [path for path in paths if path.name != "readability.py"], re.compile(re.escape(text))
        )
        if len(matches) > bound:
            yield f"{len(matches)} times {text}, at most {bound}:"
            yield from matches
    yield from function_problems(code)


def function_problems(paths: list[Path]) -> Iterator[str]:
    functions, one_use = 0, []
    for path in paths:
        text = (ROOT / path).read_text("utf-8")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            functions += 1
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"
            private = node.name.startswith("_") and not node.name.startswith("__")
            if private and len(re.findall(rf"\b{re.escape(node.name)}\b", text)) == 2:
                one_use.append(f"{path}:{node.lineno}: {node.name}")
    if len(one_use) * 100 > MAX_ONE_USE_PERCENT * functions:
        yield f"{len(one_use)} of {functions} functions are private and used once:"
        yield from one_use


def main() -> int:
    found = list(problems())
    print("\n".join(found) or "readability: all counts are within their bounds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
