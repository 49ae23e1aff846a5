"""The log alone tells the way of a story, and leads from a request to the model it had asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pydantic import SecretStr

from broadcast.models import Airing
from sessions_app.models import Session
from sessions_app.session_logs import reader
from sessions_app.session_logs.reader import Line, LogQuery
from stories.models import TokenUsage
from tests.conftest import run_due_steps
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(settings: Any) -> Iterator[AnthropicStandIn]:
    with AnthropicStandIn() as stand_in:
        changes = {
            "anthropic_api_key": SecretStr("sk-for-tests"),
            "anthropic_base_url": stand_in.url,
        }
        settings.SMNB = settings.SMNB.model_copy(update=changes)
        yield stand_in


def all_lines(folder: str) -> list[Line]:
    """Everything in the log, oldest first."""
    return reader.find(folder, LogQuery(), limit=100_000).lines[::-1]


def way_of(lines: list[Line], story: int) -> list[str]:
    """The hops of a story, found in the lines alone."""
    (stored,) = [line for line in lines if line["event"] == "stored" and line["story"] == story]
    post = stored["post"]
    (queued,) = [line for line in lines if line["event"] == "queued" and post in line["posts"]]
    step = queued["step"]
    hops: dict[str, Callable[[Line], bool]] = {
        "chosen": lambda line: (
            line["event"] == "source.changed" and line["source"] == queued["source"]
        ),
        "fetched": lambda line: line["event"] == "fetched" and line["step"] == step,
        "queued": lambda line: line is queued,
        "claimed": lambda line: line["event"] == "claimed" and line["post"] == post,
        "asked": lambda line: line["event"] == "asked" and line["post"] == post,
        "answered": lambda line: line["event"] == "answered" and line.get("post") == post,
        "published": lambda line: line["event"] == "story.written" and line["story"] == story,
        "aired": lambda line: line["event"] == "story.aired" and line["story"] == story,
        "stored": lambda line: line is stored,
    }
    seen = [hop for line in lines for hop, is_it in hops.items() if is_it(line)]
    return list(dict.fromkeys(seen))


def test_the_log_alone_tells_the_way_of_every_story(
    session: Session, go_live: Callable[..., Any]
) -> None:
    go_live(session)
    run_due_steps(session, most=12)
    lines = all_lines(session.folder)
    aired = list(Airing.objects.filter(session=session).values_list("story", flat=True))
    assert len(aired) > 2
    for story in aired:
        way = way_of(lines, story)
        assert way[:6] == ["chosen", "fetched", "queued", "claimed", "asked", "answered"]
        assert sorted(way[6:]) == ["aired", "published", "stored"]


def test_a_request_leads_to_the_model_that_was_asked_and_to_its_bill(
    owner: User, session: Session, client_of: Callable[[User], Client], api: AnthropicStandIn
) -> None:
    Session.objects.filter(pk=session.pk).update(model="claude-haiku-4-5")
    start = {"command": "start"}
    asked = client_of(owner).post(f"/broadcast/{session.pk}/command/", start)["X-Request-ID"]
    run_due_steps(session, most=4)
    lines = reader.find(session.folder, LogQuery(request=asked, environment="agent")).lines
    calls = [line for line in lines if line["event"] == "model_asked"]
    assert calls
    for line in calls:
        row = TokenUsage.objects.select_related("step").get(attempt=line["attempt"])
        assert row.step is not None
        assert (row.step.origin or {})["request"] == asked
        assert line["stack"] == "narrate/ask"
    ends = [line for line in lines if line["event"] == "model_answered"]
    billed = TokenUsage.objects.filter(attempt__in=[line["attempt"] for line in ends])
    assert {line["provider_request"] for line in ends} == {row.request_id for row in billed}
