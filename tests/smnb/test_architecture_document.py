"""The diagram of docs/architecture.md is drawn from the imports of the files that the page names."""

from __future__ import annotations

import re

from tests import architecture_diagram

DOCUMENT = """\
# Architecture

`smnb/env.py` is named outside the walk.

## From Go Live to the screen

1. `broadcast/a.py` calls `stories/b.py`, with `templates/frames/owner/` and again `broadcast/a.py`.

<!-- diagram: the command -->
an old diagram
<!-- end of diagram -->

## Layers

`smnb/urls.py`
"""


def test_the_walk_names_its_files_in_order_and_once() -> None:
    assert architecture_diagram.paths_of_walk(DOCUMENT) == [
        "broadcast/a.py",
        "stories/b.py",
        "templates/frames/owner/",
    ]


def test_both_forms_of_import_lead_to_a_module() -> None:
    graph = architecture_diagram.graph_of(
        {
            "broadcast/a.py": "from stories import b\nimport os",
            "broadcast/c.py": "from stories.b import name",
            "stories/b.py": "from broadcast.unnamed import other",
        }
    )
    assert graph == {
        "broadcast/a.py": {"stories/b.py"},
        "broadcast/c.py": {"stories/b.py"},
        "stories/b.py": set(),
    }


def test_an_import_that_a_longer_path_implies_is_omitted() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert architecture_diagram.reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_each_app_is_a_box_with_its_modules() -> None:
    graph = {"broadcast/a.py": {"stories/b.py"}, "stories/b.py": set[str]()}
    assert architecture_diagram.mermaid(graph).splitlines() == [
        "flowchart TD",
        "  subgraph broadcast",
        '    broadcast_a["a.py"]',
        "  end",
        "  subgraph stories",
        '    stories_b["b.py"]',
        "  end",
        "  broadcast_a --> stories_b",
    ]


def test_a_new_diagram_replaces_the_old_one() -> None:
    changed = architecture_diagram.with_diagram(DOCUMENT, ["sessions_app/context.py"])
    assert "an old diagram" not in changed
    block = changed.partition("<!-- diagram")[2].partition("## Layers")[0]
    assert block.splitlines() == [
        ": the command -->",
        "```mermaid",
        "flowchart TD",
        "  subgraph sessions_app",
        '    sessions_app_context["context.py"]',
        "  end",
        "```",
        "<!-- end of diagram -->",
        "",
    ]


def test_every_file_and_folder_of_the_document_exists() -> None:
    document = architecture_diagram.DOCUMENT.read_text()
    named = re.findall(r"`((?:\w+/)+(?:[\w.]+\.\w+)?)`", document)
    assert len(named) > 50
    assert [path for path in named if not (architecture_diagram.ROOT / path).exists()] == []


def test_the_diagram_of_the_document_is_that_of_the_code() -> None:
    document = architecture_diagram.DOCUMENT.read_text()
    paths = architecture_diagram.paths_of_walk(document)
    assert architecture_diagram.with_diagram(document, paths) == document
