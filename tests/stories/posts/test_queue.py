"""Posts: stored once per session and source, claimed once, and none waits forever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from sessions_app.background import isolation, steps
from sessions_app.background.steps import Claim
from sessions_app.models import FailedWork, Session, Step
from stories.models import Source, SourcePost
from stories.posts import queue
from stories.sources import service
from stories.sources.service import SourceSpec
from stories.types import FetchedPost
from tests.concurrency import together
from tests.conftest import MakeSession, make_post

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TITLES = (
    "A bridge closes for repairs in the harbour",
    "Seven owls were counted on the old mill",
    "The council postpones its vote on parking",
    "Rain is forecast for the whole of Thursday",
)


@pytest.fixture
def other_source(session: Session) -> Source:
    spec = SourceSpec(kind="rss", locator="https://other.example/feed")
    return service.add(session, spec)


def add(source: Source, *fetched: FetchedPost) -> queue.Added:
    with transaction.atomic():
        return queue.add(source, fetched, steps.now())


def claim(session: Session, subject: int = 1) -> Claim:
    held = steps.claim(steps.enqueue(session, "narrate", subject).pk)
    assert held is not None
    return held


def again(held: Claim) -> Claim:
    """The worker died, and another one claims its step."""
    Step.objects.filter(pk=held.step.pk).update(lease_until=steps.now() - timedelta(seconds=1))
    claim = steps.claim(held.step.pk)
    assert claim is not None
    return claim


def state(post: SourcePost) -> str:
    return SourcePost.objects.get(pk=post.pk).state


def test_the_same_post_is_inserted_once(source: Source) -> None:
    assert len(add(source, FetchedPost("1", TITLES[0])).posts) == 1
    assert add(source, FetchedPost("1", TITLES[0])) == queue.Added([], 0)
    assert SourcePost.objects.count() == 1
    # It was not even tried: the database's refusal would be noted as failed work.
    assert not FailedWork.objects.exists()


def test_a_post_that_lost_its_id_is_known_by_what_it_says_when_it_is_read_again(
    source: Source,
) -> None:
    read = (
        FetchedPost("1", TITLES[0], url="https://news.example/bridge"),
        FetchedPost("2", TITLES[1], "Seven of them, two more than last year."),
    )
    assert len(add(source, *read).posts) == 2
    SourcePost.objects.filter(external_id="1").update(external_id="damaged")
    SourcePost.objects.filter(external_id="2").update(external_id="")
    assert {post.state for post in add(source, *read).posts} <= {"skipped"}
    waiting = SourcePost.objects.filter(state=SourcePost.State.QUEUED)
    assert set(waiting.values_list("title", flat=True)) == {TITLES[0], TITLES[1]}
    assert waiting.count() == 2


@pytest.mark.databases
def test_an_entry_that_cannot_be_stored_costs_no_other(source: Source) -> None:
    # Half a surrogate pair is a text of Python that no database accepts.
    bad = FetchedPost(external_id="b", title="An entry with \ud800 in it", body="", url="")
    good = [
        FetchedPost(external_id=str(number), title=title, body="", url="")
        for number, title in enumerate(TITLES)
    ]
    for tries in range(1, 4):
        add(source, bad, *good)
        assert SourcePost.objects.count() == len(good)
        assert FailedWork.objects.get().tries == tries
        FailedWork.objects.update(next_try_at=steps.now() - timedelta(seconds=1))
    assert isolation.set_aside(source.session_id).count() == 1
    FailedWork.objects.update(next_try_at=steps.now() + timedelta(hours=1))
    add(source, bad)
    assert FailedWork.objects.get().tries == 3


@pytest.mark.databases
@pytest.mark.parametrize("number", [10**400, -(10**400), 2**31, 2**63, -1])
def test_counts_of_any_size_are_stored_within_their_column(source: Source, number: int) -> None:
    (post,) = add(
        source,
        FetchedPost(
            external_id="1", title=TITLES[0], body="", url="", score=number, comments=number
        ),
    ).posts
    post.refresh_from_db()
    assert (post.score, post.comments) == (
        max(min(number, 2**31 - 1), -(2**31)),
        max(min(number, 2**31 - 1), 0),
    )


def test_a_batch_that_repeats_itself_is_inserted_once(source: Source) -> None:
    add(source, FetchedPost("1", TITLES[0]), FetchedPost("1", TITLES[1]))
    assert SourcePost.objects.count() == 1


@pytest.mark.databases
def test_the_database_refuses_the_same_post_twice(source: Source, post: SourcePost) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        SourcePost.objects.create(
            session=source.session, source=source, external_id=post.external_id, title="x"
        )


@pytest.mark.databases
def test_the_address_of_another_source_is_skipped_with_its_reason(
    source: Source, other_source: Source
) -> None:
    first = add(source, FetchedPost("1", TITLES[0], url="https://x.test/a?utm_source=feed")).posts
    added = add(other_source, FetchedPost("2", TITLES[1], url="http://www.x.test/a#top"))
    assert [row.state for row in added.posts] == ["skipped"]
    assert added.queued == 0
    assert added.posts[0].duplicate_of_id == first[0].pk
    assert "address" in added.posts[0].reason
    # The link that the audience follows is what the source gave.
    assert added.posts[0].url == "http://www.x.test/a#top"


def test_an_address_that_posts_of_one_document_share_makes_no_duplicates(
    source: Source, other_source: Source
) -> None:
    shared = [FetchedPost(str(at), title, url="https://x.test/") for at, title in enumerate(TITLES)]
    assert add(source, *shared[:3]).queued == 3
    assert add(other_source, FetchedPost("9", TITLES[3], url="https://x.test/")).queued == 1


def test_a_second_post_of_a_source_may_have_the_address_of_the_first(source: Source) -> None:
    for at, title in enumerate(TITLES):
        assert add(source, FetchedPost(str(at), title, url="https://x.test/live")).queued == 1


def test_an_address_that_a_source_used_for_several_posts_makes_no_duplicates(
    source: Source, other_source: Source
) -> None:
    for at, title in enumerate(TITLES[:2]):
        add(source, FetchedPost(str(at), title, url="https://x.test/live"))
    assert add(other_source, FetchedPost("9", TITLES[3], url="https://x.test/live")).queued == 1


def test_one_text_under_all_entries_of_a_source_makes_no_duplicates(
    source: Source, other_source: Source
) -> None:
    text = "The council met on Monday. It agreed on a timetable, which begins in spring."
    titles = ("Zone one of the harbour", "Zone two of the mill", "Timetable of the ferry")
    posts = [FetchedPost(str(at), title, text) for at, title in enumerate(titles)]
    assert add(source, *posts).queued == 3
    # A copy at another source is one, also under another headline.
    assert add(other_source, FetchedPost("c", "New timetable agreed", text)).queued == 0


def test_fragments_of_one_page_are_different_addresses_inside_a_document(
    source: Source, other_source: Source
) -> None:
    notes = [FetchedPost(f"n{at}", TITLES[at], url=f"https://x.test/notes#v{at}") for at in (0, 1)]
    assert add(source, *notes).queued == 2
    same = FetchedPost("o1", TITLES[2], url="https://x.test/notes#v1")
    new = FetchedPost("o2", TITLES[3], url="https://x.test/notes#v2")
    assert [row.state for row in add(other_source, same, new).posts] == ["skipped", "queued"]


@pytest.mark.parametrize(
    ("stored", "listed"),
    [
        ("http://x.test/a", "https://x.test/a"),
        ("https://x.test/a", "http://www.x.test/a"),
        ("http://www.x.test/a?id=1", "https://x.test/a?id=1&fbclid=2"),
    ],
)
def test_rows_of_the_former_version_are_still_compared_by_address(
    source: Source, other_source: Source, stored: str, listed: str
) -> None:
    old = add(source, FetchedPost("1", TITLES[0])).posts[0]
    # The digest was that of the whole address.
    SourcePost.objects.filter(pk=old.pk).update(url_digest=queue.digest(stored))
    (new,) = add(other_source, FetchedPost("2", TITLES[1], url=listed)).posts
    assert new.duplicate_of_id == old.pk


def test_a_post_is_known_under_its_other_ids_also_years_later(source: Source) -> None:
    old = add(source, FetchedPost("http://x.test/?p=1", TITLES[0])).posts[0]
    SourcePost.objects.filter(pk=old.pk).update(created_at=steps.now() - timedelta(days=800))
    moved = FetchedPost("https://x.test/?p=1", TITLES[0], aliases=frozenset({"http://x.test/?p=1"}))
    assert add(source, moved) == queue.Added([], 0)


def test_a_post_with_a_new_id_is_known_by_its_address_headline_and_text(source: Source) -> None:
    day, page = steps.now() - timedelta(days=9), "https://x.test/a"
    first = FetchedPost("1", TITLES[0], "The crossing is shut.", url=page, published_at=day)
    old = add(source, first).posts[0]
    SourcePost.objects.filter(pk=old.pk).update(created_at=steps.now() - timedelta(days=30))
    again_ = FetchedPost("2", TITLES[0], "The crossing is shut.", url="http://www.x.test/a")
    assert add(source, again_).posts == []
    # A page that reports every day under one headline has new posts.
    week = day + timedelta(days=7)
    later = FetchedPost("3", TITLES[0], "Divers look at pier nine.", url=page, published_at=week)
    assert add(source, later).queued == 1


def test_a_post_with_nothing_to_tell_is_stored_with_its_reason(source: Source) -> None:
    gone = FetchedPost("1", TITLES[0], url="https://x.test/a", skip="Removed at the source.")
    added = add(source, gone, FetchedPost("2", TITLES[0], url="https://x.test/a"))
    states = [(row.state, row.reason, row.duplicate_of_id) for row in added.posts]
    assert states == [("skipped", "Removed at the source.", None), ("queued", "", None)]
    # Nor is a later post a duplicate of it.
    add(source, FetchedPost("3", TITLES[1], skip="Removed at the source."))
    assert add(source, FetchedPost("4", TITLES[1])).queued == 1


def test_a_waiting_post_that_is_removed_at_the_source_is_withdrawn(source: Source) -> None:
    add(source, *(FetchedPost(str(at), TITLES[at]) for at in range(3)))
    SourcePost.objects.filter(external_id="1").update(state="held", pinned=True)
    SourcePost.objects.filter(external_id="2").update(state="told")
    removed = [FetchedPost(str(at), TITLES[at], skip="Removed at the source.") for at in range(3)]
    added = add(source, *removed)
    assert (added.posts, added.queued, added.withdrawn) == ([], 0, 2)
    rows = SourcePost.objects.order_by("external_id").values_list("state", "reason", "pinned")
    gone = ("skipped", "Removed at the source.", False)
    assert list(rows) == [gone, gone, ("told", "", False)]


def test_nearly_the_same_headline_is_skipped_also_in_one_batch(source: Source) -> None:
    add(source, FetchedPost("1", TITLES[0]), FetchedPost("2", f"{TITLES[0]}."))
    assert SourcePost.objects.get(external_id="2").state == "skipped"


def test_another_session_may_tell_the_same_post(make_session: MakeSession) -> None:
    for name in ("One", "Other"):
        added = add(
            Source.objects.get(session=make_session(name)),
            FetchedPost("1", TITLES[0], url="https://x.test/a"),
        )
        assert added.queued == 1


@pytest.mark.parametrize(("hours", "queued"), [(47, 0), (49, 1)])
def test_a_headline_is_compared_with_those_of_48_hours(
    source: Source, hours: int, queued: int
) -> None:
    old = add(source, FetchedPost("1", TITLES[0])).posts[0]
    SourcePost.objects.filter(pk=old.pk).update(created_at=steps.now() - timedelta(hours=hours))
    assert add(source, FetchedPost("2", TITLES[0])).queued == queued


def test_a_headline_is_compared_with_2000_earlier_ones(source: Source) -> None:
    add(source, FetchedPost("1", TITLES[0]))
    others = [
        SourcePost(
            session=source.session,
            source=source,
            external_id=f"other{number}",
            title="港",
            priority=0.5,
            label="medium",
            parts={},
            rank=0.0,
        )
        for number in range(1999)
    ]
    SourcePost.objects.bulk_create(others)
    assert add(source, FetchedPost("2", TITLES[0])).queued == 0
    SourcePost.objects.bulk_create(
        [
            SourcePost(
                session=source.session,
                source=source,
                external_id="one more",
                title="港",
                priority=0.5,
                label="medium",
                parts={},
                rank=0.0,
            )
        ]
    )
    assert add(source, FetchedPost("3", TITLES[0])).queued == 1


def test_a_duplicate_is_attributed_to_the_first_post_and_not_to_another_duplicate(
    source: Source,
) -> None:
    first, second, third = add(
        source, *(FetchedPost(str(number), TITLES[0]) for number in range(3))
    ).posts
    assert second.duplicate_of_id == third.duplicate_of_id == first.pk
    assert third.reason == ("The same headline. Words in both: bridge, harbour, repairs, closes.")


def test_alerts_under_one_title_are_queued_each(source: Source, other_source: Source) -> None:
    alerts = [
        FetchedPost("a1", "Severe weather warning", "Heavy snow is expected in Osselby tonight."),
        FetchedPost("a2", "Severe weather warning", "Strong wind is expected on the coast."),
        FetchedPost("a3", "Severe weather warning", "The Tave is rising. Move cars uphill."),
    ]
    assert add(source, *alerts).queued == 3
    (copy,) = add(other_source, FetchedPost("b2", alerts[0].title, alerts[0].body)).posts
    assert copy.state == "skipped"
    assert copy.duplicate_of is not None
    assert copy.duplicate_of.external_id == "a1"


def test_one_text_under_two_headlines_is_skipped_with_the_reason(
    source: Source, other_source: Source
) -> None:
    text = "Divers have found cracks in two piers of the harbor bridge, so that it stays shut for a week."
    add(source, FetchedPost("1", "Harbor bridge shut for a week", text))
    (copy,) = add(
        other_source, FetchedPost("2", "Cracks found in piers of harbor bridge", text)
    ).posts
    assert copy.reason == (
        "The same text. Numbers in both: 2. Words in both: bridge, Cracks, Divers, harbor."
    )


def test_a_repeated_address_is_attributed_to_the_first_post(
    source: Source, other_source: Source
) -> None:
    first = add(source, FetchedPost("0", TITLES[0], url="https://x.test/a")).posts[0]
    for at, title in enumerate(TITLES[1:]):
        made = add(other_source, FetchedPost(f"o{at}", title, url="https://x.test/a")).posts
        assert [row.duplicate_of_id for row in made] == [first.pk]


def test_a_second_post_with_an_address_that_another_source_repeated_is_no_duplicate(
    source: Source, other_source: Source
) -> None:
    """Within a source the id tells posts apart, whatever other sources link to."""
    url = "https://x.test/live"
    first = add(source, FetchedPost("1", TITLES[0], url=url)).posts[0]
    (repeated,) = add(other_source, FetchedPost("o1", TITLES[1], url=url)).posts
    (second,) = add(source, FetchedPost("2", TITLES[2], url=url)).posts
    assert repeated.duplicate_of_id == first.pk
    assert (second.state, second.duplicate_of_id) == ("queued", None)


def test_of_two_posts_that_were_stored_at_once_a_third_repeats_the_first(
    source: Source, other_source: Source, session: Session
) -> None:
    first = add(source, FetchedPost("1", TITLES[0], url="https://x.test/a")).posts[0]
    second = add(other_source, FetchedPost("2", TITLES[1], url="https://x.test/b")).posts[0]
    # Two polls at once see no post of each other, so neither is a duplicate.
    SourcePost.objects.filter(pk=second.pk).update(url_digest=first.url_digest)
    third = service.add(session, SourceSpec(kind="rss", locator="https://third.example/feed"))
    (copy,) = add(third, FetchedPost("3", TITLES[2], url="https://x.test/a")).posts
    assert copy.duplicate_of_id == first.pk


@pytest.mark.databases
def test_numbers_beyond_reason_are_stored_within_bounds(source: Source) -> None:
    huge = FetchedPost("1", TITLES[0], score=10**20, comments=-(10**20), author="a" * 300)
    (post,) = add(source, huge).posts
    post.refresh_from_db()
    assert (post.score, post.comments, len(post.author)) == (2**31 - 1, 0, 200)


def test_a_post_keeps_the_parts_of_its_priority(post: SourcePost) -> None:
    assert set(post.parts) == {"engagement", "recency", "quality", "standing"}
    assert 0 <= post.priority <= 1


def test_age_outranks_priority_in_the_end() -> None:
    fresh = queue.rank(0.9, NOW)
    assert queue.rank(0.1, NOW - timedelta(days=1)) < fresh
    assert queue.rank(0.1, NOW - timedelta(days=2)) > fresh
    assert queue.rank(0.9, NOW - timedelta(days=1)) - fresh == pytest.approx(0.5)


@pytest.mark.databases
def test_a_pinned_post_comes_before_a_better_one(source: Source) -> None:
    better = make_post(source, "1", TITLES[0])
    pinned = make_post(source, "2", TITLES[1])
    SourcePost.objects.filter(pk=better.pk).update(rank=100.0)
    SourcePost.objects.filter(pk=pinned.pk).update(pinned=True, rank=-100.0)
    assert list(queue.waiting(source.session)) == [pinned, better]
    assert [row["id"] for row in queue.queue_payload(source.session)] == [pinned.pk, better.pk]


def test_a_queued_post_names_its_neighbours(source: Source) -> None:
    made = [make_post(source, str(number), title) for number, title in enumerate(TITLES[:3])]
    for place, post in enumerate(made):
        SourcePost.objects.filter(pk=post.pk).update(rank=-float(place))
    first, second, third = (post.pk for post in made)
    shown = queue.queue_payload(source.session)
    assert [(row["above"], row["below"]) for row in shown] == [
        (None, second),
        (first, third),
        (second, None),
    ]


@pytest.mark.databases
def test_of_eight_workers_at_once_one_claims_a_post(source: Source, post: SourcePost) -> None:
    held = [claim(source.session, number) for number in range(8)]
    rows = [SourcePost.objects.get(pk=post.pk) for _ in held]
    assert sum(together(8, lambda n: queue.claim(rows[n], held[n]))) == 1


def test_a_waiting_post_is_claimed_with_step_and_epoch(session: Session, post: SourcePost) -> None:
    held = claim(session)
    assert queue.claim(post, held)
    assert (post.state, post.epoch, post.attempts) == ("claimed", held.epoch, 1)
    assert not queue.claim(post, held)


@pytest.mark.databases
def test_only_who_claimed_a_post_can_settle_it(session: Session, post: SourcePost) -> None:
    late = claim(session)
    assert queue.claim(post, late)
    fresh = again(late)
    SourcePost.objects.update(epoch=fresh.epoch)
    assert not queue.settle(post, late, "told")
    assert state(post) == "claimed"
    assert queue.settle(post, fresh, "told")
    assert not queue.settle(post, fresh, "told")


def test_a_post_tried_three_times_is_worn_out(session: Session, post: SourcePost) -> None:
    held = claim(session)
    for _ in range(3):
        assert queue.worn_out(held) == []
        SourcePost.objects.filter(state="claimed").update(state="queued")
        assert queue.claim(post, held)
        held = again(held)
    assert queue.worn_out(held) == [post]


def test_a_post_is_not_worn_out_while_its_third_attempt_is_under_way(
    session: Session, post: SourcePost
) -> None:
    held = claim(session)
    assert queue.claim(post, held)
    SourcePost.objects.filter(pk=post.pk).update(attempts=3)
    assert queue.worn_out(held) == []


@pytest.mark.databases
def test_a_claim_without_a_step_is_refused_by_the_database(post: SourcePost) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        SourcePost.objects.filter(pk=post.pk).update(state="claimed", step=None)


def test_the_queue_shows_the_best_first_and_not_all(source: Source) -> None:
    for number, title in enumerate(TITLES):
        make_post(source, str(number), title)
    shown = queue.queue_payload(source.session, most=3)
    ranked = SourcePost.objects.order_by("-rank", "id").values_list("pk", flat=True)
    assert [row["id"] for row in shown] == list(ranked[:3])


def test_posts_of_a_source_that_began_again_are_no_duplicates_of_its_earlier_ones(
    source: Source, other_source: Source
) -> None:
    add(source, *(FetchedPost(f"a{n}", title) for n, title in enumerate(TITLES[:2])))
    SourcePost.objects.update(state="failed")
    add(source, FetchedPost("waits", TITLES[3]), FetchedPost("on-air", "A choir is heard"))
    claimed = SourcePost.objects.filter(external_id="on-air")
    claimed.update(state="claimed", step=claim(source.session).step)
    add(other_source, FetchedPost("b", TITLES[2]))
    since = steps.now()
    fresh = [FetchedPost(f"c{n}", title) for n, title in enumerate((*TITLES, "A choir is heard"))]
    with transaction.atomic():
        found = queue.add(source, [*fresh, FetchedPost("d", TITLES[0])], steps.now(), since)
    # What another source had, the same source in this round, or what still waits, is a duplicate.
    assert {post.external_id: post.state for post in found.posts} == {
        "c0": "queued",
        "c1": "queued",
        "c2": "skipped",
        "c3": "skipped",
        "c4": "skipped",
        "d": "skipped",
    }
