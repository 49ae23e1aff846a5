"""Artifacts in a browser: a picture of the desk, a file brought in, and each control's effect."""

from __future__ import annotations

import json
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser

NO_CAPTURE = "Object.defineProperty(MediaDevices.prototype, 'getDisplayMedia', {value: undefined})"
REFUSED = """
MediaDevices.prototype.getDisplayMedia = () => Promise.reject(
  new DOMException("Permission denied", "NotAllowedError"))
"""


@pytest.fixture(scope="module")
def session(studio: Studio) -> str:
    return studio.create("Files of a session")


def kept(studio: Studio, session: str, category: str) -> list[Any]:
    return [each for each in studio.items(session, "artifacts") if each["category"] == category]


def content(studio: Studio, artifact: Any) -> bytes:
    """The file as it lies on the disk."""
    named = studio.data.glob(f"artifacts/*/{artifact['category']}/{artifact['name']}")
    found, *_ = [
        each for each in named if sha256(each.read_bytes()).hexdigest() == artifact["sha256"]
    ]
    return found.read_bytes()


def open_desk(page: Page, studio: Studio, session: str) -> None:
    page.goto(f"{studio.url}/broadcast/{session}/")
    expect(page.locator("#session-name")).to_be_visible()


def open_artifacts(page: Page, studio: Studio, session: str) -> None:
    page.goto(f"{studio.url}/broadcast/{session}/artifacts/")
    expect(page.get_by_role("heading", name="Artifacts", exact=True)).to_be_visible()


@pytest.mark.slow
def test_a_picture_of_the_desk_is_taken_and_shown(
    owner: Page, studio: Studio, session: str
) -> None:
    open_desk(owner, studio, session)
    button = owner.get_by_role("button", name="Screenshot")
    button.click()
    said = owner.locator(".screenshot-status")
    expect(said).to_contain_text("Kept as desk-")
    expect(button).to_be_focused()
    [picture] = kept(studio, session, "screenshots")
    wide, high = struct.unpack(">II", content(studio, picture)[16:24])
    assert (wide, high) == (1280, 900)
    said.get_by_role("link").click()
    shown = owner.locator("#screenshots img")
    expect(shown).to_be_visible()
    assert (
        shown.evaluate("async image => { await image.decode(); return image.naturalWidth; }")
        == wide
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [(NO_CAPTURE, "This browser cannot take a picture"), (REFUSED, "this tab was not shared")],
)
@pytest.mark.slow
def test_why_there_is_no_picture_is_said(
    owner: Page, studio: Studio, session: str, script: str, reason: str
) -> None:
    before = len(kept(studio, session, "screenshots"))
    owner.add_init_script(script)
    open_desk(owner, studio, session)
    owner.get_by_role("button", name="Screenshot").click()
    expect(owner.locator(".screenshot-status")).to_contain_text(reason)
    expect(owner.get_by_role("button", name="Screenshot")).to_be_enabled()
    assert len(kept(studio, session, "screenshots")) == before


def test_a_file_is_brought_in_downloaded_and_removed(
    owner: Page, studio: Studio, session: str, tmp_path: Path
) -> None:
    notes = tmp_path / "notes of monday.txt"
    notes.write_text("The tide is high.")
    open_artifacts(owner, studio, session)
    owner.get_by_label("File", exact=True).set_input_files(notes)
    owner.get_by_role("button", name="Upload").click()
    name = owner.locator("#files").get_by_role("heading", level=3)
    expect(name).to_have_text("notes_of_monday.txt")
    with owner.expect_download() as coming:
        owner.get_by_role("link", name="Download notes_of_monday.txt").click()
    assert coming.value.suggested_filename == "notes_of_monday.txt"
    assert Path(coming.value.path()).read_text() == "The tide is high."
    remove = owner.locator("#files summary", has_text="Remove")
    remove.press("Enter")
    owner.keyboard.press("Tab")
    expect(owner.get_by_role("button", name="Remove it (notes_of_monday.txt)")).to_be_focused()
    owner.keyboard.press("Enter")
    expect(owner.locator("#files")).to_have_count(0)
    assert kept(studio, session, "files") == []
    assert list(studio.data.glob("artifacts/*/files/notes*")) == []


@pytest.mark.slow
def test_a_trace_bundle_says_what_the_browser_is(owner: Page, studio: Studio) -> None:
    session = studio.create("Bundled")
    open_artifacts(owner, studio, session)
    owner.get_by_role("button", name="Create trace bundle").click()
    expect(owner.locator("#devtools h3")).to_contain_text("trace-")
    [bundle] = kept(studio, session, "devtools")
    found = json.loads(content(studio, bundle))
    assert found["browser"]["window"] == [1280, 900]
    assert "Chrome" in found["browser"]["agent"]
    assert found["installation"]["health"]["status"] == "ok"


@pytest.mark.slow
def test_a_broadcast_that_ended_appears_as_a_recording_without_reloading(
    owner: Page, studio: Studio
) -> None:
    session = studio.create("To be recorded", {"kind": "recording", "locator": "demo"})
    open_artifacts(owner, studio, session)
    owner.evaluate("window.loaded = 'once'")
    studio.command(session, "start")
    studio.wait_state(session, "live")
    studio.command(session, "stop")
    expect(owner.locator("#recordings h3")).to_have_text("run-1.ndjson")
    assert owner.evaluate("window.loaded") == "once"
    lines = content(studio, kept(studio, session, "recordings")[0]).splitlines()
    states = [json.loads(line)["data"].get("air", {}).get("state") for line in lines]
    assert (states[0], states[-1]) == ("initializing", "idle")


@pytest.mark.slow
def test_a_removed_recording_is_made_again(owner: Page, studio: Studio) -> None:
    session = studio.create("Recorded twice", {"kind": "recording", "locator": "demo"})
    studio.command(session, "start")
    studio.wait_state(session, "live")
    studio.command(session, "stop")
    [first] = eventually("it is recorded", lambda: kept(studio, session, "recordings"))
    path = f"/api/sessions/{session}/artifacts/{first['id']}"
    assert studio.call("DELETE", path).status == 200
    open_artifacts(owner, studio, session)
    owner.get_by_label("Finished broadcast without a recording").select_option("1")
    owner.get_by_role("button", name="Record it").click()
    expect(owner.locator("#recordings h3")).to_have_text("run-1-2.ndjson")
    expect(owner.get_by_role("button", name="Record it")).to_have_count(0)


@pytest.mark.slow
def test_everything_is_reached_on_a_phone(owner: Page, studio: Studio, session: str) -> None:
    owner.set_viewport_size({"width": 390, "height": 844})
    open_artifacts(owner, studio, session)
    owner.get_by_role("button", name="Create trace bundle").click()
    expect(owner.locator("#devtools")).to_be_visible()
    assert owner.evaluate("document.documentElement.scrollWidth") <= 390


def test_rows_and_files_agree(studio: Studio, session: str) -> None:
    found = studio.manage("audit_sessions", "--only", "artifacts")
    assert found.returncode == 0, found.stdout
