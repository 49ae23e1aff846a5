"""Tries mutants of page scripts in one studio and one browser: ``pytest -p tests.mutants.page_scripts``.

Each test runs once for each chosen mutant that lists it, with the error in the script that the browser
gets. It runs once more without an error: a test that fails then has killed nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.mutants.mutant import ROOT
from tests.mutants.pages import PAGES

UNCHANGED = -1

_killed: set[int] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--page-mutants", type=json.loads, default=[], help="their places in PAGES")
    parser.addoption("--page-results", type=Path, help="the file that gets a line for each test")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    test = metafunc.definition.nodeid
    chosen = [
        number
        for number in metafunc.config.getoption("--page-mutants")
        if number == UNCHANGED or any(test.startswith(name) for name in PAGES[number].tests)
    ]
    metafunc.parametrize("page_mutant", chosen, ids=str, indirect=True)


@pytest.fixture(autouse=True)
def page_mutant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives every page of the test the script with the error in it."""
    number: int = request.param
    if number in _killed:
        pytest.skip("Another test has killed this mutant.")
    # Without an error the scripts are given in the same way, so that the way itself is tried too.
    names = {one.file for one in PAGES} if number == UNCHANGED else {PAGES[number].file}
    scripts = {name: (ROOT / name).read_text("utf-8") for name in names}
    if number != UNCHANGED:
        scripts[PAGES[number].file] = PAGES[number].applied(ROOT)
    new_page = BrowserContext.new_page

    def with_scripts(context: BrowserContext) -> Page:
        page = new_page(context)
        for name, script in scripts.items():
            page.route(f"**/{name}*", giving(script))
        return page

    monkeypatch.setattr(BrowserContext, "new_page", with_scripts)


def giving(script: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=script, content_type="text/javascript")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Notes how each part of a test ended; what the page reported shows at its very end."""
    report = yield
    if isinstance(item, pytest.Function) and not report.skipped:
        number = int(str(item.callspec.params["page_mutant"]))
        if report.failed and report.when != "setup":
            _killed.add(number)
        test = f"{item.location[0]}::{item.originalname}"
        line = {"mutant": number, "test": test, "part": report.when, "failed": report.failed}
        with item.config.getoption("--page-results").open("a") as file:
            file.write(json.dumps(line) + "\n")
    return report
