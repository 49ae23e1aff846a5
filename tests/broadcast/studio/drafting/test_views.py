"""The writers' room: what its pages show, what their controls do, and how they follow the frames."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_app.events import recorder
from sessions_app.models import Session
from stories.drafting import boards, drafts, versions
from stories.market import trends
from stories.models import BoardKeyword, Draft, DraftMessage, DraftVersion, Source, Story, Trend
from tests.chain_links import join
from tests.conftest import MakeSession, make_post
from tests.markup import unbroken

ELOWEN = ("The ferry of Port Elowen is late", "A bridge in Port Elowen is closed to lorries")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer
    return unbroken(answer.content.decode())


@pytest.fixture
def draft(session: Session) -> Draft:
    """A draft in the middle of its way, without anybody who works on it."""
    with transaction.atomic():
        made = Draft.objects.create(
            session=session,
            author=session.owner,
            keywords=["tides", "ferries"],
            words=300,
            active_at=timezone.now(),
        )
        drafts.changed(made)
    return made


def say(draft: Draft, role: str, kind: str, words: str = "So it is.", **payload: Any) -> None:
    last = DraftMessage.objects.filter(draft=draft).order_by("-turn").first()
    with transaction.atomic():
        made = DraftMessage.objects.create(
            session=draft.session,
            draft=draft,
            turn=draft.turns + 1,
            role=role,
            kind=kind,
            after=last.role if last else "",
            text=words,
            payload=payload,
        )
        Draft.objects.filter(pk=draft.pk).update(turns=made.turn)
        draft.refresh_from_db()
        recorder.record(draft.session, drafts.ADDED, {"message": drafts.message_payload(made)})
        drafts.changed(draft)


def write(draft: Draft, said: str, title: str = "Tides turn", author: str = "writer") -> None:
    with transaction.atomic():
        made = DraftVersion.objects.create(
            session=draft.session,
            draft=draft,
            number=draft.version + 1,
            author=author,
            reason="The first text.",
            title=title,
            text=said,
            word_count=len(said.split()),
        )
        Draft.objects.filter(pk=draft.pk).update(version=made.number, title=title)
        draft.refresh_from_db()
        recorder.record(draft.session, versions.ADDED, {"version": versions.payload(made)})
        drafts.changed(draft)


def page_of(draft: Draft, query: str = "") -> str:
    return f"/drafting/{draft.session_id}/{draft.pk}/{query}"


def test_without_drafts_the_page_says_how_to_start_one(browser: Client, session: Session) -> None:
    page = text(browser.get(f"/drafting/?session={session.pk}"))
    assert "No drafts yet" in page
    assert 'value="400"' in page


def test_keywords_in_the_address_begin_a_draft(browser: Client, session: Session) -> None:
    page = text(browser.get(f"/drafting/?session={session.pk}&keywords=tidal+power"))
    assert 'value="tidal power"' in page


def test_the_list_shows_how_a_draft_stands(browser: Client, draft: Draft) -> None:
    page = text(browser.get(f"/drafting/?session={draft.session_id}"))
    row = page[page.index('id="draft-row-') :].partition("</li>")[0]
    for word in ("tides, ferries", "At work", "0%", "300 words wanted", "0 versions", "$0.0000"):
        assert word in row


def test_the_page_shows_the_conversation_and_the_text(browser: Client, draft: Draft) -> None:
    say(draft, "researcher", "research", "The ferry is late <b>.")
    say(draft, "writer", "text")
    write(draft, "The ferry was late on Monday.")
    page = text(browser.get(page_of(draft)))
    assert "begins with the research" in " ".join(page.split())
    assert "The ferry is late &lt;b&gt;." in page
    assert "The ferry was late on Monday." in page
    assert "<strong>Version 1</strong>" in page


def test_the_comments_of_the_agents_are_at_their_places(browser: Client, draft: Draft) -> None:
    source = {
        "ref": "p1",
        "kind": "post",
        "id": 1,
        "title": "Ferry news",
        "credit": "Harbour Post",
        "at": "2026-11-29T08:10:00Z",
    }
    say(draft, "researcher", "research", sources=[source], gaps=["price"])
    say(draft, "writer", "text", version=1, reason="First text")
    write(draft, "Harbour Post says the ferry was late.\n\nIt rained <b>.")
    words = "The office says that it rained"
    remarks = [
        {"about": "facts", "where": "It rained <b>", "wish": "Name the source.", "instead": words},
        {"about": "style", "where": "", "wish": "Shorten it."},
    ]
    say(draft, "reader", "review", decision="changes", remarks=remarks)
    assert "?version=1#text" in text(browser.get(page_of(draft)))
    page = text(browser.get(page_of(draft, "?version=1")))
    place = page.partition('<mark id="place-3" class="commented">')[2].partition("</mark>")[0]
    assert place.startswith("It rained &lt;b&gt;<a")
    card = page.partition('class="source-card"')[2].partition("</span></span>")[0]
    assert "Ferry news" in card
    comments = page.partition('<ol class="comments"')[2].partition("</ol>")[0]
    assert [word for word in ("researcher", "writer", "reader") if word in comments] == [
        "researcher",
        "writer",
        "reader",
    ]
    assert "Nothing was found about: price." in comments
    assert f"<del>It rained &lt;b&gt;</del> <ins>{words}</ins>" in comments
    assert [comments.count(f'value="{do} 1 3"') for do in ("accept", "reject", "undo")] == [1, 1, 0]
    # The next version has no comment yet.
    say(draft, "writer", "text", version=2, reason="Second text")
    write(draft, "It rained, says the office.")
    page = text(browser.get(page_of(draft, "?version=2")))
    assert "Name the source." not in page.partition("conversation-title")[0]


def test_a_comment_that_is_accepted_edits_the_text_and_can_be_undone(
    browser: Client, draft: Draft
) -> None:
    say(draft, "researcher", "research")
    say(draft, "writer", "text", version=1)
    first = "The ferry was late.\n\nIt rained. It rained again."
    write(draft, first)
    place = {"about": "facts", "where": "It rained", "wish": "Name it.", "instead": "Rain fell"}
    whole = {"about": "style", "where": "", "wish": "Shorten it.", "instead": "Nowhere"}
    say(draft, "reader", "review", decision="changes", remarks=[place, whole])

    def decide(do: str) -> str:
        path = f"/drafting/{draft.session_id}/{draft.pk}/command/"
        answer = browser.post(path, {"do": do})
        assert answer.status_code == 302
        draft.refresh_from_db()
        return text(browser.get(answer["Location"])).partition('<ol class="comments"')[2]

    def versions_of() -> list[tuple[int, str, str]]:
        rows = DraftVersion.objects.filter(draft=draft, author="human").order_by("number")
        return list(rows.values_list("number", "reason", "text"))

    edited = "The ferry was late.\n\nRain fell. It rained again."
    decide("accept 1 1")
    assert versions_of() == [(2, "Accepted comment 1, by the reader", edited)]
    # The text of which it was decided is an older one: nothing is done.
    for refused in ("accept 1 1", "accept 2 x", "undo x 1", f"undo {'9' * 5000} 1"):
        assert "Undo" not in decide(refused)
    twice = "The ferry was late.\n\nRain fell. Rain fell again."
    comments = decide("accept 2 1")
    assert (versions_of()[-1][2], draft.wishes) == (twice, [])
    assert ">Accepted<" in comments
    assert 'value="undo 3 1"' in comments
    decide("reject 3 1")
    decide("undo 3 1")
    undone = "The ferry was late.\n\nRain fell. It rained again."
    assert versions_of()[-1] == (4, "Took back comment 1, by the reader", undone)

    # A comment on the whole text suggests no words: the next agent reads the decision.
    assert ">Rejected<" in decide("reject 4 2")
    assert draft.wishes == [{"text": "Rejected, do not do this: Shorten it.", "turn": 3}]
    assert ">Rejected<" not in decide("undo 4 2")
    assert ">Accepted<" in decide("accept 4 2")
    assert draft.wishes == [{"text": "Accepted, do this: Shorten it.", "turn": 3}]
    decide("undo 4 2")
    Draft.objects.filter(pk=draft.pk).update(state="finished")
    comments = decide("accept 4 2")
    assert (draft.wishes, draft.version) == ([], 4)
    assert 'value="accept 4 2"' not in comments
    assert 'value="accept 4 1"' in comments


def test_a_dossier_shows_no_agents(browser: Client, draft: Draft) -> None:
    link = join(draft.session, "draft", model="extractive")
    say(draft, "researcher", "research", "The ferry is late.")
    say(draft, "writer", "text", version=1)
    write(draft, "Timeline\n\nThe <late> ferry was late on Monday.")
    DraftMessage.objects.filter(draft=draft).update(link=link)
    DraftVersion.objects.filter(draft=draft).update(link=link)
    page = text(browser.get(page_of(draft)))
    main = page.partition("<main")[2]
    assert re.search(
        r"<h4>Timeline</h4>\s*<p>The &lt;late&gt; ferry was late on Monday\.</p>", main
    )
    assert "Assembled without a model: a dossier" in main
    assert "Passages collected" in main
    assert "assembled without a model" in main
    for role in ("researcher", "writer", "reader", "expert"):
        assert role not in main


def test_two_versions_are_compared(browser: Client, draft: Draft) -> None:
    write(draft, "The ferry was late.")
    write(draft, "The tram was late.")
    page = text(browser.get(page_of(draft, "?version=2&against=1")))
    assert "<del>ferry</del>" in page
    assert "<ins>tram</ins>" in page
    assert "Version 2 against 1" in page


def test_an_earlier_version_is_read(browser: Client, draft: Draft) -> None:
    write(draft, "The ferry was late.")
    write(draft, "The tram was late.")
    page = text(browser.get(page_of(draft, "?version=1")))
    assert "The ferry was late." in page
    assert "The tram was late." not in page


@pytest.mark.parametrize("query", ["?version=9", "?version=1&against=9"])
def test_a_version_that_is_not_there_is_not_found(
    browser: Client, draft: Draft, query: str
) -> None:
    write(draft, "The ferry was late.")
    assert browser.get(page_of(draft, query)).status_code == 404


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("waiting", "Resume to try again now"),
        ("failed", "All turns and versions are stored"),
        ("expired", "All turns and versions are stored"),
    ],
)
def test_a_draft_that_rests_says_what_to_do(
    browser: Client, draft: Draft, state: str, said: str
) -> None:
    Draft.objects.filter(pk=draft.pk).update(state=state, note="The budget is spent.")
    page = text(browser.get(page_of(draft)))
    assert said in page
    assert "The budget is spent." in page
    assert 'value="resume"' in page


FORM = {"typed": "tidal power, Ferries", "words": "300", "style": "feature", "language": "de"}


def start(browser: Client, session: Session, **changes: Any) -> Any:
    return browser.post(f"/drafting/{session.pk}/start/", {**FORM, **changes})


def test_a_draft_is_started_from_typed_and_ticked_keywords(
    browser: Client, session: Session
) -> None:
    boards.add(session, "ferries", "ideas")
    answer = start(browser, session, use=["ferries", "Trams"])
    made = Draft.objects.get(session=session)
    assert answer["Location"] == page_of(made)
    assert sorted(each.casefold() for each in made.keywords) == ["ferries", "tidal power", "trams"]
    assert (made.words, made.style, made.language) == (300, "feature", "de")
    assert BoardKeyword.objects.get(session=session).board == "research"


def test_without_a_language_a_draft_is_in_that_of_the_session(
    browser: Client, make_session: MakeSession
) -> None:
    session = make_session(language="pt-BR")
    start(browser, session, language="")
    assert Draft.objects.get(session=session).language == "pt-BR"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"typed": " , "}, "Tick a keyword on a board, or type one."),
        ({"typed": ",".join(map(str, range(9)))}, "at most 8 keywords; these are 9"),
        ({"typed": "x" * 81}, "too long for a keyword"),
        ({"typed": "…"}, "needs a letter or a number"),
        ({"words": "49"}, "greater than or equal to 50"),
        ({"words": "3001"}, "less than or equal to 3000"),
        ({"style": "poem"}, "Select a valid choice"),
        ({"language": "in English"}, "Enter a language tag"),
    ],
)
def test_what_cannot_be_started_is_said_beside_what_was_typed(
    browser: Client, session: Session, changes: dict[str, str], said: str
) -> None:
    boards.add(session, "bells", "ideas")
    page = text(start(browser, session, **{"use": [], **changes}), 422)
    assert said in page
    assert 'value="300"' in page or "words" in changes
    assert not Draft.objects.exists()


def test_what_was_ticked_stays_ticked_after_a_mistake(browser: Client, session: Session) -> None:
    boards.add(session, "bells", "ideas")
    page = text(start(browser, session, use="bells", words="1"), 422)
    assert 'value="bells" hx-preserve checked' in page


def test_one_open_draft_too_many_is_refused(browser: Client, session: Session) -> None:
    for _ in range(3):
        assert start(browser, session).status_code == 302
    assert "open drafts" in text(start(browser, session), 409)
    assert Draft.objects.count() == 3


def do(browser: Client, draft: Draft, what: str, **more: Any) -> Any:
    return browser.post(f"{page_of(draft)}command/", {"do": what}, **more)


def test_a_draft_is_stopped_and_resumed(browser: Client, draft: Draft) -> None:
    assert do(browser, draft, "stop")["Location"] == page_of(draft)
    draft.refresh_from_db()
    assert (draft.state, draft.note_code) == ("waiting", "stopped")
    page = text(browser.get(page_of(draft)))
    assert 'value="resume"' in page
    assert 'value="stop"' not in page
    assert do(browser, draft, "resume", headers={"HX-Request": "true"}).status_code == 204
    draft.refresh_from_db()
    assert (draft.state, draft.note_code) == ("running", "")


def test_what_cannot_be_done_is_refused_in_words(browser: Client, draft: Draft) -> None:
    answer = do(browser, draft, "resume", headers={"HX-Request": "true"})
    assert "can be resumed" in text(answer, 409)
    assert do(browser, draft, "burn").status_code == 400
    assert do(browser, draft, "restore two").status_code == 400


def test_the_room_is_told_a_wish(browser: Client, draft: Draft) -> None:
    browser.post(f"{page_of(draft)}advice/", {"text": "Shorter & plainer"})
    draft.refresh_from_db()
    assert [each["text"] for each in draft.wishes] == ["Shorter & plainer"]
    assert "Shorter &amp; plainer" in text(browser.get(page_of(draft)))


def test_an_empty_wish_is_no_wish(browser: Client, draft: Draft) -> None:
    assert "This field is required" in text(browser.post(f"{page_of(draft)}advice/", {}), 422)


def test_a_version_is_restored_as_a_new_one(browser: Client, draft: Draft) -> None:
    write(draft, "The ferry was late.")
    write(draft, "The tram was late.")
    do(browser, draft, "restore 1")
    latest = DraftVersion.objects.filter(draft=draft).latest("number")
    assert (latest.number, latest.text) == (3, "The ferry was late.")
    assert "by olga" in text(browser.get(page_of(draft)))


def test_a_text_is_edited_by_hand(browser: Client, draft: Draft) -> None:
    write(draft, "The ferry was late.")
    form = text(browser.get(f"{page_of(draft)}edit/"))
    assert "The ferry was late.</textarea>" in form
    mine = {"version": 1, "title": "Mine", "text": "It was punctual.", "reason": "The facts."}
    assert browser.post(f"{page_of(draft)}edit/", mine)["Location"] == page_of(draft)
    latest = DraftVersion.objects.get(draft=draft, number=2)
    assert (latest.text, latest.reason, latest.author) == (
        "It was punctual.",
        "The facts.",
        "human",
    )


def test_an_edit_that_came_too_late_keeps_what_was_typed_and_shows_both(
    browser: Client, draft: Draft
) -> None:
    write(draft, "The ferry was late.")
    write(draft, "The tram was late.")
    mine = {"version": 1, "title": "Mine", "text": "The ship was late.", "reason": "The facts."}
    page = text(browser.post(f"{page_of(draft)}edit/", mine), 409)
    assert "The ship was late.</textarea>" in page
    assert "<p>The tram was late.</p>" in page
    assert "<del>tram</del>" in page
    assert "<ins>ship</ins>" in page
    assert DraftVersion.objects.filter(draft=draft).count() == 2
    again = browser.post(f"{page_of(draft)}edit/", {**mine, "version": 2})
    assert again.status_code == 302
    assert DraftVersion.objects.get(draft=draft, number=3).text == "The ship was late."


def test_an_edit_without_a_text_is_said_in_the_form(browser: Client, draft: Draft) -> None:
    mine = {"version": 0, "title": "Mine", "text": "", "reason": "The facts."}
    page = text(browser.post(f"{page_of(draft)}edit/", mine), 422)
    assert "This field is required" in page


def test_the_list_tells_how_long_a_draft_is(browser: Client, draft: Draft) -> None:
    area = f"/drafting/?session={draft.session_id}"
    assert "300 words wanted" in text(browser.get(area))
    write(draft, "One. Two. Three.")
    write(draft, "One. Two.")
    assert "2 of 300 words" in text(browser.get(area))


@pytest.mark.parametrize("turns", [1, 6])
def test_a_page_takes_the_same_queries_for_a_long_draft(
    browser: Client, draft: Draft, turns: int
) -> None:
    for number in range(turns):
        say(draft, "writer" if number % 2 else "reader", "text")
        write(draft, f"Version {number} of it.")
    for path, most in ((page_of(draft), 12), (f"/drafting/?session={draft.session_id}", 16)):
        with CaptureQueriesContext(connection) as queries:
            browser.get(path)
        assert len(queries) <= most, [each["sql"][:90] for each in queries]


def test_market_session_and_story_lead_to_drafts(
    browser: Client, draft: Draft, source: Source
) -> None:
    session = draft.session
    page = text(browser.get(f"/sessions/{session.pk}/"))
    assert f'href="/drafting/?session={session.pk}"' in page
    with transaction.atomic():
        trends.add_posts(source, [make_post(source, f"k{n}", t) for n, t in enumerate(ELOWEN)])
    trend = Trend.objects.get(key="port elowen")
    page = text(browser.get(f"/market/{session.pk}/{trend.pk}/"))
    assert f"/drafting/?session={session.pk}&amp;keywords=Port%20Elowen#start" in page
    Story.objects.create(
        session=session,
        draft=draft,
        origin="draft",
        state="approved",
        title="Tides",
        narrative="They turn.",
        word_count=2,
        duration=1,
        tone="analysis",
        completed_at=timezone.now(),
    )
    page = text(browser.get(f"/broadcast/{session.pk}/"))
    assert f'<a href="{page_of(draft)}">From a draft</a>' in page


def test_a_finished_draft_goes_on_air_once(browser: Client, draft: Draft) -> None:
    write(draft, "The ferry was late.")
    Draft.objects.filter(pk=draft.pk).update(state="finished", phase="done")
    assert 'value="air"' in text(browser.get(page_of(draft)))
    assert do(browser, draft, "air").status_code == 302
    story = Story.objects.get(draft=draft)
    assert (story.origin, story.narrative) == ("draft", "The ferry was late.")
    page = text(browser.get(page_of(draft)))
    assert f"/broadcast/{draft.session_id}/stories/{story.pk}/" in page
    assert 'value="air"' not in page
    assert "you find it in the feed" in text(
        do(browser, draft, "air", headers={"HX-Request": "true"}), 409
    )


def test_a_decision_on_a_comment_changes_its_own_place_alone(browser: Client, draft: Draft) -> None:
    say(draft, "researcher", "research")
    say(draft, "writer", "text", version=1)
    write(draft, "On Monday it rained. The ferry sank at once on Tuesday. It was found.")
    remarks = [
        {"about": "facts", "where": "on Tuesday", "wish": "Wrong day.", "instead": "On Monday"},
        {"about": "length", "where": "sank at once", "wish": "Shorten.", "instead": "sank"},
        {"about": "facts", "where": "on Thursday", "wish": "Misquoted.", "instead": "On Monday"},
        {"about": "facts", "where": "sank", "wish": "It says so.", "instead": "sank at once"},
        {"about": "facts", "where": "They saw it", "wish": "Who?", "instead": "Divers saw it"},
    ]
    say(draft, "reader", "review", decision="changes", remarks=remarks)

    def decide(do: str) -> str:
        browser.post(f"/drafting/{draft.session_id}/{draft.pk}/command/", {"do": do})
        draft.refresh_from_db()
        return DraftVersion.objects.get(draft=draft, number=draft.version).text

    # The text has all suggested words already, which does not make the comments accepted.
    page = text(browser.get(page_of(draft, "?version=1")))
    assert [f'value="accept 1 {number}"' in page for number in (1, 2, 3, 4)] == [True] * 4
    first = "On Monday it rained. The ferry sank at once On Monday. It was found."
    assert decide("accept 1 1") == first
    shorter = "On Monday it rained. The ferry sank On Monday. It was found."
    assert decide("accept 2 2") == shorter
    page = text(browser.get(page_of(draft, "?version=3")))
    assert [f'value="undo 3 {number}"' in page for number in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]
    assert decide("accept 3 3") == shorter
    assert decide("accept 3 2") == shorter
    undone = "On Monday it rained. The ferry sank on Tuesday. It was found."
    assert decide("undo 3 1") == undone
    write(draft, f"{undone} Divers saw it.", author="human")
    assert 'value="accept 5 5"' in text(browser.get(page_of(draft, "?version=5")))
