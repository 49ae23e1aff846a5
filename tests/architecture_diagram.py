"""Draws the imports between the files that docs/architecture.md walks through, as a Mermaid graph.

``python -m tests.architecture_diagram`` prints the graph; ``--write`` replaces the one in the document.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "architecture.md"
WALK = "## From Go Live to the screen"
BLOCK = re.compile(r"(<!-- diagram: [^\n]* -->\n).*?(<!-- end of diagram -->)", re.DOTALL)

Graph = dict[str, set[str]]


def paths_of_walk(document: str) -> list[str]:
    """Returns the files and folders that the walk names, in order, each once."""
    walk = document.partition(WALK)[2].partition("\n## ")[0]
    named = re.findall(r"`((?:\w+/)+(?:[\w.]+\.\w+)?)`", walk)
    return list(dict.fromkeys(named))


def imports_of(source: str) -> set[str]:
    """Returns the dotted names that a module imports; ``from a import b`` gives ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def graph_of(sources: Mapping[str, str]) -> Graph:
    """Returns which of the modules in ``sources`` (path to text) imports which others of them."""
    path_of = {path.removesuffix(".py").replace("/", "."): path for path in sources}
    return {
        path: {
            target
            for name in imports_of(source)
            for target in (path_of.get(name), path_of.get(name.rpartition(".")[0]))
            if target is not None and target != path
        }
        for path, source in sources.items()
    }


def reduced(graph: Graph) -> Graph:
    """Returns the graph without each edge that a longer path implies; there must be no cycle."""
    return {
        path: {
            target
            for target in targets
            if not any(target in reachable(graph, other) for other in targets - {target})
        }
        for path, targets in graph.items()
    }


def reachable(graph: Graph, start: str) -> set[str]:
    """Returns every node that a path from ``start`` leads to."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        fresh = graph[waiting.pop()] - seen
        seen |= fresh
        waiting.extend(fresh)
    return seen


def mermaid(graph: Graph) -> str:
    """Returns the graph as Mermaid text, one box for each app."""
    lines = ["flowchart TD"]
    for app in dict.fromkeys(path.split("/")[0] for path in graph):
        inside = [path for path in graph if path.startswith(f"{app}/")]
        lines += [
            f"  subgraph {app}",
            *(f'    {_id(path)}["{path.removeprefix(f"{app}/")}"]' for path in inside),
            "  end",
        ]
    lines += [
        f"  {_id(path)} --> {_id(target)}"
        for path, targets in graph.items()
        for target in sorted(targets)
    ]
    return "\n".join(lines)


def _id(path: str) -> str:
    return re.sub(r"\W", "_", path.removesuffix(".py"))


def with_diagram(document: str, paths: Iterable[str]) -> str:
    """Returns the document with a new diagram of the Python files among ``paths``."""
    sources = {path: (ROOT / path).read_text() for path in paths if path.endswith(".py")}
    diagram = mermaid(reduced(graph_of(sources)))
    return BLOCK.sub(lambda found: f"{found[1]}```mermaid\n{diagram}\n```\n{found[2]}", document)


def main() -> None:
    document = DOCUMENT.read_text()
    changed = with_diagram(document, paths_of_walk(document))
    if "--write" in sys.argv:
        DOCUMENT.write_text(changed)
    else:
        print(BLOCK.search(changed)[0])  # type: ignore[index]


if __name__ == "__main__":
    main()
