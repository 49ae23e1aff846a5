"""Finds every regular expression of the product and texts that would make each of them slow."""

from __future__ import annotations

import ast
import importlib
import math
import pkgutil
import re
import re._compiler as compiler  # type: ignore[import-not-found]
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from smnb.env import ROOT

# These see only the templates of the product.
OWN_TEXT = ("smnb/docs/views.py _HEADING", "smnb/templates.py INDENTATION")
PACKAGES = ("sessions_app", "stories", "broadcast", "smnb")
# Only these begin at one place; all others try every place of the text.
ANCHORED = {"match", "fullmatch"}
# Texts that are hard for expressions of any kind.
COMMON = (
    " ",
    "\n",
    "\t",
    "0",
    "a",
    "a ",
    "A",
    "A ",
    "<",
    "[",
    "(",
    '"',
    "'",
    ".",
    "-",
    "&",
    "/",
    "_",
)


@dataclass(frozen=True)
class Expression:
    """A compiled expression, where it is, and whether the code looks for it everywhere in a text."""

    place: str
    pattern: re.Pattern[Any]
    anchored: bool

    def read(self, text: str) -> None:
        given: Any = (
            text if isinstance(self.pattern.pattern, str) else text.encode("latin-1", "replace")
        )
        if self.anchored:
            self.pattern.match(given)
            self.pattern.fullmatch(given)
        else:
            for _ in self.pattern.finditer(given):
                pass


def all_expressions() -> list[Expression]:
    """Returns the expressions in names of modules, and those that calls contain as literals."""
    found: dict[tuple[Any, int, bool], Expression] = {}
    for package in PACKAGES:
        root = importlib.import_module(package)
        for info in pkgutil.walk_packages(root.__path__, f"{package}."):
            if ".migrations" in info.name or info.name.endswith("__main__"):
                continue
            module = importlib.import_module(info.name)
            for each in of_module(module):
                found.setdefault((each.pattern.pattern, each.pattern.flags, each.anchored), each)
    return sorted(found.values(), key=lambda each: each.place)


def of_module(module: Any) -> Iterator[Expression]:
    path = module.__file__
    tree = ast.parse(Path(path).read_text("utf-8"))
    used: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.setdefault(node.value.id, set()).add(node.attr)
    place = path.removeprefix(f"{ROOT}/")
    for name, value in vars(module).items():
        if not name.startswith("__"):
            methods = used.get(name, set()) & set(dir(re.Pattern))
            for pattern in within(value):
                yield Expression(f"{place} {name}", pattern, bool(methods) and methods <= ANCHORED)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr
            in {"sub", "search", "findall", "finditer", "split", "match", "fullmatch"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            flags = 0
            for part in ast.walk(node):
                if isinstance(part, ast.Attribute) and part.attr.isupper():
                    flags |= getattr(re, part.attr)
            pattern = re.compile(node.args[0].value, flags)
            yield Expression(f"{place}:{node.lineno}", pattern, node.func.attr in ANCHORED)


def within(value: object, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, Mapping):
        for inner in (*value, *value.values()):
            yield from within(inner, depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from within(inner, depth - 1)
    elif depth and is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from within(getattr(value, field.name), depth - 1)


def slow_text(expression: Expression, size: int) -> tuple[str, str] | None:
    """Returns a beginning and a piece with which ten times the text takes far more than ten times as long.

    A quadratic expression takes a hundred times as long. The times are those of the processor, the
    least of three, so that a busy machine changes little.
    """

    def seconds(text: str, bound: float) -> float:
        least = math.inf
        for _ in range(3):
            began = time.process_time()
            expression.read(text)
            least = min(least, time.process_time() - began)
            if least < bound:
                break
        return least

    for head, piece in hard_texts(expression.pattern):

        def text(length: int, head: str = head, piece: str = piece) -> str:
            return head + piece * (length // len(piece) + 1) + "\0"

        # The shortest first: an exponential expression would never end with a longer one.
        for length, bound in ((20, 0.005), (size, size * 1e-5)):
            if seconds(text(length), bound) > bound:
                return head, piece
        # Only what takes long is compared with a tenth of it.
        large = seconds(text(10 * size), 0.01)
        if large > 0.01 and large > 30 * seconds(text(size), 0):
            return head, piece
    return None


def hard_texts(pattern: re.Pattern[Any]) -> list[tuple[str, str]]:
    """Returns beginnings and pieces: each beginning before many times its piece may be slow."""
    source = pattern.pattern
    tree = parser.parse(
        source, pattern.flags & ~re.DEBUG if isinstance(source, str) else pattern.flags
    )
    found = {("", piece) for piece in COMMON}
    for before, body in repeats(tree, ""):
        for piece in examples(body):
            found |= {("", piece), (before, piece)}
            for other in ("", " ", "\n", "."):
                found |= {
                    ("", before + piece + other),
                    (before, piece + other),
                    ("", before + other),
                }
    for whole in examples(tree):
        found |= {("", whole), ("", whole[:-1]), ("", whole + " ")}
    return sorted((head, piece) for head, piece in found if piece)


def repeats(tree: Iterable[Any], before: str) -> Iterator[tuple[str, Any]]:
    """Yields the body of each long repetition, and an example of what comes before it."""
    for code, argument in tree:
        if code in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
            _, most, body = argument
            yield from repeats(body, before)
            if most is codes.MAXREPEAT or most > 20:
                yield before, body
        else:
            for inner in inside(code, argument):
                yield from repeats(inner, before)
        if code not in {codes.ASSERT, codes.ASSERT_NOT}:
            before += example([(code, argument)])


def inside(code: Any, argument: Any) -> list[Any]:
    if code is codes.SUBPATTERN:
        return [argument[3]]
    if code is codes.BRANCH:
        return list(argument[1])
    if code in {codes.ASSERT, codes.ASSERT_NOT}:
        return [argument[1]]
    if code is codes.ATOMIC_GROUP:
        return [argument]
    if code is codes.GROUPREF_EXISTS:
        return [each for each in argument[1:] if each]
    return []


def example(tree: Iterable[Any]) -> str:
    return examples(tree)[0]


def examples(tree: Iterable[Any]) -> list[str]:
    """Returns some texts that match, without regard to what is asserted around them."""
    made = [""]
    for code, argument in tree:
        if code is codes.LITERAL:
            parts = [chr(argument)]
        elif code is codes.NOT_LITERAL:
            parts = ["a" if argument != ord("a") else "b"]
        elif code is codes.ANY:
            parts = ["a"]
        elif code is codes.IN:
            parts = members(argument)
        elif code in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
            parts = [each * max(1, argument[0]) for each in examples(argument[2])]
            parts += [] if argument[0] else [""]
        elif code in {codes.ASSERT, codes.ASSERT_NOT, codes.AT, codes.GROUPREF}:
            parts = [""]
        else:
            parts = [each for inner in inside(code, argument) for each in examples(inner)][:4]
        made = [before + part for part in parts or [""] for before in made][:4]
    return made


def members(items: Any) -> list[str]:
    """Returns some characters of a set: those named in it, or else usual ones that belong to it."""
    one = parser.SubPattern(parser.State(), [(codes.IN, items)])
    belongs = compiler.compile(one, re.UNICODE).match
    named = [chr(part[0] if code is codes.RANGE else part) for code, part in items if code in NAMED]
    return [each for each in dict.fromkeys((*named, *USUAL)) if belongs(each)][:3]


NAMED = {codes.LITERAL, codes.RANGE}
USUAL = 'a 0A<["-.\n\u4e00\u00e9'
