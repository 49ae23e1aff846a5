"""The rundown obeys the editor: pinned first, held back, killed, moved; the host tells in that order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from broadcast import rundown
from broadcast.host import claims
from sessions_app import audits, commands
from sessions_app.background import steps
from sessions_app.errors import Conflict, NotFound
from sessions_app.models import Session, SessionEvent, SessionStats
from stories import stories
from stories.models import Source, SourcePost, Story, TrendPost
from stories.posts import queue as posts_queue
from stories.posts import selection
from stories.text.furniture import PLACEHOLDER, REMOVED
from stories.types import FetchedPost
from tests.concurrency import together
from tests.conftest import MakeSession, make_post, run_due_steps
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)

HEADLINES = (
    "Tide turbine runs a year",
    "Ferry stops after a fire",
    "Council votes on the square",
    "Library organ plays again",
    "Comet passes in March",
)


@pytest.fixture
def waiting(source: Source) -> list[SourcePost]:
    """Five posts, in the order in which they would be narrated."""
    for at, headline in enumerate(HEADLINES):
        make_post(source, f"w{at}", headline)
    return list(posts_queue.waiting(source.session))


def order(session: Session) -> list[int]:
    return list(posts_queue.waiting(session).values_list("pk", flat=True))


def do(session: Session, name: str, **data: Any) -> Any:
    return commands.run(f"post.{name}", session.owner, session, data)


def queue(session: Session) -> int:
    return SessionStats.objects.get(session=session).queue


def test_a_pinned_post_is_told_first(
    waiting: list[SourcePost], session: Session, go_live: Callable[[Session], Any]
) -> None:
    do(session, "pin", post=waiting[4].pk)
    session.model = "extractive"
    session.save(update_fields=["model"])
    go_live(session)
    run_due_steps(session, "narrate", most=1)
    assert Story.objects.get().post == waiting[4]


def test_an_unpinned_post_waits_where_its_score_puts_it(
    waiting: list[SourcePost], session: Session
) -> None:
    before = order(session)
    do(session, "pin", post=waiting[3].pk)
    do(session, "unpin", post=waiting[3].pk)
    assert order(session) == before


def test_a_held_post_is_not_told_but_still_counts_as_waiting(
    waiting: list[SourcePost], session: Session
) -> None:
    before = queue(session)
    do(session, "hold", post=waiting[0].pk)
    assert waiting[0].pk not in order(session)
    assert queue(session) == before
    do(session, "release", post=waiting[0].pk)
    assert order(session)[0] == waiting[0].pk


def test_a_killed_post_leaves_the_queue_with_the_name_of_who_did_it(
    waiting: list[SourcePost], session: Session
) -> None:
    before = queue(session)
    do(session, "kill", post=waiting[1].pk)
    waiting[1].refresh_from_db()
    assert (waiting[1].state, waiting[1].reason) == ("skipped", "Killed by olga.")
    assert queue(session) == before - 1
    assert [each for each in audits.run() if each.audit == "counters"] == []


def written(session: Session, post: SourcePost | None = None) -> Story:
    story = Story(
        session=session,
        post=post,
        origin=Story.Origin.EXTRACTIVE if post else Story.Origin.MANUAL,
        title="Fire is out",
        narrative="The fire is out.",
        tone="breaking",
        priority="high",
    )
    with transaction.atomic():
        return stories.create(story)


@pytest.fixture
def duplicate(waiting: list[SourcePost], session: Session) -> SourcePost:
    """A post that was skipped because it has the headline of the second one."""
    made = make_post(waiting[1].source, "d1", waiting[1].title)
    assert (made.state, made.duplicate_of_id) == ("skipped", waiting[1].pk)
    return made


def test_a_duplicate_returns_to_the_queue_and_is_not_judged_again(
    duplicate: SourcePost, waiting: list[SourcePost], session: Session
) -> None:
    before = queue(session)
    title = waiting[1].title
    do(session, "restore", post=duplicate.pk)
    duplicate.refresh_from_db()
    assert (duplicate.state, duplicate.duplicate_of_id, duplicate.chosen) == ("queued", None, True)
    assert duplicate.reason == f"Returned to the queue by olga: not covered by “{title}”."
    assert queue(session) == before + 1
    event = SessionEvent.objects.filter(session=session).latest("seq")
    assert (event.type, event.payload["post"]["id"]) == ("post.changed", duplicate.pk)
    # It is on the market like any other post.
    assert TrendPost.objects.filter(post=duplicate).exists()
    names = {"counters", "market", "posts", "story-counters"}
    assert [each for each in audits.run() if each.audit in names] == []
    with pytest.raises(Conflict, match="waits in the queue already"):
        do(session, "restore", post=duplicate.pk)


def test_a_post_that_a_story_overtook_returns_to_the_queue(
    waiting: list[SourcePost], session: Session
) -> None:
    story = written(session)
    with transaction.atomic():
        claims.skip(waiting[0], story, "superseded")
    originals = [row["original"] for row in selection.newest(session)]
    assert [original and original["story"] for original in originals] == [story.pk]
    do(session, "restore", post=waiting[0].pk)
    waiting[0].refresh_from_db()
    assert (waiting[0].state, waiting[0].chosen) == ("queued", True)
    assert selection.newest(session) == []


def test_an_empty_post_is_shown_with_its_reason_and_returns_for_good(
    waiting: list[SourcePost], client: Client, session: Session
) -> None:
    source, gone = waiting[0].source, waiting[0].external_id
    removed = FetchedPost(gone, "[deleted by user]", skip=REMOVED)
    empty = FetchedPost("empty", "Posted a video", skip=PLACEHOLDER)
    with transaction.atomic():
        posts_queue.add(source, [removed, empty], steps.now())
    assert [row["reason"] for row in selection.newest(session)] == [PLACEHOLDER, REMOVED]
    client.force_login(session.owner, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"/broadcast/{session.pk}/rundown/").content.decode()
    assert REMOVED in page
    assert PLACEHOLDER in page
    # What the page fetches after each event: the list alone.
    part = client.get(
        f"/broadcast/{session.pk}/rundown/?part=skipped", headers={"HX-Request": "true"}
    ).content.decode()
    assert f'value="restore {waiting[0].pk}"' in part
    assert "<html" not in part
    found = client.get(f"/sessions/{session.pk}/search/?what=posts&state=skipped").content.decode()
    assert PLACEHOLDER in found
    assert f'value="restore {waiting[0].pk}"' in found
    do(session, "restore", post=waiting[0].pk)
    waiting[0].refresh_from_db()
    assert waiting[0].reason == "Returned to the queue by olga."
    with transaction.atomic():
        assert posts_queue.add(source, [removed], steps.now()).withdrawn == 0


def test_a_killed_post_is_not_restored(
    waiting: list[SourcePost], client: Client, session: Session
) -> None:
    do(session, "kill", post=waiting[0].pk)
    client.force_login(session.owner, backend="django.contrib.auth.backends.ModelBackend")
    found = client.get(f"/sessions/{session.pk}/search/?what=posts&state=skipped").content.decode()
    assert "Killed by olga." in found
    assert "restore" not in found
    with pytest.raises(Conflict, match="removed from the rundown"):
        do(session, "restore", post=waiting[0].pk)


def test_a_skipped_post_names_what_it_repeats_with_its_link_and_story(
    waiting: list[SourcePost], duplicate: SourcePost, session: Session
) -> None:
    SourcePost.objects.filter(pk=waiting[1].pk).update(url="https://x.test/a#b")
    (row,) = selection.newest(session)
    assert row["original"] == {
        "relation": "duplicate",
        "post": waiting[1].pk,
        "title": waiting[1].title,
        "url": "https://x.test/a#b",
        "source": "demo",
        "story": None,
    }
    story = written(session, waiting[1])
    original = selection.newest(session)[0]["original"]
    assert original is not None
    assert original["story"] == story.pk


def test_the_rundown_and_the_search_show_duplicates_and_return_them_with_one_click(
    duplicate: SourcePost, waiting: list[SourcePost], client: Client, session: Session
) -> None:
    client.force_login(session.owner, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"/broadcast/{session.pk}/rundown/").content.decode()
    assert f'value="restore {duplicate.pk}"' in page
    assert f'id="skipped-{duplicate.pk}"' in page
    found = client.get(f"/sessions/{session.pk}/search/?what=posts&state=skipped").content.decode()
    assert "Duplicate of" in unbroken(found)
    assert f'value="restore {duplicate.pk}"' in found
    answer = client.post(
        f"/broadcast/{session.pk}/rundown/change/",
        {"do": f"restore {duplicate.pk}", "whole": "1"},
        headers={"HX-Request": "true"},
    ).content.decode()
    assert f'id="post-{duplicate.pk}"' in answer
    assert f'<li id="skipped-{duplicate.pk}" hx-swap-oob="delete">' in answer
    assert duplicate.pk in order(session)
    page = client.get(f"/broadcast/{session.pk}/rundown/").content.decode()
    assert f"restore {duplicate.pk}" not in page


def test_a_moved_post_stands_beside_the_one_it_was_put_to(
    waiting: list[SourcePost], session: Session
) -> None:
    for moved, to in permutations([post.pk for post in waiting], 2):
        for side in ("before", "after"):
            expected = [post for post in order(session) if post != moved]
            expected.insert(expected.index(to) + (side == "after"), moved)
            do(session, "move", post=moved, **{side: to})
            assert order(session) == expected, (moved, side, to)


@pytest.mark.slow
def test_a_hundred_moves_into_the_same_gap_still_find_room(
    waiting: list[SourcePost], session: Session
) -> None:
    for _ in range(50):
        first, second = order(session)[:2]
        last = order(session)[-1]
        do(session, "move", post=last, after=first)
        assert order(session)[:3] == [first, last, second]
        do(session, "move", post=last, after=order(session)[-1])
        do(session, "move", post=second, before=order(session)[-1])
        do(session, "move", post=second, after=first)


@pytest.mark.databases
def test_ranks_without_room_between_are_spread(waiting: list[SourcePost], session: Session) -> None:
    SourcePost.objects.filter(session=session).update(rank=-500.0)
    ids = order(session)
    do(session, "move", post=ids[4], after=ids[1])
    assert order(session) == [ids[0], ids[1], ids[4], ids[2], ids[3]]


def test_a_post_put_beside_a_pinned_one_is_pinned_too(
    waiting: list[SourcePost], session: Session
) -> None:
    do(session, "pin", post=waiting[0].pk)
    do(session, "move", post=waiting[4].pk, before=waiting[0].pk)
    waiting[4].refresh_from_db()
    assert waiting[4].pinned
    assert order(session)[:2] == [waiting[4].pk, waiting[0].pk]


@pytest.mark.databases
def test_two_people_who_move_off_air_at_once_both_get_their_place(
    waiting: list[SourcePost], session: Session
) -> None:
    SourcePost.objects.filter(session=session).update(rank=-500.0)
    ids = order(session)
    moves = [{"post": ids[3], "after": ids[0]}, {"post": ids[4], "after": ids[0]}]
    together(2, lambda index: do(session, "move", **moves[index]))
    assert order(session)[0] == ids[0]
    assert set(order(session)[1:3]) == {ids[3], ids[4]}
    ranks = SourcePost.objects.filter(pk__in=order(session)[:3]).values_list("rank", flat=True)
    assert len(set(ranks)) == 3


def test_a_post_is_not_put_beside_one_that_left_meanwhile(
    waiting: list[SourcePost], session: Session
) -> None:
    SourcePost.objects.filter(pk=waiting[1].pk).update(state="told")
    with pytest.raises(Conflict, match="changed meanwhile"):
        rundown.rank_beside(session, waiting[3], waiting[1], before=True)


def test_no_room_is_made_with_a_post_that_left_meanwhile(
    waiting: list[SourcePost], session: Session
) -> None:
    SourcePost.objects.filter(pk=waiting[0].pk).update(state="told", rank=-500.0)
    rundown.make_room([(waiting[0].pk, -500.0), (waiting[1].pk, -500.0)], 1)
    waiting[0].refresh_from_db()
    assert waiting[0].rank == -500.0


@pytest.mark.parametrize("name", ["pin", "hold", "kill"])
def test_a_post_the_host_has_taken_is_out_of_reach(
    waiting: list[SourcePost], session: Session, name: str
) -> None:
    SourcePost.objects.filter(pk=waiting[0].pk).update(state="told")
    with pytest.raises(Conflict, match="published already"):
        do(session, name, post=waiting[0].pk)


def test_a_post_of_another_session_does_not_exist(
    waiting: list[SourcePost], make_session: MakeSession
) -> None:
    with pytest.raises(NotFound):
        rundown.pin(make_session("Evening"), waiting[0].pk)


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def press(browser: Client, session: Session, do: str, **more: Any) -> Any:
    return browser.post(f"/broadcast/{session.pk}/rundown/change/", {"do": do}, **more)


def test_the_page_moves_a_post_and_says_where_it_is(
    browser: Client, waiting: list[SourcePost], session: Session
) -> None:
    answer = press(
        browser,
        session,
        f"move {waiting[2].pk} before {waiting[0].pk}",
        headers={"HX-Request": "true"},
    )
    text = answer.content.decode()
    assert "is now in place 1 of 5" in text
    assert text.index(f'id="post-{waiting[2].pk}"') < text.index(f'id="post-{waiting[0].pk}"')


def test_without_script_a_button_leads_back_to_the_page(
    browser: Client, waiting: list[SourcePost], session: Session
) -> None:
    answer = press(browser, session, f"hold {waiting[0].pk}")
    assert (answer.status_code, answer.url) == (302, f"/broadcast/{session.pk}/")
    assert posts_queue.held(session).count() == 1


@pytest.mark.parametrize("words", ["", "pin", "pin x", "explode 1", "move 1 beside 2"])
def test_what_is_no_command_changes_nothing(browser: Client, session: Session, words: str) -> None:
    assert press(browser, session, words).status_code == 400


def test_the_whole_rundown_lists_what_the_desk_has_no_room_for(
    browser: Client, source: Source, session: Session
) -> None:
    for at in range(14):
        make_post(source, f"many{at}", f"{HEADLINES[at % 5]} {at * 111} {'abcdefghijklmn'[at] * 5}")
    shown = unbroken(browser.get(f"/broadcast/{session.pk}/rundown/").content.decode())
    assert shown.count('<li class="post"') == 14
    desk = unbroken(browser.get(f"/broadcast/{session.pk}/").content.decode())
    assert desk.count('<li class="post"') == 10
