"""Who may do what: every route and method in one table; a route that is not in it fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import time
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from broadcast.schedule import slots
from sessions_app import api_tokens, commands, sessions
from sessions_app.files import artifacts
from sessions_app.models import Session
from smnb import health
from smnb.api import api
from smnb.asgi import application, websocket_urlpatterns
from stories.models import Source
from tests.broadcast.speech.recorded_session import recorded

pytestmark = pytest.mark.django_db

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What anonymous, stranger, editor (staff) and owner get. Staff without permissions gets what a stranger gets.
Row = tuple[int, int, int, int]

OPEN: Row = (200, 200, 200, 200)
PAGE: Row = (302, 200, 200, 200)  # any signed-in person
OWN: Row = (302, 404, 404, 200)  # a page of the owner's session
DOES: Row = (302, 404, 404, 302)  # a form on the owner's session
SIGNED_IN: Row = (401, 200, 200, 200)
MINE: Row = (401, 404, 404, 200)
MAKES: Row = (401, 404, 404, 201)

S = "sessions/<session>/"
A = "api/sessions/<session>"
D = "api/drafts/<draft>"
F = "broadcast/<session>/artifacts/"
STARTED = {"command": "start"}
SETTINGS = {
    "model": "extractive",
    "personality": "formal",
    "verbosity": "concise",
    "pace": "200",
    "language": "en",
    "instructions": "",
    "control_mode": "balanced",
    "budget_usd": "",
}
BREAK_IN = {"title": "Now", "text": "It is so.", "tone": "breaking", "when": "next"}
SLOT = {"days": ["mon"], "on_at": "09:00", "off_at": "17:00", "zone": "UTC", "enabled": "on"}

KEEPING = {
    "keep_fine_days": "30",
    "keep_answers_days": "7",
    "keep_sounds_days": "90",
    "keep_transitions_days": "30",
    "keep_events_days": "90",
    "artifact_quota_mb": "2048",
}
CONTEXT = {"compact_tokens": "4000", "reset_operations": "500", "draft_idle_minutes": "120"}
OURS = "http://localhost:8000"
BROKEN = {"kind": "error", "message": "x is not defined"}
DRAFT = {"typed": "tides", "words": "300", "style": "report"}

TABLE: dict[tuple[str, str], tuple[Row, dict[str, Any]]] = {
    **{("", method): ((302, 302, 302, 302), {}) for method in METHODS},
    ("login/", "GET"): ((200, 302, 302, 302), {}),
    ("login/", "POST"): ((200, 302, 302, 302), {}),
    ("login/", "PUT"): ((200, 302, 302, 302), {}),
    ("logout/", "POST"): ((302, 302, 302, 302), {}),
    ("healthz", "GET"): (OPEN, {}),
    ("processes/", "GET"): (PAGE, {}),
    ("watch/<token>/", "GET"): (OPEN, {}),
    ("watch/<token>/podcast.xml", "GET"): (OPEN, {}),
    ("watch/<token>/sounds/<sound>", "GET"): (OPEN, {}),
    ("watch/<token>/sounds/<sound>.vtt", "GET"): (OPEN, {}),
    ("watch/<token>/episodes/<run_number>/", "GET"): (OPEN, {}),
    ("watch/<token>/replay/<run_number>/", "GET"): (OPEN, {}),
    ("watch/<token>/replay/<run_number>/captions.vtt", "GET"): (OPEN, {}),
    ("watch/<token>/episodes/<run_number>/audio", "GET"): (OPEN, {}),
    ("watch/<token>/episodes/<run_number>/audio.<suffix>", "GET"): (OPEN, {}),
    ("watch/<token>/episodes/<run_number>/transcript.vtt", "GET"): (OPEN, {}),
    ("watch/<token>/episodes/<run_number>/transcript.srt", "GET"): (OPEN, {}),
    ("watch/<token>/episodes/<run_number>/chapters.json", "GET"): (OPEN, {}),
    ("watch/<token>/cover.png", "GET"): (OPEN, {}),
    ("watch/<token>/card.png", "GET"): (OPEN, {}),
    ("artwork/<name>.svg", "GET"): (OPEN, {}),
    # Most tests run without a speech engine.
    ("watch/<token>/stream.m3u8", "GET"): ((404, 404, 404, 404), {}),
    ("watch/<token>/stream.mp3", "GET"): ((404, 404, 404, 404), {}),
    ("watch/<token>/stream/audio.m3u8", "GET"): ((404, 404, 404, 404), {}),
    ("watch/<token>/stream/captions.m3u8", "GET"): ((404, 404, 404, 404), {}),
    ("watch/<token>/stream/<slot>-<digest>.mp3", "GET"): ((404, 404, 404, 404), {}),
    ("watch/<token>/stream/<slot>-<digest>.vtt", "GET"): ((404, 404, 404, 404), {}),
    ("watch/<token>/identification.mp3", "GET"): ((404, 404, 404, 404), {}),
    ("sessions/", "GET"): (PAGE, {}),
    ("sessions/switcher/", "GET"): (PAGE, {}),
    ("sessions/new/", "POST"): ((302, 302, 302, 302), {"name": "New", "sources": "demo"}),
    ("start/", "GET"): (PAGE, {}),
    ("start/go/", "POST"): ((302, 422, 422, 422), {}),
    ("start/sources/", "POST"): ((302, 200, 200, 200), {"sources": "demo"}),
    ("start/check/", "POST"): ((302, 200, 200, 200), {"locator": "demo"}),
    ("start/sample.mp3", "GET"): ((302, 404, 404, 404), {}),
    ("start/sample/", "POST"): ((302, 200, 200, 200), {}),
    (S, "GET"): (OWN, {}),
    (f"{S}name/", "POST"): (DOES, {"name": "Other"}),
    (f"{S}settings/", "POST"): (DOES, SETTINGS),
    (f"{S}embedding/", "POST"): (DOES, {"embedding": "anywhere"}),
    # Most tests run without a speech engine.
    (f"{S}voice/sample.mp3", "GET"): ((302, 404, 404, 404), {}),
    (f"{S}budget/", "POST"): (DOES, {"budget_usd": "5"}),
    (f"{S}expiry/", "POST"): (DOES, {"expires_on": "2999-01-01"}),
    (f"{S}clone/", "POST"): (DOES, {}),
    (f"{S}fork/", "POST"): (DOES, {"threads": "true"}),
    (f"{S}exports/", "POST"): (DOES, {"format": "csv"}),
    ("sessions/import/", "POST"): ((302, 422, 422, 422), {}),
    (f"{S}visibility/", "POST"): (DOES, {"visible": "true"}),
    (f"{S}filing/", "POST"): (DOES, {"action": "archive"}),
    (f"{S}sources/", "POST"): ((302, 404, 404, 422), {"locator": "demo"}),
    (f"{S}sources/loop/", "POST"): (DOES, {}),
    (f"{S}sources/import/", "POST"): ((302, 404, 404, 422), {}),
    (f"{S}sources.opml", "GET"): (OWN, {}),
    (f"{S}sources/group/", "POST"): (DOES, {"group": "Tech Radar"}),
    (f"{S}sources/test/", "POST"): (OWN, {"locator": "demo"}),
    (f"{S}sources/<source>/test/", "POST"): (OWN, {}),
    (f"{S}sources/<source>/remove/", "POST"): (DOES, {}),
    (f"{S}slots/", "POST"): (DOES, SLOT),
    (f"{S}slots/<slot>/", "POST"): (DOES, SLOT),
    (f"{S}slots/<slot>/switch/", "POST"): (DOES, {"enabled": "true"}),
    (f"{S}slots/<slot>/remove/", "POST"): (DOES, {}),
    (f"{S}interests/", "POST"): (DOES, {"text": "tides", "weight": "more"}),
    (f"{S}interests/<interest>/remove/", "POST"): (DOES, {}),
    ("stats/", "GET"): (PAGE, {}),
    ("docs/", "GET"): (PAGE, {}),
    ("docs/<slug>/", "GET"): (PAGE, {}),
    ("account/", "GET"): (PAGE, {}),
    ("account/profile/", "POST"): ((302, 302, 302, 302), {"first_name": "Olga"}),
    ("account/password/", "POST"): ((302, 422, 422, 422), {}),
    ("account/defaults/", "POST"): ((302, 302, 302, 302), {"language": "de"}),
    ("account/needs/", "POST"): ((302, 302, 302, 302), {"sound": "on"}),
    ("needs-you/", "GET"): (PAGE, {}),
    ("account/theme/", "POST"): ((302, 302, 302, 302), {"theme": "dark"}),
    ("account/keys/<service>/", "POST"): ((302, 302, 302, 302), {"api_key": "key-of-anybody"}),
    ("account/keys/<service>/test/", "POST"): ((302, 302, 302, 302), {}),
    ("account/keys/<service>/remove/", "POST"): ((302, 302, 302, 302), {}),
    ("account/tokens/", "POST"): ((302, 201, 201, 201), {"name": "weekly report"}),
    ("account/tokens/<bearer>/revoke/", "POST"): ((302, 302, 302, 302), {}),
    ("settings/", "GET"): (PAGE, {}),
    ("settings/stories/", "GET"): ((302, 403, 200, 403), {}),
    ("settings/defaults/", "POST"): ((302, 403, 302, 403), {"language": "de"}),
    ("settings/retention/", "POST"): ((302, 403, 302, 403), KEEPING),
    ("settings/context/", "POST"): ((302, 403, 302, 403), CONTEXT),
    ("settings/groups/", "POST"): ((302, 403, 302, 403), {"name": "New", "sources": "demo"}),
    ("settings/groups/<group>/", "POST"): ((302, 403, 422, 403), {"name": "New"}),
    ("settings/groups/<group>/move/", "POST"): ((302, 403, 302, 403), {"direction": "up"}),
    ("settings/groups/<group>/remove/", "POST"): ((302, 403, 302, 403), {}),
    ("market/", "GET"): (PAGE, {}),
    ("market/<session>/<trend>/", "GET"): ((302, 404, 404, 404), {}),
    ("drafting/", "GET"): (PAGE, {}),
    ("drafting/<session>/add/", "POST"): (DOES, {"text": "tides"}),
    ("drafting/<session>/move/", "POST"): (DOES, {"keyword": "1", "board": "ideas"}),
    ("drafting/<session>/remove/", "POST"): (DOES, {"keyword": "1"}),
    ("drafting/<session>/start/", "POST"): (DOES, DRAFT),
    ("drafting/<session>/<draft>/", "GET"): (OWN, {}),
    ("drafting/<session>/<draft>/command/", "POST"): (DOES, {"do": "stop"}),
    ("drafting/<session>/<draft>/advice/", "POST"): (DOES, {"text": "Shorter."}),
    ("drafting/<session>/<draft>/edit/", "GET"): (OWN, {}),
    ("drafting/<session>/<draft>/edit/", "POST"): ((302, 404, 404, 422), {}),
    (f"{A}/market", "GET"): (MINE, {}),
    (f"{A}/exports", "GET"): (MINE, {}),
    (f"{A}/exports", "POST"): ((401, 404, 404, 202), {"format": "csv"}),
    (f"{A}/fork", "POST"): (MAKES, {}),
    ("api/imports", "POST"): ((401, 422, 422, 422), {}),
    ("broadcast/", "GET"): (PAGE, {}),
    ("broadcast/start/", "POST"): ((302, 409, 409, 409), {}),
    ("broadcast/<session>/", "GET"): (OWN, {}),
    ("broadcast/<session>/command/", "POST"): (DOES, STARTED),
    ("broadcast/<session>/stories/<story>/decision/", "POST"): (DOES, {"decision": "veto"}),
    ("broadcast/<session>/chat/", "POST"): (DOES, {"text": "What is next?"}),
    ("broadcast/<session>/chat/<message>/plan/", "POST"): (DOES, {"do": "dismiss"}),
    (f"{A}/messages", "GET"): (MINE, {}),
    (f"{A}/messages", "POST"): (MAKES, {"text": "What is next?"}),
    (f"{A}/messages/<message>/<choice>", "POST"): ((401, 404, 404, 404), {}),
    ("broadcast/<session>/health/", "GET"): (OWN, {}),
    ("broadcast/<session>/monitor/", "GET"): (OWN, {}),
    ("broadcast/<session>/overlay/", "GET"): (OWN, {}),
    ("broadcast/<session>/overlay/preview/", "GET"): (OWN, {}),
    ("broadcast/<session>/overlay/logo/", "POST"): (DOES, BROKEN),
    ("broadcast/<session>/overlay/publish/", "POST"): (DOES, {}),
    ("broadcast/<session>/pace/", "POST"): (DOES, {"pace": "150"}),
    ("broadcast/<session>/chain/", "GET"): (OWN, {}),
    ("broadcast/<session>/chain/recover/", "POST"): (DOES, {}),
    (F, "GET"): (OWN, {}),
    (f"{F}<artifact>/", "GET"): (OWN, {}),
    (f"{F}<artifact>/remove/", "POST"): (DOES, {}),
    (f"{F}upload/", "POST"): (DOES, {}),
    (f"{F}bundle/", "POST"): (DOES, {}),
    (f"{F}record/", "POST"): (DOES, {"run": "1"}),
    (f"{F}screenshot/", "POST"): ((302, 404, 404, 422), {}),
    (f"{A}/artifacts", "GET"): (MINE, {}),
    (f"{A}/artifacts/<artifact>", "GET"): (MINE, {}),
    (f"{A}/artifacts/<artifact>", "DELETE"): (MINE, {}),
    ("broadcast/<session>/replay/", "GET"): (DOES, {}),
    ("broadcast/<session>/replay/<run_number>/", "GET"): (OWN, {}),
    ("broadcast/<session>/log/", "GET"): (OWN, {}),
    ("broadcast/<session>/log/browser/", "POST"): ((302, 404, 404, 204), BROKEN),
    ("broadcast/<session>/rundown/", "GET"): (OWN, {}),
    ("broadcast/<session>/rundown/change/", "POST"): (DOES, {"do": "pin 1"}),
    ("broadcast/<session>/break-in/", "POST"): (DOES, BREAK_IN),
    ("broadcast/<session>/stories/<story>/", "GET"): ((302, 404, 404, 404), {}),
    ("broadcast/<session>/stories/<story>/command/", "POST"): (DOES, {"do": "bookmark"}),
    ("broadcast/<session>/stories/<story>/correction/", "POST"): ((302, 404, 404, 404), {}),
    ("broadcast/<session>/threads/", "GET"): (OWN, {}),
    ("broadcast/<session>/threads/<thread>/", "GET"): ((302, 404, 404, 404), {}),
    ("broadcast/<session>/trace/", "GET"): (OWN, {}),
    ("broadcast/<session>/trace/<story>/", "GET"): ((302, 404, 404, 404), {}),
    (f"{A}/trace", "GET"): (MINE, {}),
    (f"{A}/trace/<story>", "GET"): ((401, 404, 404, 404), {}),
    (f"{S}search/", "GET"): (OWN, {}),
    ("watch/<token>/overlay/", "GET"): (OPEN, {}),
    ("watch/<token>/embed/", "GET"): (OPEN, {}),
    ("watch/<token>/logo.png", "GET"): ((404, 404, 404, 404), {}),
    ("watch/<token>/errors/", "POST"): ((204, 204, 204, 204), BROKEN),
    ("watch/<token>/feed.atom", "GET"): (OPEN, {}),
    ("watch/<token>/feed.json", "GET"): (OPEN, {}),
    (f"{A}/posts/<post>/move", "POST"): ((401, 404, 404, 404), {"after": 1}),
    (f"{A}/posts/<post>/<verb>", "POST"): ((401, 404, 404, 404), {}),
    (f"{A}/stories", "POST"): ((401, 404, 404, 201), {"title": "Now", "text": "It is so."}),
    (f"{A}/stories/<story>/correction", "POST"): (
        (401, 404, 404, 404),
        {"title": "Now", "text": "It is so.", "reason": "It was not."},
    ),
    **{("api/openapi.json", method): (OPEN, {}) for method in METHODS},
    ("api/health", "GET"): (SIGNED_IN, {}),
    # From this machine; strangers from elsewhere get 404, see test_metrics.py.
    ("metrics", "GET"): (OPEN, {}),
    ("api/sessions", "GET"): (SIGNED_IN, {}),
    ("api/sessions", "POST"): ((401, 201, 201, 201), {"name": "New"}),
    (A, "GET"): (MINE, {}),
    (A, "PATCH"): (MINE, {"name": "Other"}),
    (f"{A}/clone", "POST"): (MAKES, {}),
    (f"{A}/archive", "POST"): (MINE, {}),
    (f"{A}/restore", "POST"): (MINE, {}),
    (f"{A}/broadcast", "POST"): ((401, 404, 404, 202), STARTED),
    (f"{A}/sources", "POST"): ((401, 404, 404, 409), {"kind": "recording"}),
    (f"{A}/sources/test", "POST"): (MINE, {"locator": "demo"}),
    (f"{A}/sources/loop", "POST"): (MINE, {}),
    (f"{A}/sources", "GET"): (MINE, {}),
    (f"{A}/sources/<source>", "PATCH"): ((401, 404, 404, 422), {"sort": "new"}),
    (f"{A}/sources/<source>", "DELETE"): (MINE, {}),
    (f"{A}/interests", "GET"): (MINE, {}),
    (f"{A}/interests", "POST"): (MAKES, {"text": "tides"}),
    (f"{A}/interests/<interest>", "PATCH"): ((401, 404, 404, 404), {"weight": "less"}),
    (f"{A}/interests/<interest>", "DELETE"): ((401, 404, 404, 404), {}),
    (f"{A}/schedule", "GET"): (MINE, {}),
    (f"{A}/schedule", "POST"): (
        MAKES,
        {"days": ["mon"], "on_at": "09:00", "off_at": "10:00", "enabled": False},
    ),
    (f"{A}/schedule/<slot>", "PATCH"): (MINE, {"enabled": False}),
    (f"{A}/schedule/<slot>", "DELETE"): (MINE, {}),
    (f"{A}/search", "GET"): (MINE, {"q": "tide"}),
    (f"{A}/stories/<story>/<decision>", "POST"): ((401, 404, 404, 404), {}),
    (f"{A}/drafts", "GET"): (MINE, {}),
    (f"{A}/drafts", "POST"): (MAKES, {"keywords": ["tides"]}),
    (D, "GET"): (MINE, {}),
    (D, "POST"): (MINE, {"command": "stop"}),
    (D, "PATCH"): (MINE, {"version": 0, "title": "Now", "text": "It is so."}),
    (f"{D}/versions", "GET"): (MINE, {}),
    (f"{D}/comments", "GET"): (MINE, {}),
    (f"{D}/messages", "GET"): (MINE, {}),
    **{
        (f"{A}/{what}", "GET"): (MINE, {})
        for what in (
            "stats",
            "series",
            "stories",
            "posts",
            "usage",
            "events",
            "chain",
            "transitions",
            "story",
            "recaps",
        )
    },
}
ROUTES = sorted({route for route, _ in TABLE})
# Public URLs that are not pages of a session.
PUBLIC = {"login/", "logout/", "healthz", "metrics", "api/openapi.json", "artwork/<name>.svg"} | {
    route for route in ROUTES if route.startswith("watch/<token>/")
}


def walk(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for each in resolver.url_patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from walk(each, route)
        elif isinstance(each, URLPattern):
            yield route


def plain(route: str) -> str:
    """The route with short names for its parts, without the marks of regular expressions."""
    return re.sub(r"<(?:\w+:)?(?:(\w+?)(?:_id)?)>", r"<\1>", route).removeprefix("^").rstrip("$")


def routes() -> set[str]:
    return {plain(route) for route in walk(get_resolver())}


@pytest.fixture
def clerk(db: None) -> User:
    """A user with the mark of the staff and no permission."""
    return User.objects.create_user("clerk", password="clerk-has-a-password", is_staff=True)


@pytest.fixture
def people(
    session: Session, stranger: User, editor: User, clerk: User, client_of: Callable[[User], Client]
) -> list[Client]:
    return [Client(), *map(client_of, (stranger, editor, session.owner, clerk))]


@pytest.fixture
def visit(
    session: Session, source: Source, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Client, str, str], Any]:
    monkeypatch.setitem(health.COMPONENTS, "workers", lambda: health.OK)
    # It is generated for each request with the same result, so once is enough here.
    document = api.get_openapi_schema()
    monkeypatch.setattr(api, "get_openapi_schema", lambda **_: document)
    sessions.change(session, embedding="anywhere")
    sessions.show(session, True)
    heard = recorded(session)
    times = slots.SlotTimes(days=1, on_at=time(9), off_at=time(17), enabled=False)
    draft = commands.run("draft.start", session.owner, session, {"keywords": ["tides"]})
    kept = artifacts.store(session, "files", "a.txt", [b"text"], media_type="text/plain")
    values = {
        "draft": draft.pk,
        "artifact": kept.pk,
        "slot": slots.add(session, times).pk,
        "interest": 1,
        "message": 1,
        "choice": "apply",
        "session": session.pk,
        "token": session.watch_token,
        "source": source.pk,
        "story": 1,
        "trend": 1,
        "post": 1,
        "thread": 1,
        "verb": "pin",
        "service": "anthropic",
        "bearer": 1,
        "group": 1,
        "decision": "approve",
        "slug": "api",
        "sound": heard.pk,
        "run_number": 1,
        "suffix": "mp3",
        "name": "waves-1",
        "digest": "0123456789ab",
    }

    def send(client: Client, route: str, method: str) -> Any:
        path = "/" + re.sub(r"<(\w+)>", lambda found: str(values[found[1]]), route)
        data = TABLE.get((route, method), (None, {}))[1]
        if route.startswith("api/") and method != "GET":
            return client.generic(method, path, json.dumps(data), content_type="application/json")
        sent = getattr(client, method.lower())
        return sent(path, data if method == "POST" else {}, headers={"Origin": OURS})

    return send


def test_every_route_stands_in_the_table() -> None:
    ours = {route for route in routes() if not route.startswith("admin/")}
    assert ours - {"api/"} == set(ROUTES)


@dataclass(frozen=True)
class Answer:
    """What one person got for one method on one route."""

    status: int
    location: str
    policy: str
    sniffing: str

    @classmethod
    def of(cls, response: Any) -> Answer:
        headers = response.headers
        return cls(
            response.status_code,
            headers.get("Location", ""),
            headers.get("Content-Security-Policy", ""),
            headers.get("X-Content-Type-Options", ""),
        )

    @property
    def sent_to_sign_in(self) -> bool:
        return self.location.startswith("/login/?next=")

    @property
    def guarded(self) -> bool:
        """Whether the headers forbid foreign content and guessing of media types."""
        policy = self.policy
        return (
            "default-src 'none'" in policy and "unsafe" not in policy and self.sniffing == "nosniff"
        )


def ask(
    people: list[Client], visit: Callable[[Client, str, str], Any], route: str, method: str
) -> tuple[Answer, ...]:
    """The answers that these people get one after another; nothing of it stays."""
    cookies = [deepcopy(person.cookies) for person in people]
    with transaction.atomic():
        answers = tuple(Answer.of(visit(person, route, method)) for person in people)
        transaction.set_rollback(True)
    for person, kept in zip(people, cookies, strict=True):
        person.cookies = kept
    return answers


def test_everybody_gets_what_the_table_says_on_every_route(
    people: list[Client], visit: Callable[[Client, str, str], Any]
) -> None:
    # The mark of the staff can open only what it opens together with permissions, as the editor has.
    asked = {place: people if row[1] != row[2] else people[:4] for place, (row, _) in TABLE.items()}
    answers = {place: ask(asked[place], visit, *place) for place in sorted(TABLE)}
    got = {place: tuple(answer.status for answer in found) for place, found in answers.items()}
    assert got == {place: (*row, row[1])[: len(asked[place])] for place, (row, _) in TABLE.items()}
    assert sum(len(each) == 5 for each in asked.values()) > 5
    unguarded = [
        place
        for place, found in answers.items()
        if place[1] == "GET" and not all(answer.guarded for answer in found)
    ]
    assert unguarded == []
    let_in = [
        (route, method)
        for (route, method), found in answers.items()
        if found[0].status == 302 and route != "logout/" and not found[0].sent_to_sign_in
    ]
    assert let_in == []


def test_no_other_method_does_anything_on_any_route(
    people: list[Client], visit: Callable[[Client, str, str], Any]
) -> None:
    others = [(route, method) for route in ROUTES for method in METHODS]
    others = [place for place in others if place not in TABLE]
    anonymous_and_owner = [people[0], people[3]]
    offenders = []
    for route, method in others:
        asked = people if method == "GET" else anonymous_and_owner
        for answer in ask(asked, visit, route, method):
            refused = answer.status == 405 or answer.sent_to_sign_in or answer.location == "/"
            if method == "GET" and answer.status == 302:
                # Only its page opens, which is another row of the table.
                page = plain(resolve(answer.location).route)
                refused = refused or (page, "GET") in TABLE
            if not refused or (method == "GET" and not answer.guarded):
                offenders.append((route, method, answer))
    assert offenders == []


def test_nothing_public_is_missing_from_the_list() -> None:
    public = {route for (route, _), (row, _) in TABLE.items() if row[0] in {200, 201, 202, 204}}
    assert public <= PUBLIC


def test_the_admin_is_for_the_staff_alone(people: list[Client]) -> None:
    lists = {route for route in routes() if re.fullmatch(r"admin/\w+/\w+/(?<!done/)", route)}
    assert len(lists) > 15
    for route in lists:
        got = tuple(person.get(f"/{route}").status_code for person in people)
        assert got == (302, 302, 200, 302, 403), route


# What staff without permissions gets of the admin by GET and POST, beside 403.
OF_THE_ADMIN = {
    "admin/": (200, 200),  # an empty list
    "admin/login/": (302, 200),
    "admin/logout/": (405, 302),
    "admin/password_change/": (200, 200),
    "admin/password_change/done/": (200, 405),
    "admin/jsi18n/": (200, 405),
    "admin/autocomplete/": (403, 405),
    "admin/<app_label>/": (404, 404),
    "admin/<url>": (404, 404),
    "admin/r/<content_type>/<object>/": (404, 404),
}


def test_the_mark_of_the_staff_alone_opens_nothing_of_the_admin(
    session: Session, clerk: User, client_of: Callable[[User], Client]
) -> None:
    """Every route, with its actions: those of a list are sent to the list."""
    client, got = client_of(clerk), {}
    form = {"action": "revoke", "index": "0", ACTION_CHECKBOX_NAME: "1", "post": "yes"}
    for route in sorted(routes()):
        if not route.startswith("admin/"):
            continue
        name = re.sub(r"\^?\(\?P<(\w+)>.*?\)", r"<\1>", route)
        path = "/" + re.sub(r"<\w+>", str(session.pk) if "/session/" in name else "1", name)
        got[name] = tuple(getattr(client, method)(path, form) for method in ("get", "post"))
        if name == "admin/logout/":
            client = client_of(clerk)
    opened = {
        name: tuple(answer.status_code for answer in answers)
        for name, answers in got.items()
        # An object that is none is sent to the list of the admin before any permission is asked for.
        if not all(
            answer.status_code == 403
            or answer.get("Location") == "/admin/"
            or (answer.status_code == 302 and answer["Location"].endswith("/change/"))
            for answer in answers
        )
    }
    assert len(got) > 200
    assert opened == OF_THE_ADMIN


def test_a_wrong_password_is_locked_out_in_the_end(owner: User) -> None:
    client = Client()
    form = {"username": owner.username, "password": "wrong"}
    for _ in range(5):
        answer = client.post("/login/", form)
    assert answer.status_code == 429
    good = {**form, "password": "olga-has-a-password"}
    assert client.post("/login/", good).status_code == 429


def test_after_signing_in_nobody_is_sent_to_another_site(owner: User) -> None:
    form = {"username": owner.username, "password": "olga-has-a-password"}
    answer = Client().post("/login/?next=https://evil.example/", form)
    # The first time to the guided start, later to the sessions.
    assert answer["Location"] == "/start/"
    assert Client().post("/login/?next=https://evil.example/", form)["Location"] == "/"
    newcomer = User.objects.create_user("nora", password="nora-has-a-password")
    form = {"username": newcomer.username, "password": "nora-has-a-password"}
    answer = Client().post("/login/?next=/docs/", form | {"next": "/docs/"})
    assert answer["Location"] == "/docs/"


def test_there_are_four_sockets() -> None:
    found = {plain(str(each.pattern)) for each in websocket_urlpatterns}
    assert found == {
        "ws/sessions/<session>/",
        "ws/watch/<token>/",
        "ws/sessions/<session>/replay/<run_number>/",
        "ws/watch/<token>/replay/<run_number>/",
        "",  # all others, which are refused
    }


async def closed_with(path: str, **headers: str) -> int | str:
    """The code with which a socket is closed, or "refused" before it was opened."""
    sent = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    socket = WebsocketCommunicator(application, path, headers=sent)
    opened, _ = await socket.connect(timeout=60)
    if not opened:
        return "refused"
    closing = await socket.receive_output(timeout=60)
    return int(closing["code"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("part", ["", "replay/1/"])
async def test_sockets_are_closed_to_who_has_no_right(
    session: Session, stranger: User, clerk: User, editor: User, part: str
) -> None:
    path = f"/ws/sessions/{session.pk}/{part}"
    nowhere = f"/ws/sessions/{uuid4()}/{part}"
    assert await closed_with(path) == "refused"
    assert await closed_with(path, Origin="http://evil.example") == "refused"
    assert await closed_with(path, Origin="http://localhost:8001") == "refused"
    assert await closed_with(path, Origin="null") == "refused"
    assert await closed_with(path, Origin=OURS) == 4401
    assert await closed_with(path, Authorization="Bearer smnb_wrong") == 4401
    for user in (stranger, clerk, editor):
        token = await _made(user)
        assert await closed_with(path, Authorization=f"Bearer {token}") == 4404
        assert await closed_with(nowhere, Authorization=f"Bearer {token}") == 4404
    assert await closed_with(f"/ws/watch/{session.watch_token}/{part}") == 4404


async def _made(user: User) -> str:
    return str(await sync_to_async(api_tokens.make)(user))
