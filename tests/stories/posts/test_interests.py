"""Interests: words raise or lower the posts that contain them, waiting and new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from broadcast.models import Broadcast
from sessions_app import audits, commands
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session, SessionEvent
from stories.models import Interest, Source, SourcePost
from stories.posts import interests, queue, scoring
from stories.posts.scoring import INTEREST
from tests.concurrency import together
from tests.conftest import make_post
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)

ClientOf = Callable[[User], Client]


def want(session: Session, text: str, weight: str = "more") -> Interest:
    interest = commands.run(
        "interest.set", session.owner, session, {"text": text, "weight": weight}
    )
    assert isinstance(interest, Interest)
    return interest


def fresh(post: SourcePost) -> SourcePost:
    return SourcePost.objects.select_related("source").get(pk=post.pk)


def titles(session: Session) -> list[str]:
    return [post.title for post in queue.waiting(session)]


@pytest.mark.parametrize(
    ("wish", "text", "fits"),
    [
        ("science", "SCIENCE for everybody", True),
        ("science", "A conscience is clear", False),
        ("owl", "Two owls in a mill", True),
        ("Owls", "One owl, alone", True),
        ("story", "Old stories, again", True),
        ("box", "Boxes of apples", True),
        ("news", "A new bridge", False),
        ("movie", "Movies of the year", True),
        ("tidal power", "Tidal powers of the north", True),
        ("tidal power", "The power of a tidal wave", False),
        ("straße", "Die STRASSE ist frei", True),
        ("glass", "A glas of water", False),
        ("c", "Vitamin C is enough", True),
    ],
)
def test_words_are_compared_whole_without_case_and_plural(wish: str, text: str, fits: bool) -> None:
    taste = scoring.Interests(((scoring.folded(wish), 1),))
    assert taste.match(text) == int(fits)


def test_words_of_two_texts_are_never_read_as_one() -> None:
    taste = scoring.Interests(((scoring.folded("tidal power"), 1),))
    assert taste.match("It is tidal", "Power to all") == 0


def test_more_and_less_of_the_same_post_weigh_each_other_up() -> None:
    taste = scoring.Interests((("science", 1), ("sport", -1)))
    assert taste.match("Sport science") == 0
    assert taste.match("Science") == 1
    assert taste.match("Sports") == -1


@pytest.mark.databases
def test_a_waiting_post_is_lifted_at_once(session: Session, source: Source) -> None:
    plain = make_post(source, "a", "A bridge closes for repairs in the harbour")
    owls = make_post(source, "b", "Seven owls were counted")
    assert titles(session)[0] == plain.title
    want(session, "owls")
    lifted = fresh(owls)
    assert titles(session)[0] == owls.title
    assert lifted.parts["interest"] == 1
    assert lifted.priority == pytest.approx(owls.priority + INTEREST)
    assert lifted.rank == pytest.approx(owls.rank + INTEREST)
    assert (lifted.label, lifted.parts["standing"]) == ("medium", 0.6667)
    assert fresh(plain).parts == plain.parts


def test_a_post_that_is_read_later_is_lowered_too(session: Session, source: Source) -> None:
    usual = make_post(source, "a", "Seven owls were counted on the old mill")
    want(session, "Parking", "less")
    later = make_post(source, "b", "The council postpones its vote on parking")
    assert later.parts["interest"] == -1
    assert later.priority < usual.priority


def test_the_name_of_the_source_counts(session: Session, source: Source, post: SourcePost) -> None:
    Source.objects.filter(pk=source.pk).update(locator="r/lighthouses")
    want(session, "lighthouses")
    assert fresh(post).parts["interest"] == 1


def test_a_dropped_interest_leaves_no_trace(session: Session, post: SourcePost) -> None:
    interest = want(session, "lighthouse")
    data = {"interest": interest.pk}
    commands.run("interest.drop", session.owner, session, data)
    again = fresh(post)
    assert again.parts == post.parts
    assert (again.priority, again.label) == (post.priority, post.label)
    assert again.rank == pytest.approx(post.rank)
    with pytest.raises(NotFound):
        commands.run("interest.drop", session.owner, session, data)


def test_what_a_person_moved_by_hand_stays_moved(session: Session, source: Source) -> None:
    owl = make_post(source, "a", "Seven owls were counted on the old mill")
    SourcePost.objects.filter(pk=owl.pk).update(rank=owl.rank + 0.3)
    want(session, "owl")
    assert queue.moved_by_hand(fresh(owl)) == pytest.approx(0.3, abs=0.002)


def test_a_held_post_is_weighed_and_a_told_one_is_not(session: Session, source: Source) -> None:
    held = make_post(source, "a", "Seven owls were counted on the old mill")
    published = make_post(source, "b", "An owl is rescued from the harbour crane")
    SourcePost.objects.filter(pk=held.pk).update(state="held")
    SourcePost.objects.filter(pk=published.pk).update(state="told")
    want(session, "owl")
    assert "interest" in fresh(held).parts
    assert "interest" not in fresh(published).parts


def test_said_the_other_way_round_the_later_word_counts(session: Session, post: SourcePost) -> None:
    first = want(session, "Lighthouses")
    second = want(session, "lighthouse", "less")
    assert first.pk == second.pk
    assert fresh(post).parts["interest"] == -1
    assert interests.of_session(session) == [
        {"id": first.pk, "text": "lighthouse", "weight": "less"}
    ]


def test_an_interest_is_a_word(session: Session) -> None:
    with pytest.raises(Invalid):
        want(session, "?!")
    with pytest.raises(Invalid):
        want(session, "x" * 61)


def test_there_is_an_end_to_interests(session: Session) -> None:
    for number in range(interests.MOST):
        want(session, f"word {number}")
    with pytest.raises(Conflict):
        want(session, "one more")
    want(session, "word 1", "less")
    assert Interest.objects.count() == interests.MOST


@pytest.mark.databases
def test_two_interests_at_once_are_weighed_together(session: Session, source: Source) -> None:
    both = make_post(source, "t1", "Tides turn a mill")
    before = both.rank - both.priority
    together(4, lambda at: want(session, ("tides", "mills", "tides", "mills")[at]))
    post = fresh(both)
    assert post.parts["interest"] == 1
    assert post.rank - post.priority == pytest.approx(before)


def test_another_session_is_not_touched(
    session: Session, make_session: Callable[..., Session], post: SourcePost
) -> None:
    other = make_session("Other")
    want(other, "lighthouse")
    assert fresh(post).parts == post.parts
    assert interests.of_session(session) == []


@pytest.mark.databases
def test_many_waiting_posts_are_ranked_in_few_statements(session: Session, source: Source) -> None:
    with CaptureQueriesContext(connection) as few:
        want(session, "word")
    SourcePost.objects.bulk_create(
        SourcePost(
            session=session,
            source=source,
            external_id=str(at),
            title=f"Owl {at}",
            priority=0.3,
            parts={"quality": 1},
            rank=at,
        )
        for at in range(300)
    )
    with CaptureQueriesContext(connection) as many:
        want(session, "owl")
    assert len(many) <= len(few) + 8
    assert SourcePost.objects.filter(parts__interest=1).count() == 300


def test_the_event_tells_the_interests_and_the_queue_as_it_stands(
    session: Session, post: SourcePost
) -> None:
    want(session, "lighthouse")
    event = SessionEvent.objects.filter(session=session).latest("seq")
    assert event.type == "interest.changed"
    assert event.payload["interests"][0]["text"] == "lighthouse"
    assert event.payload["queue"][0]["parts"]["interest"] == 1


def test_a_live_session_is_ranked_too_and_stays_sound(
    session: Session, go_live: Callable[[Session], Broadcast], work: Callable[..., int]
) -> None:
    go_live(session)
    work(session, "poll", most=1)
    word = str(queue.waiting(session).values_list("title", flat=True)[0]).split()[-1]
    want(session, word)
    assert SourcePost.objects.filter(session=session, parts__interest=1).exists()
    assert list(audits.run()) == []


def test_interests_are_set_and_removed_on_the_page(
    session: Session, client_of: ClientOf, post: SourcePost
) -> None:
    browser = client_of(session.owner)
    path = f"/sessions/{session.pk}/interests/"
    assert browser.post(path, {"text": "lighthouse", "weight": "less"}).status_code == 302
    assert fresh(post).parts["interest"] == -1
    for page in (f"/sessions/{session.pk}/", f"/broadcast/{session.pk}/"):
        assert "No longer less lighthouse" in browser.get(page).content.decode()
    interest = Interest.objects.get()
    htmx: Any = {"headers": {"HX-Request": "true"}}
    assert browser.post(f"{path}{interest.pk}/remove/", **htmx).status_code == 204
    assert not Interest.objects.exists()
    assert browser.post(f"{path}{interest.pk}/remove/", **htmx).status_code == 404


def test_the_queue_shows_what_the_interest_adds(
    session: Session, client_of: ClientOf, post: SourcePost
) -> None:
    want(session, "lighthouse", "less")
    shown = client_of(session.owner).get(f"/broadcast/{session.pk}/")
    page = unbroken(shown.content.decode())
    assert "<dt>Interest</dt><dd><span>\N{MINUS SIGN}15.0</span></dd>" in page
