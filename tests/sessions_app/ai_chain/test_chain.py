"""The AI chain has no gaps or forks, keeps its order, and is repaired after damage."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from sessions_app.ai_chain import chain, status
from sessions_app.ai_chain.chain import Operation
from sessions_app.models import AILink, AITransition, Chain, Message, Session
from tests.chain_links import join, lose_head, numbers_in_order, patiently
from tests.concurrency import together
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)


def numbers(session: Session) -> list[tuple[int, int | None]]:
    """Returns (number, previous number) of each link."""
    rows = AILink.objects.filter(session=session).order_by("number")
    return list(rows.values_list("number", "previous__number"))


def head_of(session: Session) -> AILink | None:
    return Chain.objects.get(session=session).head


def recovery_messages(session: Session) -> list[str]:
    rows = Message.objects.filter(session=session, code="chain_recovered")
    return list(rows.order_by("id").values_list("text", flat=True))


def test_each_link_follows_the_one_before(session: Session) -> None:
    found = [join(session) for _ in range(3)]
    assert numbers(session) == numbers_in_order(3)
    assert head_of(session) == found[-1]
    assert status.status(session).state == "SYNCED"


def test_each_link_is_recorded_with_the_one_before_it(session: Session) -> None:
    first, second = join(session), join(session, "chat")
    rows = AITransition.objects.filter(session=session).order_by("id")
    assert [(row.old, row.new, row.source) for row in rows] == [
        (None, first, "narration"),
        (first, second, "chat"),
    ]


def test_a_link_belongs_to_a_transaction(session: Session) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        chain.append(session, Operation(source="chat", provider_id="x"))


@pytest.mark.databases
def test_a_rolled_back_operation_leaves_no_link_and_no_gap(session: Session) -> None:
    join(session)
    with transaction.atomic():
        chain.append(session, Operation(source="chat", provider_id="lost"))
        transaction.set_rollback(True)
    join(session)
    assert numbers(session) == numbers_in_order(2)
    assert status.status(session).state == "SYNCED"


@pytest.mark.databases
def test_two_operations_that_end_at_once_follow_each_other(session: Session) -> None:
    first = join(session)
    found = together(2, lambda _: join(session))
    assert sorted(link.number for link in found) == [2, 3]
    assert {link.previous_id for link in found} == {first.pk, min(found, key=by_number).pk}


def by_number(link: AILink) -> int:
    return link.number


@pytest.mark.databases
def test_fifty_operations_that_end_at_once_leave_one_unbroken_chain(session: Session) -> None:
    sources = list(AILink.Source.values)

    def operate(number: int) -> None:
        patiently()
        join(session, sources[number % 4], tokens=number)

    assert together(50, operate) == [None] * 50
    found = status.status(session, None)
    assert numbers(session) == numbers_in_order(50)
    assert (found.state, found.links, found.rate) == ("SYNCED", 50, 100.0)
    row = Chain.objects.get(session=session)
    assert (row.tokens, row.operations) == (sum(range(50)), 50)


def test_sessions_have_chains_of_their_own(make_session: MakeSession) -> None:
    one, other = make_session(), make_session("Evening")
    together(8, lambda number: join(other if number % 2 else one))
    assert numbers(one) == numbers(other) == numbers_in_order(4)


@pytest.mark.databases
def test_the_database_refuses_a_fork(session: Session) -> None:
    first = join(session)
    join(session)
    with pytest.raises(DatabaseError), transaction.atomic():
        AILink.objects.create(
            session=session, number=3, previous=first, source="chat", provider_id="fork"
        )


@pytest.mark.databases
def test_the_database_refuses_a_second_beginning(session: Session) -> None:
    join(session)
    with pytest.raises(DatabaseError), transaction.atomic():
        AILink.objects.create(session=session, number=2, source="chat", provider_id="again")


@pytest.mark.databases
def test_the_database_refuses_a_link_behind_that_of_another_session(
    make_session: MakeSession,
) -> None:
    alien = join(make_session("Evening"))
    with pytest.raises(DatabaseError), transaction.atomic():
        AILink.objects.create(
            session=make_session(), number=2, previous=alien, source="chat", provider_id="x"
        )


@pytest.mark.databases
def test_a_link_of_a_run_that_does_not_exist_is_refused(session: Session) -> None:
    with pytest.raises(DatabaseError):
        join(session, run_number=7)
    assert numbers(session) == []


def test_a_compaction_is_the_base_from_which_tokens_count(session: Session) -> None:
    join(session)
    summary = join(session, "compaction", summary="All of it.")
    join(session, tokens=7)
    row = Chain.objects.get(session=session)
    assert (row.base, row.tokens, row.operations) == (summary, 7, 3)


def test_a_reset_starts_the_count_of_operations_again(session: Session) -> None:
    join(session)
    reset = join(session, "reset", tokens=0)
    join(session)
    row = Chain.objects.get(session=session)
    assert (row.base, row.tokens, row.operations) == (reset, 10, 1)


@pytest.mark.databases
@pytest.mark.parametrize("lost", ["head", "row"])
def test_a_lost_head_is_recovered_and_reported(session: Session, lost: str) -> None:
    join(session)
    base = join(session, "compaction")
    last = join(session)
    if lost == "head":
        lose_head(session)
    else:
        Chain.objects.filter(session=session).delete()
    following = join(session)
    assert (following.previous, following.number) == (last, 4)
    assert recovery_messages(session) == [
        "The AI chain lost its latest link; it continues from link 3, the last valid one."
    ]
    row = Chain.objects.get(session=session)
    assert (row.base, row.tokens, row.operations) == (base, 20, 4)


def test_a_head_that_fell_behind_is_recovered_and_recorded(session: Session) -> None:
    first, second = join(session), join(session)
    lose_head(session, first)
    assert status.status(session).state == "OUT_OF_SYNC"
    assert chain.recover(session) == second
    found = AITransition.objects.get(source=AITransition.RECOVERY)
    assert (found.old, found.new) == (first, second)
    assert status.status(session).state == "SYNCED"


def test_a_sound_head_is_left_alone(session: Session) -> None:
    last = join(session)
    assert chain.recover(session) == last
    assert recovery_messages(session) == []
    assert AITransition.objects.filter(source="recovery").count() == 0


def test_an_empty_chain_starts_fresh(session: Session) -> None:
    assert chain.recover(session) is None
    found = chain.find(session, "msg_unknown")
    assert found.link is None
    assert "starts fresh" in found.note
    assert join(session).number == 1


def test_a_link_is_found_by_its_id_and_by_its_number(session: Session) -> None:
    join(session)
    second = join(session, provider_id="msg_2")
    join(session)
    assert chain.find(session, " msg_2 ").link == second
    assert chain.find(session, "2").link == second
    assert chain.find(session, "2").note == ""


@pytest.mark.parametrize(
    "named",
    [
        "msg_nobody_knows",
        "0",
        "99",
        "-1",
        "1e9",
        "9" * 40,
        "\x00",
        "a\x00b",
        "",
        "²",
        "'; --",
        "x" * 5000,
        "٣",
    ],
)
def test_an_unknown_or_malformed_id_continues_from_the_latest_with_a_note(
    session: Session, named: str
) -> None:
    last = join(session)
    found = chain.find(session, named)
    assert found.link == last
    assert found.note == "This id is unknown, so it continues from link 1, the latest."


def test_the_id_of_another_session_is_unknown_here(make_session: MakeSession) -> None:
    alien = join(make_session("Evening"), provider_id="msg_alien")
    own = join(make_session())
    found = chain.find(own.session, "msg_alien")
    assert found.link == own != alien
    assert found.note


def harm(sql: str, *values: Any) -> None:
    """Damages the database with raw SQL."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.mark.databases
def test_a_missing_transition_is_found(session: Session) -> None:
    links = [join(session) for _ in range(4)]
    AITransition.objects.filter(new=links[1]).delete()
    found = status.status(session)
    assert (found.state, found.rate) == ("OUT_OF_SYNC", 75.0)
    assert found.problems == ("1 link is without a transition",)


@pytest.mark.databases
def test_a_link_in_the_wrong_place_is_found(session: Session) -> None:
    for _ in range(3):
        join(session)
    harm("UPDATE sessions_app_ailink SET number = 9 WHERE number = 3")
    found = status.status(session)
    assert found.state == "OUT_OF_SYNC"
    assert "6 links are missing" in found.problems
    assert "1 link is not behind the one before" in found.problems


def test_only_the_latest_links_are_checked_unless_all_are_requested(session: Session) -> None:
    links = [join(session) for _ in range(5)]
    AITransition.objects.filter(new=links[0]).delete()
    near, whole = status.status(session, 3), status.status(session, None)
    assert (near.state, near.seen, near.links) == ("SYNCED", 3, 5)
    assert (whole.state, whole.seen, whole.links) == ("OUT_OF_SYNC", 5, 5)


def test_a_status_costs_the_same_at_any_length(
    session: Session, django_assert_num_queries: Any
) -> None:
    for count in (1, 20):
        for _ in range(count):
            join(session)
        with django_assert_num_queries(7):
            status.status(session)


def test_the_rate_counts_chains_that_have_begun(make_session: MakeSession) -> None:
    assert status.synced_counts() == (0, 0)
    one, other, lost = make_session("1"), make_session("2"), make_session("3")
    make_session("without a chain")
    for session in (one, other, lost):
        first = join(session)
        join(session)
    lose_head(one)
    lose_head(other, AILink.objects.get(session=other, number=1))
    assert first.session == lost
    assert status.synced_counts() == (1, 3)
    Chain.objects.filter(session=lost).delete()
    assert status.synced_counts() == (0, 3)


@pytest.mark.parametrize(
    ("counted", "text"),
    [
        ((0, 0), "EMPTY: no chain has begun"),
        ((1, 1), "SYNCED: 100 % of 1 chain"),
        ((2, 3), "OUT_OF_SYNC: 66.6 % of 3 chains"),
        ((99_999, 100_000), "OUT_OF_SYNC: 99.9 % of 100,000 chains"),
    ],
)
def test_the_summary_shows_100_per_cent_only_if_all_are_synced(
    counted: tuple[int, int], text: str
) -> None:
    assert status.summary(*counted) == text
