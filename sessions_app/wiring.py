"""How the modules of an app make themselves known: each has a ``register()``, and is found by it.

So whoever adds a command, a kind of step or a rule writes it in one file.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

# The rooms above the domain are wired by Django itself.
ABOVE = frozenset(
    {
        "admin", "api", "apps", "consumers", "forms", "management", "migrations", "routing",
        "tasks", "templatetags", "urls", "views",
    }
)  # fmt: skip

# Programs of their own, in processes of their own: what they import stays out of ours.
PROGRAMS = frozenset({"parser", "speaker"})


def register(app: str) -> None:
    """Import every domain module of an app and call its ``register()``, by the order of names."""
    for module in list(modules(import_module(app))):
        function = getattr(module, "register", None)
        if inspect.isfunction(function) and _takes_nothing(function, module):
            function()


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """The modules of a package and those of the packages in it."""
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        if found.name in ABOVE | PROGRAMS:
            continue
        module = import_module(f"{package.__name__}.{found.name}")
        yield module
        if found.ispkg:
            yield from modules(module)


def _takes_nothing(function: object, module: ModuleType) -> bool:
    """Whether this is how the module registers itself, and not how others register with it."""
    return (
        inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not inspect.signature(function).parameters
    )
