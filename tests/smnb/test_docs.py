"""The docs agree with the code: each lists what the other has."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.management import get_commands, load_command_class
from django.test import Client
from django.urls import Resolver404, resolve

from broadcast.chat import conversation, plans
from broadcast.host import memory
from broadcast.states import REAPER, TRANSITIONS, State
from sessions_app import audits, commands, hooks
from sessions_app.ai_chain import status
from sessions_app.commands import Nothing
from sessions_app.events import recorder
from sessions_app.models import AILink, Workspace
from smnb.docs import reference, state_diagram
from smnb.docs.reference import fields_of
from smnb.docs.views import PAGES, headings, neighbours
from smnb.env import ROOT, Environment
from stories.drafting import prompts
from stories.posts import scoring
from stories.types import FetchedPost
from tests.markup import unbroken

pytestmark = pytest.mark.django_db

SLUGS = [page.slug for page in PAGES]
UUID = "5f649d88-6599-493f-87a9-cfe124e59cd4"
Read = Callable[[str], str]


@pytest.fixture
def read_anew(owner: User, client_of: Callable[[User], Client]) -> Read:
    """The HTML of a page of the docs, below the activity bar."""
    client = client_of(owner)

    def found(slug: str) -> str:
        answer = client.get(f"/docs/{slug}/" if slug else "/docs/")
        assert answer.status_code == 200
        return answer.content.decode().partition("<main")[2]

    return found


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The pages as first read; the code does not change meanwhile."""
    return {}


@pytest.fixture
def read(pages: dict[str, str], read_anew: Read) -> Read:
    def found(slug: str) -> str:
        if slug not in pages:
            pages[slug] = read_anew(slug)
        return pages[slug]

    return found


def words(html: str) -> str:
    """The visible text of ``html``."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def rows(html: str, label: str) -> dict[str, str]:
    """The rows of the table with this label: the text of the first cell and of the other cells."""
    table = html.partition(f'aria-label="{label}"')[2].partition("</table>")[0]
    cells_of_rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in table.split("<tr")[2:]
    ]
    return {words(cells[0]).strip(): _joined(cells[1:]) for cells in cells_of_rows}


def _joined(cells: list[str]) -> str:
    return " | ".join(words(cell).strip() for cell in cells)


def test_every_variable_stands_in_the_docs_with_default_and_meaning(read: Read) -> None:
    shown = rows(read("operations"), "Variables of the environment")
    assert list(shown) == [str(field.alias) for field in Environment.model_fields.values()]
    for field in Environment.model_fields.values():
        assert field.description
        assert words(field.description) in shown[str(field.alias)]
    assert shown["PORT"].startswith("8000 |")
    assert shown["SMNB_DATA_DIR"].startswith("var |")


def test_no_secret_and_no_path_of_this_machine_is_shown(
    read_anew: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-never-shown")
    secrets = [
        name
        for name, field in Environment.model_fields.items()
        if "Secret" in str(field.annotation)
    ]
    shown = {each.name: each.default for each in reference.variables()}
    assert {shown[str(Environment.model_fields[name].alias)] for name in secrets} == {"unset"}
    for slug in SLUGS:
        shown_page = read_anew(slug)
        assert "sk-never-shown" not in shown_page
        assert str(ROOT) not in shown_page


def test_every_command_of_the_registry_stands_in_the_docs_with_its_fields(read: Read) -> None:
    shown = rows(read("api"), "Commands")
    assert list(shown) == [each.name for each in commands.all_commands()]
    for each in commands.all_commands():
        assert each.meaning in shown[each.name]
        for name in each.payload.model_fields:
            assert name in shown[each.name]


def test_every_command_of_a_plan_stands_in_the_docs(read: Read) -> None:
    shown = rows(read("desk"), "Commands of a plan")
    assert list(shown) == sorted(name for name in plans.ALLOWED if commands.exists(name))


def test_a_new_command_stands_in_the_docs_at_once(
    read_anew: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = commands.Command("tea.make", Nothing, lambda _: None, "Make tea.")
    monkeypatch.setitem(commands._registry, "tea.make", new)
    assert "Make tea." in rows(read_anew("api"), "Commands")["tea.make"]


def test_every_management_command_stands_in_the_docs_with_its_help(read: Read) -> None:
    shown = rows(read("operations"), "Management commands")
    ours = {name: str(app) for name, app in get_commands().items() if app in reference.OURS}
    assert {usage.split()[0] for usage in shown} == ours.keys()
    for usage, shown_text in shown.items():
        name = usage.split()[0]
        meaning = load_command_class(ours[name], name).help
        assert meaning
        assert words(meaning) in shown_text
    assert "audit_sessions [--json] [--only NAME] [--repair] [--apply]" in shown
    assert "go_live SESSION" in shown


def test_every_event_type_stands_in_the_docs_with_who_gets_it(read: Read) -> None:
    shown = rows(read("api"), "Event types")
    assert list(shown) == list(recorder.types())
    for type_, meaning in recorder.types().items():
        assert meaning in shown[type_]
        assert ("public" in shown[type_].rpartition("|")[2]) == (type_ in recorder.public_types())


def test_every_audit_stands_in_the_docs(read: Read) -> None:
    shown = rows(read("operations"), "Audits")
    assert list(shown) == audits.names()
    assert all(shown.values())


def test_every_hook_is_in_the_docs_with_its_subscribers(read: Read) -> None:
    shown = rows(read("operations"), "Hooks")
    assert list(shown) == [topic.name for topic in hooks.topics()]
    assert "broadcast.recaps" in shown["run.rested"]


def test_every_endpoint_stands_in_the_docs(read: Read) -> None:
    html = unbroken(read("api"))
    for each in reference.endpoints():
        place = f"<td>{each.method}</td><td><code>{each.path}</code></td>"
        assert f"{place}<td>{escape(each.summary)}</td>" in html
        assert (each.summary[-1], len(each.summary.split()) > 3) == (".", True)


def test_every_transition_is_drawn_and_written_down(read: Read) -> None:
    html = unbroken(read("going-live"))
    for (before, cause), after in TRANSITIONS.items():
        assert f"<td>{before}</td><td>{cause}</td><td>{after}</td>" in html
        assert f"{before} to {after} on {cause}" in html
    assert html.count('class="states-line"') == len(TRANSITIONS)
    assert html.count('class="states-box"') == len(State)
    assert html.count('class="states-cause"') >= len({cause for _, cause in TRANSITIONS})


def test_every_longest_time_in_a_state_is_told(read: Read) -> None:
    shown = rows(read("going-live"), "Longest time in a state")
    assert shown.keys() == {str(state) for state in REAPER}
    assert all(rule.sentence in shown[state] for state, rule in REAPER.items())


def test_the_drawing_keeps_its_boxes_apart_and_inside() -> None:
    drawn = state_diagram.draw()
    corners = {(box.x, box.y) for box in drawn.boxes}
    assert len(corners) == len(State)
    for box in drawn.boxes:
        assert 0 <= box.x <= box.x + box.wide <= drawn.wide
        assert 0 <= box.y <= box.y + box.tall <= drawn.tall
    for number in re.findall(r"-?\d+", " ".join(drawn.lines)):
        assert 0 <= int(number) <= max(drawn.wide, drawn.tall)


def test_a_line_of_the_drawing_ends_at_the_edge_of_a_state() -> None:
    drawn = state_diagram.draw()
    edges = {(box.x, box.right) for box in drawn.boxes}
    for line in drawn.lines:
        last = re.findall(r"([HV])(\d+)", line)[-1]
        if last[0] == "H":
            assert any(int(last[1]) in edge for edge in edges), line
        else:
            assert int(last[1]) in {box.y for box in drawn.boxes}, line


@pytest.mark.parametrize("slug", ["", *SLUGS])
def test_no_link_of_the_docs_leads_nowhere(read: Read, slug: str) -> None:
    here = f"/docs/{slug}/" if slug else "/docs/"
    for link in re.findall(r'href="([^"]+)"', read(slug)):
        parts = urlsplit(unescape(link))
        assert not parts.netloc, link
        path = parts.path or here
        assert resolve(path), link
        place = f'id="{parts.fragment}"'
        panel = f'section="{parts.fragment}"'  # of studio/account/_panel.html
        if parts.fragment and path.startswith("/docs/"):
            assert place in read(path.removeprefix("/docs/").strip("/")), link
        elif parts.fragment:
            pages = (ROOT / "templates" / "studio").rglob("*.html")
            texts = [page.read_text() for page in pages]
            assert any(place in text or panel in text for text in texts), link


def codes(html: str) -> list[str]:
    return [unescape(found) for found in re.findall(r"<code>(.*?)</code>", html, re.DOTALL)]


@pytest.mark.parametrize("slug", SLUGS)
def test_every_path_and_command_that_is_named_exists(read: Read, slug: str) -> None:
    variables = {str(field.alias) for field in Environment.model_fields.values()}
    for code in codes(read(slug)):
        if re.fullmatch(r"/\S*", code) and not code.startswith("/ws/"):
            path = re.sub(r"[<{](\w+)[>}]", lambda part: _value(part[1]), code)
            assert resolve(path), code
        for name in re.findall(r"manage\.py ([a-z_]+)", code):
            assert name in get_commands(), code
        if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", code):
            assert code in {*variables, "SMNB_REDIS_BIN"}, code


def _value(name: str) -> str:
    return {"token": "abc", "decision": "approve"}.get(name, UUID if "session" in name else "1")


def test_a_path_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(Resolver404):
        resolve("/watched/abc/")


@pytest.mark.parametrize("slug", SLUGS)
def test_every_heading_has_an_anchor_and_a_line_in_the_outline(read: Read, slug: str) -> None:
    html = read(slug)
    text = html.partition('class="docs-text"')[2]
    outline = html.partition('class="docs-outline"')[2].partition("</nav>")[0]
    found = re.findall(r"<h[23][^>]*>", text)
    anchors = re.findall(r'<h[23] id="([^"]+)"><a href="#\1">', text)
    assert len(found) == len(anchors) == len(set(anchors)) > 0
    assert re.findall(r'href="#([^"]+)"', outline) == anchors


def test_headings_are_read_from_a_text() -> None:
    text = '<h2 id="one"><a href="#one">One &amp; two</a></h2><p>x</p><h3 id="more">More</h3>'
    assert [(each.level, each.anchor, each.text) for each in headings(text)] == [
        (2, "one", "One & two"),
        (3, "more", "More"),
    ]


def test_pages_are_turned_in_their_order(read: Read) -> None:
    assert neighbours(PAGES[0]) == (None, PAGES[1])
    assert neighbours(PAGES[-1]) == (PAGES[-2], None)
    html = read(PAGES[1].slug)
    assert f'rel="prev" href="/docs/{PAGES[0].slug}/"' in html
    assert f'rel="next" href="/docs/{PAGES[2].slug}/"' in html
    assert f'href="/docs/{PAGES[1].slug}/" aria-current="page"' in html


def test_every_page_stands_in_the_contents(read: Read) -> None:
    html = read("")
    for page in PAGES:
        assert f'href="/docs/{page.slug}/"' in html
        assert page.summary in unescape(html)


def test_a_page_that_is_none_is_not_found(owner: User, client_of: Callable[[User], Client]) -> None:
    assert client_of(owner).get("/docs/nothing/").status_code == 404


def test_the_docs_are_for_who_is_signed_in(client: Client) -> None:
    for path in ("/docs/", "/docs/api/"):
        assert client.get(path)["Location"] == f"/login/?next={path}"


def _post(**changes: object) -> FetchedPost:
    return FetchedPost(**{"external_id": "1", "title": "Five words make a headline", **changes})  # type: ignore[arg-type]


def test_the_formulas_of_the_score_are_those_of_the_code() -> None:
    assert scoring.engagement(_post(score=200, comments=100), 0) == pytest.approx(0.4)
    assert scoring.engagement(_post(score=1000), 10) == pytest.approx(2.718281828**-1)
    assert scoring.engagement(_post(score=5000), 0) == 1
    assert scoring.recency(scoring.HALF_LIFE_HOURS) == 0.5
    full = _post(body="word " * 150, url="https://example.org/")
    assert scoring.quality(full) == pytest.approx(1.0)
    assert scoring.quality(_post()) == pytest.approx(0.25 + 0.10 + 0.15)
    assert scoring.quality(_post(body="word " * 75)) == pytest.approx(0.5 + 0.35 / 2)


def test_the_examples_are_scored_by_the_code(read: Read) -> None:
    shown = rows(read("statistics-explained"), "Examples of scores")
    now = datetime.now(UTC)
    post = FetchedPost(
        external_id="1",
        title="Town council opens the new bridge today",
        body="word " * 150,
        url="https://example.org/",
        score=900,
        comments=200,
        published_at=now - timedelta(hours=1),
    )
    found = scoring.score(post, now)
    shown_text = shown["900 votes, 200 comments, one hour old, 150 words"]
    assert shown_text.endswith(f"{found.priority:.2f}")


def test_how_long_things_are_kept_is_what_the_workspace_begins_with(read: Read) -> None:
    fresh = Workspace()
    assert f"{fresh.keep_fine_days} days" in words(read("statistics-explained"))
    assert f"{fresh.keep_answers_days} days" in words(read("api"))


def test_every_operation_of_the_chain_and_its_limits_stand_in_the_docs(read: Read) -> None:
    shown = rows(read("ai-chain"), "Operations")
    assert set(shown) == set(AILink.Source.values)
    fresh = Workspace()
    shown_text = words(read("ai-chain"))
    for fact in (
        f"At most {memory.MOST_TOKENS} tokens",
        f"After {fresh.compact_tokens} tokens",
        f"After {fresh.reset_operations} operations",
        f"After {fresh.keep_transitions_days} days",
        status.SYNCED,
        status.OUT_OF_SYNC,
        status.EMPTY,
    ):
        assert fact in shown_text


def test_what_is_remembered_summed_up_and_filed_stands_in_the_docs(read: Read) -> None:
    fresh = Workspace()
    shown_text = words(read("memory"))
    for fact in (
        f"at most {memory.MOST_SUMMARY} tokens",
        f"at most {memory.MOST_TOKENS} tokens in all",
        f"the last {conversation.EXCHANGES} exchanges",
        f"come to {fresh.compact_tokens} since",
        f"After {fresh.reset_operations} operations",
        f"{memory.MOST_STORIES} at most",
        f"at most {prompts.MOST_BEFORE} tokens",
        "/api/sessions/{session_id}/recaps",
    ):
        assert fact in shown_text, fact


def test_a_type_is_put_into_words() -> None:
    schema = {
        "required": ["n"],
        "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 9},
            "mode": {"anyOf": [{"enum": ["a", "b"], "type": "string"}, {"type": "null"}]},
            "all": {"type": "array", "items": {"$ref": "#/$defs/One"}},
        },
        "$defs": {"One": {"type": "object", "properties": {"x": {"type": "boolean"}}}},
    }
    assert [(field.type, field.required) for field in fields_of(schema)] == [
        ("whole number, 1 to 9", True),
        ("a, b", False),
        ("list of {x: true or false}", False),
    ]
