"""The memory of a session: it stays small, is summed up, and in the end starts again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from broadcast.host import memory
from broadcast.host import memory as host_memory
from sessions_app import audits, preferences, sessions
from sessions_app.ai_chain import chain, status
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.models import AILink, AITransition, Chain, Message, Session, Step, Workspace
from stories import stories
from stories.llm import Credentials, credentials
from stories.models import Story, TokenUsage
from stories.text.sentences import tokens_of
from stories.usage import accounting
from tests.conftest import MakeSession, run_due_steps
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db(transaction=True)

# Stories are made by hand here, with a length of their own and without a broadcast.
BY_HAND = ("texts", "airings")

MODEL = "claude-haiku-4-5"


@pytest.fixture(autouse=True)
def small() -> None:
    """A workspace that sums up after 500 tokens."""
    limits = preferences.workspace()
    limits.compact_tokens = 500
    limits.save()


@pytest.fixture
def plain(make_session: MakeSession) -> Session:
    return make_session(model="extractive", recording=False)


def tell(session: Session, title: str, tokens: int = 300, priority: str = "medium") -> Story:
    """A story with its link, as a narrator without a model leaves them."""
    with transaction.atomic():
        offline = chain.offline_id()
        one = Operation(source="narration", provider_id=offline, tokens=tokens, model="manual")
        chain.append(session, one)
        story = Story.objects.create(
            session=session,
            origin="manual",
            state="aired",
            title=title,
            priority=priority,
            narrative=f"{title}. The keeper said so.",
            tone="developing",
            word_count=5,
            duration=3,
            completed_at=timezone.now(),
        )
        extra = Extra(shares=accounting.story_shares(story, ()))
        sums = {"story_count": 1, "words": 5, "narration_seconds": 3}
        recorder.record(session, stories.WRITTEN, {}, story.completed_at, extra, **sums)
        return story


def links(session: Session, *sources: str) -> list[AILink]:
    rows = AILink.objects.filter(session=session).select_related("context_head")
    return list((rows.filter(source__in=sources) if sources else rows).order_by("number"))


def body(anthropic: AnthropicStandIn) -> str:
    """The latest question: the whole of what was sent."""
    return anthropic.requests[-1].body.decode()


def test_below_the_threshold_nothing_is_summed_up(plain: Session) -> None:
    tell(plain, "A mill turns", tokens=499)
    assert not Step.objects.filter(kind="compact").exists()


def test_a_summing_up_that_dies_three_times_is_told_and_tried_again(plain: Session) -> None:
    tell(plain, "A mill turns")
    tell(plain, "A ferry sinks")
    Step.objects.filter(kind="compact").update(attempts=3)
    run_due_steps(plain, "compact")
    assert "could not be summed up" in Message.objects.get(session=plain, code="compaction").text
    tell(plain, "A tram is late")
    assert run_due_steps(plain, "compact") == 1
    assert links(plain, "compaction")


def test_beyond_the_threshold_what_was_told_is_summed_up_by_rule(plain: Session) -> None:
    tell(plain, "A mill turns")
    tell(plain, "A ferry sinks")
    assert run_due_steps(plain, "compact") == 1
    (link,) = links(plain, "compaction")
    assert link.summary == "A mill turns. A ferry sinks."
    row = Chain.objects.get(session=plain)
    assert (row.base, row.head, row.tokens) == (link, link, 0)
    made = AITransition.objects.get(new=link)
    assert (made.source, made.old) == ("compaction", link.previous)
    assert not TokenUsage.objects.exists()


def test_the_summary_before_is_part_of_the_next(plain: Session) -> None:
    for title in ("A mill turns", "A ferry sinks", "A crane falls", "A comet comes"):
        tell(plain, title)
        run_due_steps(plain, "compact")
    first, second = links(plain, "compaction")
    assert first.summary == "A mill turns. A ferry sinks."
    assert second.summary.startswith(first.summary)
    assert "A crane falls. A comet comes." in second.summary


def test_a_summary_is_small_whatever_was_told(plain: Session) -> None:
    for number in range(40):
        tell(plain, f"The {number}th lighthouse on the long coast is lit again after years", 20)
    run_due_steps(plain, "compact")
    (link,) = links(plain, "compaction")
    assert 40 < tokens_of(link.summary) <= 60


def test_the_weightiest_is_kept_where_not_all_finds_room(plain: Session) -> None:
    tell(plain, "The dam above the town has burst", 10, priority="high")
    for number in range(40):
        tell(plain, f"The {number}th lighthouse on the long coast is lit again after years", 20)
    run_due_steps(plain, "compact")
    assert "The dam above the town has burst." in links(plain, "compaction")[0].summary


def test_a_story_that_was_pulled_is_not_remembered(plain: Session) -> None:
    pulled = tell(plain, "A mill turns")
    Story.objects.filter(pk=pulled.pk).update(state="killed")
    tell(plain, "A ferry sinks")
    run_due_steps(plain, "compact")
    assert links(plain, "compaction")[0].summary == "A ferry sinks."
    assert "A mill turns" not in host_memory.of_session(plain).titles


def test_narration_gets_the_summary_and_the_titles_from_its_last_on(plain: Session) -> None:
    tell(plain, "A mill turns")
    tell(plain, "A ferry sinks")
    run_due_steps(plain, "compact")
    tell(plain, "A crane falls", tokens=5)
    memory = host_memory.of_session(plain)
    assert memory.summary == "A mill turns. A ferry sinks."
    assert memory.titles == ("A crane falls", "A ferry sinks")
    assert memory.head == chain.last(plain)


@pytest.mark.databases
def test_a_story_told_while_it_is_summed_up_is_not_lost(plain: Session) -> None:
    tell(plain, "A mill turns")
    tell(plain, "A ferry sinks")
    material = memory.material_of(plain)
    tell(plain, "A crane falls")
    with transaction.atomic():
        link = memory.append_link(plain, material, "Both.")
        assert chain.set_summary(link, "Both.")
    assert "A crane falls" in host_memory.of_session(plain).titles
    assert host_memory.of_session(plain).summary == "Both."


def test_what_a_narrator_gets_is_small(plain: Session) -> None:
    for number in range(40):
        tell(
            plain, f"The {number}th lighthouse on the long coast is lit again after {'very ' * 30}"
        )
        run_due_steps(plain, "compact")
    memory = host_memory.of_session(plain)
    assert memory.summary
    assert tokens_of(memory.summary) + sum(map(tokens_of, memory.titles)) <= 200


def test_after_so_many_operations_the_context_starts_fresh(plain: Session) -> None:
    limits = preferences.workspace()
    limits.reset_operations = 10
    limits.save()
    for number in range(10):
        tell(plain, f"Lighthouse {number} is lit", tokens=60)
        run_due_steps(plain, "compact")
    (reset,) = links(plain, "reset")
    row = Chain.objects.get(session=plain)
    assert (row.base, row.operations, row.tokens) == (reset, 0, 0)
    assert AITransition.objects.get(new=reset).source == "reset"
    assert host_memory.of_session(plain).summary == ""
    tell(plain, "A mill turns")
    assert host_memory.of_session(plain).titles == ("A mill turns", "Lighthouse 9 is lit")
    assert [link.number for link in links(plain)] == list(range(1, len(links(plain)) + 1))


def test_the_context_is_reset_by_the_operation_that_reaches_the_limit(plain: Session) -> None:
    limits = preferences.workspace()
    limits.reset_operations = 3
    limits.save()
    for number, resets in ((1, 0), (2, 0), (3, 1)):
        tell(plain, f"Lighthouse {number} is lit", tokens=1)
        assert len(links(plain, "reset")) == resets
    assert not Step.objects.filter(kind="compact").exists()


def test_the_context_is_summed_up_from_the_threshold_on(plain: Session) -> None:
    tell(plain, "A mill turns", tokens=500)
    assert Step.objects.filter(kind="compact").count() == 1
    # Until it is made each link is due; then one statement finds that it is enqueued.
    with CaptureQueriesContext(connection) as asked:
        tell(plain, "A ferry sinks", tokens=1)
    about_steps = [each["sql"] for each in asked if "sessions_app_step" in each["sql"]]
    assert [sql.split()[0] for sql in about_steps] == ["SELECT"]
    assert Step.objects.filter(kind="compact").count() == 1


def test_a_workspace_without_settings_gets_the_limits_of_the_product() -> None:
    Workspace.objects.all().delete()
    assert preferences.context_limits() == (500, 4000)


def test_a_summary_from_before_a_reset_is_not_carried_past_it(plain: Session) -> None:
    tell(plain, "A mill turns")
    material = memory.material_of(plain)
    with transaction.atomic():
        chain.append(plain, Operation(source="reset", provider_id=chain.offline_id()))
        assert not chain.set_summary(memory.append_link(plain, material, "The mill."), "The mill.")
    assert host_memory.of_session(plain).summary == ""
    assert host_memory.of_session(plain).titles == ()


def test_the_model_sums_up_and_its_call_is_booked(
    make_session: MakeSession, anthropic: AnthropicStandIn
) -> None:
    session = make_session(model=MODEL, recording=False)
    tell(session, "A mill turns")
    tell(session, "A ferry sinks")
    run_due_steps(session, "compact")
    (link,) = links(session, "compaction")
    usage = TokenUsage.objects.get()
    assert (usage.operation, usage.link, usage.exact) == ("compact", link, True)
    assert usage.output_tokens == anthropic.total.output
    assert link.summary.startswith("A mill turns.")
    assert link.context_head == links(session, "narration")[-1]
    assert Chain.objects.get(session=session).base == link
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_the_question_holds_the_summary_before_and_what_was_told(
    make_session: MakeSession, anthropic: AnthropicStandIn
) -> None:
    session = make_session(model=MODEL, recording=False)
    anthropic.text = "The mill turns."
    tell(session, "A mill turns", 600)
    run_due_steps(session, "compact")
    tell(session, "5 < 6: a ferry sinks", 600)
    run_due_steps(session, "compact")
    sent = json.loads(body(anthropic))["messages"][0]["content"]
    block = json.loads(sent.split(">", 1)[1].rsplit("</", 1)[0])
    assert block["before"] == "The mill turns."
    assert [each["title"] for each in block["since"]] == ["A mill turns", "5 < 6: a ferry sinks"]
    assert sent.count("<") == 2


@pytest.mark.parametrize("mode", ["refusal", "bad_key", "empty"])
def test_a_model_that_gives_no_answer_is_replaced_by_the_rule(
    make_session: MakeSession, anthropic: AnthropicStandIn, mode: str
) -> None:
    anthropic.mode = mode
    session = make_session(model=MODEL, recording=False)
    tell(session, "A mill turns", 600)
    run_due_steps(session, "compact")
    assert links(session, "compaction")[-1].summary == "A mill turns."
    assert [found for found in audits.run() if found.audit not in BY_HAND] == []


def test_without_money_the_rule_sums_up(
    make_session: MakeSession, anthropic: AnthropicStandIn
) -> None:
    session = make_session(model=MODEL, recording=False)
    sessions.change(session, budget=0)
    tell(session, "A mill turns", 600)
    run_due_steps(session, "compact")
    assert anthropic.requests == []
    assert links(session, "compaction")[-1].summary == "A mill turns."


def test_an_overloaded_model_is_asked_again(
    make_session: MakeSession, anthropic: AnthropicStandIn
) -> None:
    anthropic.script.append("overloaded")
    session = make_session(model=MODEL, recording=False)
    tell(session, "A mill turns", 600)
    run_due_steps(session, "compact")
    assert Step.objects.get(kind="compact").state == "pending"
    Step.objects.filter(kind="compact").update(due_at=steps.now())
    run_due_steps(session, "compact")
    assert [link.summary != "" for link in links(session, "compaction")] == [True]


def test_a_worker_killed_between_answer_and_summary_forgets_nothing(
    make_session: MakeSession, anthropic: AnthropicStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(model=MODEL, recording=False)
    tell(session, "A mill turns", 600)
    monkeypatch.setattr(chain, "set_summary", _die)
    with pytest.raises(RuntimeError):
        run_due_steps(session, "compact")
    assert host_memory.of_session(session).titles == ("A mill turns",)
    monkeypatch.undo()
    found = Credentials(api_key="key-of-the-stand-in", base_url=anthropic.url)
    monkeypatch.setattr(credentials, "anthropic_of", lambda _: found)
    Step.objects.filter(kind="compact").update(due_at=steps.now())
    run_due_steps(session, "compact")
    lost, second = links(session, "compaction")
    assert (lost.summary, second.previous) == ("", lost)
    assert host_memory.of_session(session).summary == second.summary != ""
    assert status.status(session).state == status.SYNCED


def _die(*_: Any) -> bool:
    raise RuntimeError("killed")


def test_a_stop_neither_cancels_a_summary_nor_waits_for_it(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive")
    go_live(session)
    tell(session, "A mill turns", 600)
    assert steps.cancel_pending(session) > 0
    assert Step.objects.get(kind="compact").state == "pending"
