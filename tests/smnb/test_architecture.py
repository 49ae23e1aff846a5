"""What keeps the tree a tree: imports go one way, and what must never be written is not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sessions_app.events import recorder
from smnb.env import Environment

ROOT = Path(__file__).resolve().parents[2]
APPS = ("sessions_app", "stories", "broadcast", "smnb")
HEAVY = {
    *("PIL", "anthropic", "celery", "cryptography", "feedparser", "genai_prices", "httpx2"),
    *("kombu", "markdown_it", "opentelemetry", "praw", "prawcore", "redis", "setproctitle"),
    *("segno", "text_to_num", "tldextract"),
}
SOURCES = [
    path
    for app in APPS
    for path in sorted((ROOT / app).rglob("*.py"))
    if "migrations" not in path.parts
]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))

# Packages of broadcast from low to high; what is not listed is below all of them.
AREAS = ("broadcast.public", "broadcast.studio")

# A module may import those of its own or a lower level; the highest level first. The level is that
# of the highest of the names on the module's path below its app.
LEVELS = (
    ("urls", "admin", "management", "apps"),
    (
        "views",
        "story_views",
        "source_views",
        "start_views",
        "media_views",
        "stream_views",
        "api",
        "web",
        "consumers",
    ),
    ("tasks", "forms"),
    ("DOMAIN",),
    ("models",),
    ("types", "errors", "states", "kinds"),
)
LEVEL = {name: len(LEVELS) - number for number, names in enumerate(LEVELS) for name in names}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Each import with the whole names it may bind."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"


def inner(tree: ast.AST) -> Iterator[tuple[str, ast.stmt, str]]:
    """Imports inside functions, with the name of the function."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((function.name, *found) for found in imports(function))


@cache
def text_of(path: Path) -> str:
    return path.read_text("utf-8")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


@cache
def imports_of(path: Path) -> tuple[tuple[ast.stmt, str], ...]:
    return tuple(imports(parsed(path)))


@cache
def inner_imports_of(path: Path) -> tuple[tuple[str, ast.stmt, str], ...]:
    return tuple(inner(parsed(path)))


def area(name: str) -> int:
    return next((n for n, area in enumerate(AREAS, 1) if f"{name}.".startswith(f"{area}.")), 0)


def level(parts: list[str]) -> int:
    """The level of a module by the names of its path below its app."""
    if parts[:1] == ["text"]:  # its "urls" are web addresses
        return LEVEL["DOMAIN"]
    known = [LEVEL[part] for part in parts if part in LEVEL]
    return max(known, default=LEVEL["DOMAIN"])


def test_an_app_imports_only_itself_and_lower_apps() -> None:
    offenders = []
    for path in SOURCES:
        own = APPS.index(path.relative_to(ROOT).parts[0])
        for node, name in imports_of(path):
            app = name.split(".")[0]
            if app == "tests" or (app in APPS and APPS.index(app) > own):
                offenders.append(f"{name_of(path)}:{node.lineno} imports {name}")
    assert offenders == []


def test_inside_an_app_modules_import_only_downwards() -> None:
    offenders = []
    for path in SOURCES:
        app, *rest = path.relative_to(ROOT).with_suffix("").parts
        if app == "smnb" or rest == ["apps"]:
            continue
        wiring = {id(node) for function, node, _ in inner_imports_of(path) if function == "ready"}
        for node, name in imports_of(path):
            target = name.split(".")
            if target[0] != app or len(target) == 1 or id(node) in wiring:
                continue
            own = ".".join([app, *rest])
            if level(target[1:]) > level(rest) or area(name) > area(own):
                offenders.append(f"{name_of(path)}:{node.lineno} imports {name}")
    assert offenders == []


def test_only_heavy_libraries_and_the_wiring_are_imported_inside_functions() -> None:
    offenders = [
        f"{name_of(path)}:{node.lineno} imports {name} in {function}()"
        for path in SOURCES
        for function, node, name in inner_imports_of(path)
        if name.split(".")[0] not in HEAVY
        and not (path.name == "apps.py" and function == "ready")
        # It starts the processes, and loads for each what that one needs.
        and not name_of(path).startswith("smnb/")
        # Programs of their own, which set their limits before they import anything.
        and path.name not in {"feed_parser.py", "speech_process.py"}
    ]
    assert offenders == []


@pytest.mark.parametrize("library", ["anthropic", "praw", "feedparser", "opentelemetry"])
def test_a_heavy_library_is_imported_inside_functions_of_one_package(library: str) -> None:
    users = set()
    for path in SOURCES:
        within = {id(node) for _, node, _ in inner_imports_of(path)}
        for node, name in imports_of(path):
            if name.split(".")[0] == library and not _only_for_types(parsed(path), node):
                assert id(node) in within, f"{name_of(path)}:{node.lineno}"
                users.add(path.parent)
    assert len(users) <= 1, users


def _only_for_types(tree: ast.Module, node: ast.stmt) -> bool:
    guards = [each for each in tree.body if isinstance(each, ast.If)]
    return any(
        "TYPE_CHECKING" in ast.dump(each.test) and node in list(ast.walk(each)) for each in guards
    )


def test_nothing_is_written_from_the_context() -> None:
    readers = {
        name_of(path)
        for path in SOURCES
        if re.search(r"\bcontext\.current\b|import .*\bcurrent\b|_fields\.get\(", text_of(path))
    }
    assert readers <= {"sessions_app/context.py", "smnb/logging.py", "smnb/tracing.py"}


def test_no_text_is_declared_safe() -> None:
    declared = re.compile(
        r"mark_safe|SafeString|\|\s*safe\b|safeseq|autoescape\s+off|format_html\(f[\"']|html_safe"
    )
    assert found_in([*SOURCES, *TEMPLATES], declared) == []


def test_no_template_has_script_style_or_handlers_of_its_own() -> None:
    # A block of JSON-LD is data, which no browser runs.
    inline = re.compile(
        r"<script(?![^>]*\bsrc=| type=\"application/ld\+json\">)|<style|\sstyle=|\son[a-z]+=|hx-on|hx-vals",
    )
    assert found_in(TEMPLATES, inline) == []


def test_no_view_finds_a_row_without_its_owner() -> None:
    views = [path for path in SOURCES if {"views", "api.py"} & set(path.parts)]
    unowned = re.compile(r"\.objects\.get\(pk=.*|get_object_or_404.*")
    assert views
    assert found_in(views, unowned) == []


def found_in(paths: list[Path], pattern: re.Pattern[str]) -> list[str]:
    """Every place that the pattern matches, as ``file:line: match``."""
    found = []
    for path in paths:
        text = text_of(path)
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{name_of(path)}:{line}: {match[0].strip()}")
    return found


def test_every_setting_is_explained_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    names = [str(field.alias) for field in Environment.model_fields.values()]
    assert [name for name in names if f"`{name}`" not in text and name not in text] == []


def test_every_declared_event_has_its_frames() -> None:
    frames = ROOT / "templates" / "frames"
    owner = {path.stem for path in (frames / "owner").glob("[!_]*.html")}
    public = {path.stem for path in (frames / "public").glob("[!_]*.html")}
    assert owner == set(recorder.types()) | {
        "narration.delta",
        "chat.delta",
        "draft.delta",
        "transfer.progress",
    }
    assert public == recorder.public_types()


def test_every_event_type_says_what_it_means() -> None:
    assert all(meaning.endswith(".") for meaning in recorder.types().values())


def test_no_test_runs_the_tasks_eagerly_is_skipped_or_expected_to_fail() -> None:
    words = re.compile("task_always" + "_eager|mark" + r"\.skip|mark" + r"\.xfail", re.IGNORECASE)
    # These need one of the two databases, or recorded feeds that a bare clone does not have.
    skipping = {
        "tests/broadcast/host/test_order.py",
        "tests/broadcast/test_database_faults.py",
        "tests/broadcast/test_demo_transcript.py",
        "tests/sessions_app/background/test_simulation.py",
        "tests/sessions_app/background/test_steps.py",
        "tests/smnb/test_asgi.py",
        "tests/stories/posts/test_labelled_reports.py",
    }
    found = found_in(sorted((ROOT / "tests").rglob("*.py")), words)
    assert {place.partition(":")[0] for place in found} == skipping


def test_who_catches_everything_raises_it_again_or_is_the_edge_of_a_unit_of_work() -> None:
    swallowed = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        and _is_broad(node.type)
        and not any(isinstance(each, ast.Raise) for each in ast.walk(node))
    ]
    # Every viewer of a process depends on the hub's tasks, and every session on the sweeper: one
    # round, one connection or one row may fail, but not the task. An event is one of a group.
    files = [place.partition(":")[0] for place in swallowed]
    isolation = "sessions_app/background/isolation.py"
    names = ["batching", "batching", "frames", "hub", "hub"]
    realtime = [f"sessions_app/realtime/{name}.py" for name in names]
    # A speech process answers the next text after one that failed, whatever a library raised.
    speech = "broadcast/speech/speech_process.py"
    # The last one prints the error of a fork of the studio, and ends it.
    assert files == [isolation, isolation, *realtime, speech, "smnb/runner/process.py"]


def _is_broad(type_: ast.expr | None) -> bool:
    return type_ is None or ast.unparse(type_) in {"Exception", "BaseException"}


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    lengths = {name_of(path): len(text_of(path).splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}
