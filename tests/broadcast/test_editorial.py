"""Breaking in, correcting, pulling and bookmarking: marked, versioned, never silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast import airing, orchestrator
from broadcast import audits as broadcast_audits
from broadcast.models import Airing
from sessions_app import audits, commands, sessions
from sessions_app.background import steps
from sessions_app.errors import Conflict, Invalid
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent, SessionStats, Step
from sessions_app.realtime import frames
from stories import corrections, stories
from stories.models import Story, StoryVersion
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import made_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
@made_once
def live(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Session:
    """A session on air at the pace of speech, with its first story on air."""
    session = make_session(model="extractive", pace=180)
    go_live(session)
    run_due_steps(session, most=3)
    assert on_air(session) is not None
    return session


def on_air(session: Session) -> Story | None:
    now = Airing.objects.filter(session=session, finished_at=None).first()
    return now.story if now else None


def do(session: Session, name: str, **data: Any) -> Story:
    return commands.run(f"story.{name}", session.owner, session, data)  # type: ignore[no-any-return]


BREAKING = {"title": "Bridge closed at once", "text": "The harbour bridge has been closed at once."}


def test_a_break_in_for_next_waits_for_the_end_of_what_is_on_air(live: Session) -> None:
    first = on_air(live)
    story = do(live, "break_in", **BREAKING)
    assert on_air(live) == first
    assert (story.state, story.origin, story.cuts_in) == ("approved", "manual", True)


def test_a_break_in_for_now_ends_what_is_on_air(live: Session) -> None:
    first = on_air(live)
    story = do(live, "break_in", **BREAKING, now=True)
    assert on_air(live) == story
    assert first is not None
    first.refresh_from_db()
    assert first.state == "aired"


def test_a_break_in_goes_before_stories_that_wait_longer(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=4)
    waiting = Story.objects.filter(session=session, state="written").get()
    story = do(session, "break_in", **BREAKING)
    assert Airing.objects.get(session=session).story == story
    assert Story.objects.get(pk=waiting.pk).state == "written"


def test_off_air_a_break_in_opens_the_next_broadcast(
    session: Session, go_live: Callable[[Session], Any]
) -> None:
    story = do(session, "break_in", **BREAKING, now=True)
    assert story.state == "approved"
    go_live(session)
    run_due_steps(session, most=3)
    assert Airing.objects.order_by("id")[0].story == story


def test_nothing_breaks_in_on_an_archived_session(make_session: MakeSession) -> None:
    session = make_session()
    commands.run("session.archive", session.owner, session, {})
    session.refresh_from_db()
    with pytest.raises(Conflict, match="archived"):
        do(session, "break_in", **BREAKING)
    assert not Story.objects.exists()


def test_a_break_in_is_counted_like_any_story(live: Session) -> None:
    before = SessionStats.objects.get(session=live)
    do(live, "break_in", **BREAKING)
    after = SessionStats.objects.get(session=live)
    assert (after.story_count, after.words) == (before.story_count + 1, before.words + 8)
    assert list(audits.run()) == []


@pytest.mark.parametrize("wrong", [{"title": ""}, {"text": "\u200b\u0007"}, {"text": "x" * 5001}])
def test_an_empty_or_endless_break_in_is_refused(live: Session, wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        do(live, "break_in", **{**BREAKING, **wrong})


CORRECT = {"title": "Repair", "text": "It was the other bridge.", "reason": "The wrong bridge."}


def test_a_correction_is_a_new_version_and_the_first_is_kept(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    first = story.narrative
    do(live, "correct", story=story.pk, **CORRECT)
    story.refresh_from_db()
    assert (story.version, story.narrative) == (2, CORRECT["text"])
    assert story.corrected_at is not None
    versions = StoryVersion.objects.filter(story=story).order_by("number")
    assert [version.narrative for version in versions] == [first, CORRECT["text"]]
    assert list(audits.run()) == []


def test_the_audience_is_told_of_a_correction_with_its_reason(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    do(live, "correct", story=story.pk, **CORRECT)
    event = SessionEvent.objects.get(session=live, type="story.corrected")
    public = event.payload["public"]["story"]
    assert (public["correction"], public["version"]) == ("The wrong bridge.", 2)


def test_a_story_that_waits_is_edited_without_the_mark_of_a_correction(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=4)
    story = do(session, "correct", story=Story.objects.get().pk, **CORRECT)
    assert (story.version, story.corrected_at, story.correction) == (2, None, "")


@pytest.mark.databases
def test_two_corrections_of_the_same_version_do_not_overwrite_each_other(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    stale = Story.objects.get(pk=story.pk)
    do(live, "correct", story=story.pk, **CORRECT)
    with pytest.raises(Conflict, match="changed meanwhile"):
        corrections.correct(stale, "Mine", "Another text.", "Mine.", live.owner, 180)


@pytest.mark.databases
def test_a_correction_of_what_somebody_else_changed_meanwhile_is_not_saved_unseen(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    story = on_air(live)
    assert story is not None
    path = f"/broadcast/{live.pk}/stories/{story.pk}/"
    do(live, "correct", story=story.pk, **CORRECT)
    mine = {**CORRECT, "text": "It was the third bridge.", "version": 1}
    answer = client_of(owner).post(f"{path}correction/", mine)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "This story was changed meanwhile" in page
    assert "It was the third bridge." in page
    assert 'name="version" value="2"' in page
    story.refresh_from_db()
    assert story.narrative == CORRECT["text"]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen after a command was asked for, and before it has the run."""

    def arrange(happens: Callable[[], Any]) -> None:
        real = orchestrator.locked_live_run

        def later(session: Session) -> Any:
            monkeypatch.setattr(orchestrator, "locked_live_run", real)
            happens()
            return real(session)

        monkeypatch.setattr(orchestrator, "locked_live_run", later)

    return arrange


Meanwhile = Callable[[Callable[[], Any]], None]


@pytest.fixture
def written(make_session: MakeSession, go_live: Callable[[Session], Any]) -> Story:
    """A story that waits for approval, while the session is live."""
    session = make_session(model="extractive", pace=180, control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=3)
    return Story.objects.get(session=session, state="written")


@pytest.mark.databases
def test_a_story_that_goes_on_air_just_then_is_pulled_from_the_air(
    written: Story, meanwhile: Meanwhile
) -> None:
    session = written.session
    meanwhile(lambda: do(session, "approve", story=written.pk))
    do(session, "kill", story=written.pk)
    assert on_air(session) is None
    written.refresh_from_db()
    assert written.state == "killed"


@pytest.mark.databases
def test_pulling_a_story_that_just_ended_leaves_the_next_one_on_air(
    live: Session, meanwhile: Meanwhile
) -> None:
    story = on_air(live)
    assert story is not None
    meanwhile(lambda: do(live, "break_in", **BREAKING, now=True))
    do(live, "kill", story=story.pk)
    now = on_air(live)
    assert now is not None
    assert now.title == BREAKING["title"]


@pytest.mark.databases
def test_a_correction_of_a_story_that_just_went_on_air_is_marked(
    written: Story, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: do(written.session, "approve", story=written.pk))
    corrected = do(written.session, "correct", story=written.pk, **CORRECT)
    assert corrected.correction == CORRECT["reason"]


def test_a_bookmark_tells_the_state_that_the_story_has_by_now(
    written: Story, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: do(written.session, "approve", story=written.pk))
    do(written.session, "bookmark", story=written.pk, on=True)
    event = SessionEvent.objects.filter(session=written.session, type="story.changed").latest("seq")
    assert event.payload["story"]["state"] == "airing"


def test_a_correction_that_changes_nothing_is_refused(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    with pytest.raises(Conflict, match="already the text"):
        do(live, "correct", story=story.pk, title=story.title, text=story.narrative, reason="x")


def test_a_pulled_story_leaves_the_air_and_the_public_page(
    live: Session, client_of: Callable[[User], Client]
) -> None:
    commands.run("session.change", live.owner, live, {"visible": True})
    story = on_air(live)
    assert story is not None
    do(live, "kill", story=story.pk)
    assert on_air(live) != story
    live.refresh_from_db()
    page = Client().get(f"/watch/{live.watch_token}/").content.decode()
    assert f'id="story-{story.pk}"' not in page
    with pytest.raises(Conflict, match="pulled already"):
        do(live, "kill", story=story.pk)


LONGER = "The mill burns. All are safe, the mayor says"


def test_no_later_story_repeats_the_headline_of_a_pulled_one(live: Session, owner: User) -> None:
    pulled = on_air(live)
    assert pulled is not None
    pulled.title = "The mill burns. All are safe"
    pulled.save(update_fields=["title"])
    passages: list[dict[str, Any]] = [
        {"text": "In headlines.", "support": "link", "passages": []},
        {"text": "The mill burns. All are safe", "support": "passages", "passages": []},
        {
            "text": LONGER,
            "support": "passages",
            "passages": [{"text": LONGER, "report": -1}],
        },
        {
            "text": "Bees swarm.",
            "support": "passages",
            "passages": [
                {"text": "The mill burns. All are safe", "report": -1},
                {"text": "Bees swarm", "report": -1},
            ],
        },
    ]
    told = {
        "recap": (f"In headlines. The mill burns. All are safe. {LONGER}. Bees swarm.", "aired"),
        "alone": ("In headlines. The mill burns. All are safe.", "aired"),
        "follow-up": ("More on “The mill burns. All are safe”, from the Echo. It rains.", "aired"),
        "waits": ("Earlier we reported: The mill burns. All are safe. It rains.", "written"),
        LONGER: ("The mill turns again.", "aired"),
    }
    made = {
        name: Story.objects.create(
            session=live,
            origin="recap" if name in ("recap", "alone") else "manual",
            title=name,
            narrative=text,
            state=state,
            passages=passages if name == "recap" else [],
            held=name == "waits",
            word_count=9,
            duration=1,
            completed_at=pulled.completed_at,
        )
        for name, (text, state) in told.items()
    }
    do(live, "kill", story=pulled.pk)
    for story in made.values():
        story.refresh_from_db()
    assert {name: (story.narrative, story.state) for name, story in made.items()} == {
        "recap": (f"In headlines. {LONGER}. Bees swarm.", "aired"),
        "alone": ("In headlines. The mill burns. All are safe.", "killed"),
        "follow-up": ("It rains.", "aired"),
        "waits": ("It rains.", "written"),
        LONGER: ("The mill turns again.", "aired"),
    }
    assert made["recap"].correction == "It repeated the headline of a story that was withdrawn."
    assert made["recap"].passages == [
        passages[0],
        passages[2],
        {**passages[3], "passages": [{"text": "Bees swarm", "report": -1}]},
    ]
    assert not [found for _, found in broadcast_audits.passages()]
    assert made["waits"].held
    assert StoryVersion.objects.get(story=made["recap"], number=2).author == owner


@pytest.mark.parametrize(
    ("headline", "others", "text", "left"),
    [
        ("Rain", [], "Now. Rain. Rainfall falls.  Bees swarm.", "Now. Rainfall falls. Bees swarm."),
        (
            "Fire in Lomme.",
            ["Fire in Lomme spreads!"],
            "Fire in Lomme. Fire in Lomme spreads!",
            "Fire in Lomme spreads!",
        ),
        (
            "Fire in Lomme",
            ["A fire", "Fire in Lomme!"],
            "More: Fire in Lomme, they say. Now.",
            "Now.",
        ),
        ("Lomme burns", ["Lomme burns on"], "Lomme burns on, and Lomme burns. Bees.", "Bees."),
        (
            "Lomme burns. All flee",
            ["Lomme burns"],
            "“Lomme burns. All flee”, says one. Bees.",
            "Bees.",
        ),
        ("???", [], "It rains. ??? Bees swarm.", "It rains."),
    ],
)
def test_sentences_with_a_withdrawn_headline_are_left_out(
    headline: str, others: list[str], text: str, left: str
) -> None:
    withdrawn = corrections.Withdrawn(headline, others)
    assert withdrawn.is_in(text)
    assert withdrawn.without(text) == left
    assert not withdrawn.is_in(left)


@pytest.mark.parametrize(
    ("headline", "others", "text"),
    [
        ("Bee", [], "Bees swarm. A beehive."),
        ("Fire in Lomme", ["Fire in Lomme kills four"], "Fire in Lomme kills four.  It rains."),
        ("Lomme burns", ["How Lomme burns", "Lomme burns on"], "How Lomme burns. Lomme burns on."),
        ("Lomme burns", ["Lomme burns on", "Lomme burns on today"], "Lomme burns on today."),
    ],
)
def test_other_words_and_other_headlines_stay(headline: str, others: list[str], text: str) -> None:
    withdrawn = corrections.Withdrawn(headline, others)
    assert not withdrawn.is_in(text)
    assert withdrawn.without(text) == text


def test_bookmarked_stories_stand_on_their_own_page(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    story = on_air(live)
    assert story is not None
    browser, path = client_of(owner), f"/broadcast/{live.pk}/"
    command = f"{path}stories/{story.pk}/command/"
    assert browser.post(command, {"do": "bookmark"}).status_code == 302
    assert f"story-title-{story.pk}" in browser.get(f"{path}?bookmarked=1").content.decode()
    browser.post(command, {"do": "unbookmark"})
    assert "No story is bookmarked" in browser.get(f"{path}?bookmarked=1").content.decode()


def test_the_story_page_shows_what_a_correction_changed(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    story = on_air(live)
    assert story is not None
    path = f"/broadcast/{live.pk}/stories/{story.pk}/"
    answer = client_of(owner).post(f"{path}correction/", {**CORRECT, "version": 1})
    assert answer.status_code == 302
    page = client_of(owner).get(path).content.decode()
    assert "<ins>" in page
    assert "by olga" in page


def test_a_correction_without_a_reason_comes_back_with_what_was_typed(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    story = on_air(live)
    assert story is not None
    data = {**CORRECT, "reason": "", "version": 1}
    answer = client_of(owner).post(f"/broadcast/{live.pk}/stories/{story.pk}/correction/", data)
    assert answer.status_code == 422
    assert CORRECT["text"] in answer.content.decode()


def test_the_form_of_the_desk_breaks_in(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    data = {**BREAKING, "tone": "breaking", "when": "now"}
    assert client_of(owner).post(f"/broadcast/{live.pk}/break-in/", data).status_code == 302
    found = on_air(live)
    assert found is not None
    assert found.title == BREAKING["title"]


def test_a_word_that_went_and_one_that_came_are_told_apart() -> None:
    assert list(corrections.compare("the old bridge", "the new bridge")) == [
        ("the", "same"),
        ("old", "gone"),
        ("new", "new"),
        ("bridge", "same"),
    ]


@pytest.mark.parametrize("times", [1, 200])
def test_paragraphs_stay_apart_in_what_is_compared(times: int) -> None:
    opening = "It rained. " * times
    before = f"{opening}The old bridge.\n\nA ferry came."
    found = list(corrections.compare(before, before.replace("old", "new")))
    assert found[-1][0].endswith("\n\nA ferry came.")
    joined = list(corrections.compare("One.\n\nTwo.", "One. Two."))
    assert joined == [("One.", "same"), ("\n\n", "gone"), ("Two.", "same")]


def test_a_long_text_is_compared_sentence_by_sentence() -> None:
    lines = [f"Boat number {n} left the harbour." for n in range(150)]
    changed = [*lines[:100], "Boat number 100 stayed.", *lines[101:]]
    found = list(corrections.compare(" ".join(lines), " ".join(changed)))
    assert found[1:3] == [(lines[100], "gone"), ("Boat number 100 stayed.", "new")]
    assert [kind for _, kind in found] == ["same", "gone", "new", "same"]


def told_next(session: Session) -> list[tuple[str, bool]]:
    """What open watch pages got of stories that wait: the headline, or that it is gone."""
    events = SessionEvent.objects.filter(session=session, type="story.released").order_by("seq")
    public = [event.payload["public"] for event in events]
    return [(each["story"].get("title", ""), "retracts" in each) for each in public]


def test_open_watch_pages_learn_what_comes_next(live: Session) -> None:
    run_due_steps(live, most=1)
    airing.decide(live, do(live, "break_in", **BREAKING).pk, True, live.owner)
    waiting = Story.objects.get(title=BREAKING["title"])
    assert told_next(live) == 2 * [(BREAKING["title"], False)]
    do(live, "correct", story=waiting.pk, title="Bridge open", text="It is open.", reason="x")
    do(live, "kill", story=waiting.pk)
    # An old headline is replaced in the events before, and the last one has none.
    assert told_next(live) == [*3 * [("Bridge open", False)], ("", True)]
    event = SessionEvent.objects.filter(session=live, type="story.released").latest("seq")
    html = frames.text_of(frames.frame_of(event, 0, recorder.PUBLIC), recorder.PUBLIC, "html")
    assert f'hx-swap-oob="delete:#next-{waiting.pk}"' in html
    assert "Bridge" not in html


@pytest.mark.parametrize(
    ("mode", "named"), [("hands-free", True), ("balanced", False), ("full-control", False)]
)
def test_what_the_host_wrote_is_named_next_only_hands_free(
    live: Session, mode: str, named: bool
) -> None:
    sessions.change(live, control_mode=mode)
    Step.objects.filter(session=live, kind="narrate").update(due_at=steps.now())
    Airing.objects.filter(session=live).update(finish_at=steps.now())
    run_due_steps(live, "narrate", most=1)
    waiting = Story.objects.get(session=live, state="written")
    assert told_next(live) == ([(waiting.title, False)] if named else [])
    airing.decide(live, waiting.pk, False, live.owner)
    assert told_next(live)[1:] == ([("", True)] if named else [])


@pytest.mark.parametrize("approved", [True, False])
def test_a_story_that_was_listed_without_an_event_leaves_open_pages(
    live: Session, approved: bool
) -> None:
    sessions.change(live, control_mode="balanced")
    Step.objects.filter(session=live, kind="narrate").update(due_at=steps.now())
    Airing.objects.filter(session=live).update(finish_at=steps.now())
    run_due_steps(live, "narrate", most=1)
    waiting = Story.objects.filter(session=live, state="written")
    story_id = waiting.get().pk
    if approved:
        # Approved while the session was off the air.
        waiting.update(state="approved", approved_at=steps.now())
    else:
        sessions.change(live, control_mode="hands-free")
    assert told_next(live) == []
    do(live, "kill", story=story_id)
    assert told_next(live) == [("", True)]


def test_what_was_approved_off_the_air_is_named_when_it_goes_live_and_its_veto_takes_it_off(
    make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    session = make_session(model="extractive", pace=180)
    first, second = (do(session, "break_in", **{**BREAKING, "title": t}) for t in ("One", "Two"))
    assert told_next(session) == []
    go_live(session)
    run_due_steps(session, "narrate", most=1)
    assert on_air(session) == first
    assert told_next(session) == [("One", False), ("Two", False)]
    orchestrator.stop(session, session.owner)
    airing.decide(session, second.pk, False, session.owner)
    assert told_next(session) == [("One", False), ("Two", False), ("", True)]
    last = SessionEvent.objects.filter(session=session, type="story.released").latest("seq")
    assert last.payload["public"] == {"story": {"id": second.pk}, "retracts": second.pk}


def test_a_change_of_the_control_mode_names_what_waits_or_takes_it_back(live: Session) -> None:
    Step.objects.filter(session=live, kind="narrate").update(due_at=steps.now())
    Airing.objects.filter(session=live).update(finish_at=steps.now())
    run_due_steps(live, "narrate", most=1)
    waiting = Story.objects.get(session=live, state="written")
    for mode in ("full-control", "balanced", "hands-free", "hands-free"):
        commands.run("session.change", live.owner, live, {"settings": {"control_mode": mode}})
    assert told_next(live) == [
        (waiting.title, False),
        *2 * [("", False)],
        (waiting.title, False),
    ]
    events = SessionEvent.objects.filter(session=live, type="story.released").order_by("seq")
    taken_back = frames.text_of(
        frames.frame_of(events[1], 0, recorder.PUBLIC), recorder.PUBLIC, "html"
    )
    assert f'hx-swap-oob="delete:#next-{waiting.pk}"' in taken_back
    # It is not retracted: who comes later gets it when it airs.
    assert frames.without_retracted(list(events), recorder.PUBLIC) == list(events)


def test_a_break_in_for_now_behind_an_older_one_is_named_next(live: Session) -> None:
    older, newer = {**BREAKING, "title": "Older"}, {**BREAKING, "title": "Newer", "now": True}
    do(live, "break_in", **older)
    do(live, "break_in", **newer)
    current = on_air(live)
    assert current is not None
    assert current.title == "Older"
    assert told_next(live) == [("Older", False), ("Newer", False)]


@pytest.mark.parametrize("verb", ["correct", "kill"])
def test_the_audience_hears_nothing_of_a_story_it_was_never_told(
    make_session: MakeSession, go_live: Callable[[Session], Any], verb: str
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    go_live(session)
    run_due_steps(session, most=4)
    story = Story.objects.get()
    do(session, verb, story=story.pk, **(CORRECT if verb == "correct" else {}))
    events_ = SessionEvent.objects.filter(session=session)
    shown = [each for each in events_ if each.type in recorder.public_types()]
    assert not any("story" in each.payload["public"] for each in shown)


def test_what_was_pulled_is_not_told_again_to_who_comes_later(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    do(live, "kill", story=story.pk)
    found = list(
        SessionEvent.objects.filter(session=live, type__in=recorder.public_types()).order_by("seq")
    )
    later = frames.without_retracted(found, recorder.PUBLIC)
    public_types = [
        each.type for each in later if each.payload["public"].get("story", {}).get("id") == story.pk
    ]
    assert public_types == ["story.killed"]
    assert frames.without_retracted(found, recorder.OWNER) == found


def test_the_headline_of_a_threads_first_story_is_not_public_by_its_thread(live: Session) -> None:
    story = on_air(live)
    assert story is not None
    shown = stories.payload(story) | {"thread": {"id": 1, "title": "Pulled since", "relation": "x"}}
    assert stories.public_payload(shown)["thread"] == {"id": 1, "relation": "x"}


def test_a_correction_is_compared_with_the_sources_and_stored_with_its_version(
    live: Session,
) -> None:
    story = on_air(live)
    assert story is not None
    quoted = next(row for row in story.passages if row["support"] == "passages")["text"]
    text = f"{quoted} The other bridge has 77 arches."
    changed = f"{quoted.rstrip('.')}, too. The other bridge has 77 arches."
    do(live, "correct", story=story.pk, title="Repair", text=text, reason="Wrong.")
    do(live, "correct", story=story.pk, title="Repair", text=changed, reason="Wrong again.")
    first, second, third = StoryVersion.objects.filter(story=story).order_by("number")
    assert first.passages == story.passages
    assert [row["support"] for row in second.passages] == ["passages", "editor"]
    assert second.passages[1]["passages"] == []
    assert second.passages[1]["reason"] == "It rests on no passage."
    # The editor's own, and found in the source.
    assert [row["support"] for row in third.passages] == ["editor", "editor"]
    assert third.passages[0]["passages"][0]["text"] == quoted
    story.refresh_from_db()
    assert story.passages == third.passages
    event = SessionEvent.objects.filter(session=live, type="story.corrected").latest("seq")
    assert "reason" not in event.payload["public"]["story"]["passages"][1]


def test_versions_show_their_passages_to_the_editor(
    live: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    story = on_air(live)
    assert story is not None
    do(live, "correct", story=story.pk, **CORRECT)
    page = client_of(owner).get(f"/broadcast/{live.pk}/stories/{story.pk}/").content.decode()
    versions = page[page.index('id="versions"') :]
    assert versions.count('<details class="more passages">') == 2
    assert "It rests on no passage." in versions
