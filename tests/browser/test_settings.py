"""Settings of the workspace in a browser: the staff changes them, the others look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_helpers import of_session, rows
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

GROUPS, WORKSPACE = "stories_sourcegroup", "sessions_app_workspace"


@pytest.fixture
def settings(owner: Page, studio: Studio) -> Page:
    owner.goto(f"{studio.url}/settings/")
    return owner


@pytest.fixture
def defaults_afterwards(studio: Studio) -> Iterator[None]:
    """The defaults are everybody's: the tests that come later find them empty."""
    yield
    code = (
        "from sessions_app.models import Workspace; Workspace.objects.filter(pk=1)"
        ".update(defaults={})"
    )
    assert studio.manage("shell", "-c", code).returncode == 0


def groups(studio: Studio) -> list[dict[str, Any]]:
    return rows(studio, f"SELECT * FROM {GROUPS} ORDER BY position, id")


@pytest.mark.usefixtures("defaults_afterwards")
@pytest.mark.slow
def test_defaults_are_used_by_the_next_new_session(settings: Page, studio: Studio) -> None:
    form = settings.locator("#defaults form")
    form.get_by_label("Verbosity").select_option("concise")
    form.get_by_label("Language").fill("pt-BR")
    settings.get_by_role("button", name="Save defaults").click()
    expect(settings.locator("#defaults .saved")).to_have_text("Saved")
    made = studio.get(f"/sessions/{studio.create('By default')}")["settings"]
    assert (made["verbosity"], made["language"]) == ("concise", "pt-BR")


@pytest.mark.slow
def test_a_group_is_made_changed_moved_used_and_removed(settings: Page, studio: Studio) -> None:
    tabs = settings.get_by_role("navigation", name="Parts of the settings")
    tabs.get_by_role("link", name="Source groups").click()
    form = settings.locator("#group-add form")
    form.get_by_label("Name").fill("Island press")
    form.get_by_label("Sources").fill("r/islands\ndemo")
    settings.get_by_role("button", name="Add group").click()
    expect(settings.locator("#groups .saved")).to_have_text("Saved")
    made = groups(studio)[-1]
    assert (made["name"], len(json.loads(made["sources"]))) == ("Island press", 2)
    card = settings.locator(f"#group-{made['id']}")
    card.locator("summary").click()
    card.get_by_label("Sources").fill("r/islands new\nr/ferries\ndemo")
    card.get_by_role("button", name="Save group").click()
    expect(card).to_contain_text("3 sources")
    card.get_by_role("button", name="Move Island press up").click()
    expect(settings.locator(".group").last).not_to_have_id(f"group-{made['id']}")
    assert groups(studio)[-2]["id"] == made["id"]
    expect(card.get_by_role("button", name="Move Island press up")).to_be_focused()
    session = studio.create("On an island")
    settings.goto(f"{studio.url}/sessions/{session}/#tab-sources")
    settings.get_by_label("Ready-made group").select_option("Island press")
    settings.get_by_role("button", name="Add the group").click()
    expect(settings.locator("#sources li")).to_have_count(3)
    read = of_session(studio, "stories_source", session)
    assert [(row["locator"], row["sort"]) for row in read][:2] == [
        ("r/islands", "new"),
        ("r/ferries", read[1]["sort"]),
    ]
    settings.goto(f"{studio.url}/settings/#groups")
    card.locator("summary").click()
    card.get_by_role("button", name="Remove group").click()
    expect(card).to_have_count(0)
    assert "Island press" not in {row["name"] for row in groups(studio)}


def test_retention_is_saved(settings: Page, studio: Studio) -> None:
    settings.goto(f"{studio.url}/settings/#retention")
    unsaved = settings.get_by_text("Unsaved changes")
    settings.get_by_label("Fine figures, days").fill("14")
    # Only the form that was changed says so.
    expect(unsaved.locator("visible=true")).to_have_count(1)
    expect(settings.locator("#retention .form-unsaved")).to_be_visible()
    # A submit that is cancelled has saved nothing.
    settings.evaluate(
        "document.addEventListener("
        "'submit', event => event.preventDefault(), {once: true, capture: true})"
    )
    settings.get_by_role("button", name="Save retention").click()
    expect(settings.locator("#retention .form-unsaved")).to_have_role("status")
    expect(settings.locator("#retention .form-unsaved")).to_have_text("Unsaved changes")
    settings.get_by_label("API answers, days").fill("3")
    settings.get_by_label("Sounds of stories, days").fill("45")
    settings.get_by_label("Transitions of AI chains, days").fill("60")
    settings.get_by_label("Events of sessions, days").fill("120")
    settings.get_by_label("Artifacts of a session, MB").fill("5000")
    settings.get_by_role("button", name="Save retention").click()
    expect(settings.locator("#retention .saved")).to_have_text("Saved")
    expect(unsaved.locator("visible=true")).to_have_count(0)
    [kept] = rows(studio, f"SELECT * FROM {WORKSPACE}")
    days = (kept["keep_fine_days"], kept["keep_answers_days"], kept["keep_sounds_days"])
    assert days == (14, 3, 45)
    assert kept["keep_transitions_days"] == 60
    assert (kept["keep_events_days"], kept["artifact_quota_mb"]) == (120, 5000)


@pytest.mark.slow
def test_the_context_of_models_is_saved(settings: Page, studio: Studio) -> None:
    settings.goto(f"{studio.url}/settings/#context")
    settings.get_by_label("Compact after, tokens").fill("900")
    settings.get_by_label("Reset after, operations").fill("50")
    settings.get_by_label("Drafts expire after, minutes").fill("30")
    settings.get_by_role("button", name="Save context").click()
    expect(settings.locator("#context .saved")).to_have_text("Saved")
    [kept] = rows(studio, f"SELECT * FROM {WORKSPACE}")
    said = (kept["compact_tokens"], kept["reset_operations"], kept["draft_idle_minutes"])
    assert said == (900, 50, 30)


@pytest.mark.slow
def test_who_is_not_on_the_staff_sees_the_settings_and_changes_none(
    person: Page, studio: Studio
) -> None:
    person.goto(f"{studio.url}/settings/")
    expect(person.get_by_text("Only staff can change these settings.")).to_be_visible()
    for control in person.locator("main button, main input:not([type=hidden]), main select").all():
        expect(control).to_be_disabled()
    before = rows(studio, f"SELECT * FROM {WORKSPACE}"), groups(studio)
    token = person.locator("[name=csrfmiddlewaretoken]").first.input_value()
    for path in ("retention/", "defaults/", "groups/", f"groups/{before[1][0]['id']}/remove/"):
        form: dict[str, str | float | bool] = {
            "csrfmiddlewaretoken": token,
            "keep_fine_days": "1",
            "name": "Mine",
        }
        answer = person.request.post(f"{studio.url}/settings/{path}", form=form)
        assert answer.status == 403, path
    assert before == (rows(studio, f"SELECT * FROM {WORKSPACE}"), groups(studio))


@pytest.mark.slow
def test_people_are_added_in_the_admin(settings: Page, studio: Studio) -> None:
    settings.goto(f"{studio.url}/settings/#people")
    settings.get_by_role("link", name="Add a person").click()
    expect(settings.get_by_role("heading", name="Add user")).to_be_visible()
