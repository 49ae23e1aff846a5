"""A real Chromium for the tests in this folder, and a page that tolerates no error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.provision.browser import find_or_install_chromium

ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
CONTEXT: dict[str, Any] = {
    "locale": "en-US",
    "color_scheme": "dark",
    "reduced_motion": "reduce",
    "viewport": {"width": 1280, "height": 900},
}
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", event => console.error(
  `content security policy: ${event.violatedDirective} refused ${event.blockedURI || "inline"}`
  + ` at ${event.sourceFile}:${event.lineNumber}`));
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    path = find_or_install_chromium()
    if path is None:
        message = "No Chromium: set CHROMIUM=/path/to/chromium to run the browser tests."
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page_errors() -> list[str]:
    """What went wrong in the page; a test that expects an error takes it out of this list."""
    return []


@pytest.fixture
def page(browser: Browser, page_errors: list[str]) -> Iterator[Page]:
    """A page in a context of its own; errors in its console fail the test at its end."""

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            page_errors.append(message.text)

    context = browser.new_context(**CONTEXT)
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: page_errors.append(str(error)))
    yield page
    context.close()
    assert page_errors == []
