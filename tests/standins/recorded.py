"""Where test data lies: our own in ``tests/data``, and recorded answers beside the repository."""

from __future__ import annotations

from pathlib import Path

DATA: Path = Path(__file__).resolve().parents[1] / "data"
FIXTURES: Path = DATA.parents[2] / "shared" / "fixtures"


def recorded(kind: str, pattern: str) -> list[Path]:
    """Files of a kind ("feeds", "reddit", "anthropic"): our own, then recorded ones if present."""
    roots = (DATA / kind, FIXTURES / kind)
    return [path for root in roots for path in sorted(root.glob(pattern)) if path.is_file()]
