"""Stories that cover several reports: credits, differences, changes, and later reports."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import feedparser
import pytest
from django.db import transaction
from django.test import Client

from broadcast import editorial
from broadcast.models import Broadcast
from broadcast.narrators.extractive import ExtractiveNarrator
from sessions_app import audits, commands
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Message, Session, SessionEvent, SessionStats, Step
from stories import reports, stories
from stories.models import Source, SourcePost, Story, StoryReport
from stories.posts import queue
from stories.sources import registry, service
from stories.sources.service import SourceSpec
from stories.types import Fetched, FetchedPost
from tests.broadcast.session_with_history import exported
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

FIRE = (
    "Fire guts the Ashby spinning mill in Tavish Reach",
    "Fire has gutted the old Ashby spinning mill in Tavish Reach. Forty workers were led out. The roof "
    "fell in at four in the morning, fire chief Nell Rowntree said.",
)
ELSEWHERE = (
    "Overnight fire guts Ashby mill in Tavish Reach",
    "The Ashby spinning mill in Tavish Reach was gutted by a fire in the night. Its owner, Piers "
    "Holloway, puts the damage at nine million crowns. Fire chief Nell Rowntree expects to be there "
    "until Friday.",
)
CUTS_4 = (
    "Storm Petra cuts power to 4,000 homes around Lake Imbry",
    "Storm Petra reached the western lakes shortly after noon. Most of the homes are in Osselby.",
)
CUTS_11 = (
    "Storm Petra cuts power to 11,500 homes around Lake Imbry",
    "The number of homes in the dark around Lake Imbry has risen. A pylon has fallen near Osselby.",
)


@pytest.fixture
def live(make_session: MakeSession, go_live: Callable[[Session], Broadcast]) -> Session:
    session = make_session(model="extractive", recording=False)
    for name in ("harbour", "shore"):
        service.add(session, SourceSpec(kind="rss", locator=f"https://{name}.example/feed"))
    go_live(session)
    return session


def read(session: Session, host: str, text: tuple[str, str], minutes: int) -> SourcePost:
    """A post as a poll of the feed of ``host`` adds it."""
    source = Source.objects.get(session=session, locator__contains=host)
    at = steps.now() - timedelta(minutes=60 - minutes)
    url = f"https://{host}.example/{minutes}"
    fetched = FetchedPost(url, text[0], text[1], url=url, published_at=at)
    with transaction.atomic():
        post = queue.add(source, [fetched], steps.now()).posts[0]
        # Whether reading it finds a duplicate is not the subject here.
        post.state, post.duplicate_of, post.reason = SourcePost.State.QUEUED, None, ""
        post.save()
        recorder.record(session, service.POLLED, {"queue": []}, feed=1, queue=1)
    return post


def narrate(session: Session) -> None:
    step = Step.objects.get(session=session, kind="narrate", state="pending")
    Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
    steps.run(step.pk)
    for step in Step.objects.filter(session=session, kind="finish_airing", state="pending"):
        steps.run(step.pk)


def payload(story: Story) -> Any:
    return stories.payload(stories.find(story.session, story.pk))


def test_feeds_and_exports_link_every_report_of_a_story(live: Session, client: Client) -> None:
    first = read(live, "harbour", FIRE, 10)
    read(live, "shore", ELSEWHERE, 5)
    SourcePost.objects.filter(pk=first.pk).update(rank=999)
    narrate(live)
    markdown = exported(live, "md").decode()
    assert f"Source: [{FIRE[0]}](<https://harbour.example/10>) (harbour.example)" in markdown
    assert f"Source: [{ELSEWHERE[0]}](<https://shore.example/5>) (shore.example)" in markdown
    [row] = csv.DictReader(exported(live, "csv").decode("utf-8-sig").splitlines())
    assert row["other_sources"] == "https://shore.example/5"
    commands.run("session.change", live.owner, live, {"visible": True})
    live.refresh_from_db()
    home = f"/watch/{live.watch_token}/"
    atom = feedparser.parse(client.get(home + "feed.atom").content)
    via = [link.href for link in atom.entries[0].links if link.rel == "via"]
    assert via == ["https://harbour.example/10", "https://shore.example/5"]
    assert "Sources: harbour.example, shore.example" in atom.entries[0].content[0].value
    page = client.get(home).content.decode()
    [block] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
    [article] = json.loads(block)["hasPart"]
    assert [basis["url"] for basis in article["isBasedOn"]] == via


def test_two_reports_of_one_event_become_one_story_that_credits_both(live: Session) -> None:
    first = read(live, "harbour", FIRE, 10)
    other = read(live, "shore", ELSEWHERE, 5)
    SourcePost.objects.filter(pk=first.pk).update(rank=999)
    narrate(live)
    story = Story.objects.get()
    assert story.post == first
    assert payload(story)["sources"] == [
        {
            "role": "main",
            "post": first.pk,
            "source": "harbour.example",
            "title": FIRE[0],
            "url": "https://harbour.example/10",
        },
        {
            "role": "report",
            "post": other.pk,
            "source": "shore.example",
            "title": ELSEWHERE[0],
            "url": "https://shore.example/5",
        },
    ]
    assert "shore.example also reports this." in story.narrative
    other.refresh_from_db()
    assert (other.state, other.reason) == ("told", f"Told in “{story.title}”.")
    assert SessionStats.objects.get(session=live).queue == 0
    assert list(audits.run()) == []
    narrate(live)
    assert Story.objects.count() == 1


def test_the_reports_of_a_story_are_read_by_one_query_and_found_by_search(
    live: Session, client: Client, django_assert_num_queries: Any
) -> None:
    SourcePost.objects.filter(pk=read(live, "harbour", FIRE, 10).pk).update(rank=999)
    for minutes in (5, 6, 7):
        read(live, "shore", ELSEWHERE, minutes)
    narrate(live)
    story = Story.objects.select_related("post__source").get()
    with django_assert_num_queries(1):
        assert len(reports.sources_of(story)) == 4
    client.force_login(live.owner, backend="django.contrib.auth.backends.ModelBackend")
    found = client.get(f"/sessions/{live.pk}/search/?q=Ashby").content.decode()
    assert "harbour.example" in found
    assert "shore.example" in found[found.index("Also reported by:") :]


def test_the_audience_gets_the_sources_without_ids(live: Session) -> None:
    SourcePost.objects.filter(pk=read(live, "harbour", FIRE, 10).pk).update(rank=999)
    read(live, "shore", ELSEWHERE, 5)
    narrate(live)
    event = SessionEvent.objects.filter(session=live, type="story.aired").get()
    assert event.payload["public"]["story"]["sources"] == [
        {"source": "harbour.example", "title": FIRE[0], "url": "https://harbour.example/10"},
        {"source": "shore.example", "title": ELSEWHERE[0], "url": "https://shore.example/5"},
    ]


def test_a_post_that_is_killed_meanwhile_is_not_covered(
    live: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    SourcePost.objects.filter(pk=read(live, "harbour", FIRE, 10).pk).update(rank=999)
    other = read(live, "shore", ELSEWHERE, 5)
    narrates = ExtractiveNarrator.narrate

    def killed_meanwhile(self: Any, brief: Any, on_text: Any) -> Any:
        commands.run("post.kill", live.owner, live, {"post": other.pk})
        return narrates(self, brief, on_text)

    monkeypatch.setattr(ExtractiveNarrator, "narrate", killed_meanwhile)
    narrate(live)
    assert not StoryReport.objects.exists()
    other.refresh_from_db()
    assert other.state == "skipped"
    assert list(audits.run()) == []


def test_what_a_report_replaces_becomes_its_background(live: Session) -> None:
    older = read(live, "harbour", CUTS_4, 10)
    read(live, "harbour", CUTS_11, 40)
    narrate(live)
    story = Story.objects.get()
    assert story.post is not None
    assert story.post.title == CUTS_11[0]
    assert f"{CUTS_11[0]}. It was 4,000 before." in story.narrative
    older.refresh_from_db()
    assert (older.state, older.reason) == ("skipped", f"Superseded by “{story.title}”.")
    assert [row["role"] for row in payload(story)["sources"]] == ["main", "background"]
    assert SessionStats.objects.get(session=live).queue == 0
    assert list(audits.run()) == []


def test_a_story_gives_the_report_whose_status_it_reverses(live: Session) -> None:
    closed = ("Harbor bridge in Tavish Reach closes for repairs", "Engineers have found a crack.")
    reopened = ("Harbor bridge in Tavish Reach reopens", "The crack has been welded in two days.")
    read(live, "harbour", closed, 10)
    read(live, "harbour", reopened, 40)
    narrate(live)
    story = Story.objects.get()
    assert f"Earlier, the headline was: {closed[0]}." in story.narrative
    spoken = payload(story)["passages"][2]
    assert [row["text"] for row in spoken["passages"]] == [closed[0]]


def test_an_update_names_the_figure_that_changed(live: Session) -> None:
    read(live, "harbour", CUTS_4, 10)
    narrate(live)
    read(live, "harbour", CUTS_11, 40)
    narrate(live)
    assert "11,500 homes" in (told := Story.objects.order_by("-id")[0].narrative)
    assert "It was 4,000 before." in told


def test_a_report_that_comes_too_late_is_added_to_the_sources(live: Session) -> None:
    read(live, "harbour", FIRE, 30)
    narrate(live)
    late = read(live, "shore", ELSEWHERE, 5)
    narrate(live)
    story = Story.objects.get()
    late.refresh_from_db()
    assert (late.state, late.reason) == ("skipped", f"Already told as “{story.title}”.")
    event = SessionEvent.objects.filter(session=live, type="story.credited").get()
    public = event.payload["public"]["story"]["sources"]
    assert [row["source"] for row in public] == ["harbour.example", "shore.example"]
    assert SessionStats.objects.get(session=live).queue == 0
    assert list(audits.run()) == []


def test_a_duplicate_of_another_outlet_is_credited_too(live: Session) -> None:
    first = read(live, "harbour", FIRE, 30)
    for minutes in (5, 6):
        source = Source.objects.get(session=live, locator__contains="shore")
        with transaction.atomic():
            fetched = FetchedPost(
                f"d{minutes}", FIRE[0], FIRE[1], url=f"https://shore.example/{minutes}"
            )
            added = queue.add(source, [fetched], steps.now())
            recorder.record(live, service.POLLED, {"queue": []}, feed=1, queue=added.queued)
        assert added.posts[0].duplicate_of_id == first.pk
    narrate(live)
    rows = payload(Story.objects.get())["sources"]
    assert [(row["role"], row["url"]) for row in rows] == [
        ("main", "https://harbour.example/30"),
        ("repeated", "https://shore.example/5"),
    ]


def repeated_by_a_third(live: Session, report: SourcePost, text: tuple[str, str]) -> None:
    source = service.add(live, SourceSpec(kind="rss", locator="https://third.example/feed"))
    with transaction.atomic():
        fetched = FetchedPost("1", text[0], text[1], url="https://third.example/1")
        (post,) = queue.add(source, [fetched], steps.now()).posts
        recorder.record(live, service.POLLED, {"queue": []}, feed=1)
    assert post.duplicate_of_id == report.pk


def test_what_repeats_another_report_of_the_event_is_credited_too(live: Session) -> None:
    read(live, "harbour", FIRE, 30)
    repeated_by_a_third(live, read(live, "shore", ELSEWHERE, 31), ELSEWHERE)
    narrate(live)
    rows = payload(Story.objects.get())["sources"]
    assert {row["source"] for row in rows} == {
        "harbour.example",
        "shore.example",
        "third.example",
    }
    assert list(audits.run()) == []


def test_what_repeats_a_report_that_came_too_late_is_credited_too(live: Session) -> None:
    read(live, "harbour", FIRE, 30)
    narrate(live)
    repeated_by_a_third(live, read(live, "shore", ELSEWHERE, 5), ELSEWHERE)
    narrate(live)
    rows = payload(Story.objects.get())["sources"]
    assert [(row["role"], row["source"]) for row in rows] == [
        ("main", "harbour.example"),
        ("repeated", "shore.example"),
        ("repeated", "third.example"),
    ]
    assert list(audits.run()) == []


class OnePost:
    """A feed with one post."""

    kind = "rss"

    def __init__(self, post: FetchedPost) -> None:
        self._post = post

    def clean_locator(self, locator: str) -> str:
        return locator

    def fetch(self, _locator: str, _sort: str, _cursor: dict[str, Any]) -> Fetched:
        return Fetched([self._post])


def poll(session: Session, host: str, name: str, text: tuple[str, str]) -> SourcePost:
    """A post as the producer stores it when it reads the feed of ``host``."""
    source = Source.objects.get(session=session, locator__contains=host)
    post = FetchedPost(name, text[0], text[1], url=f"https://{host}.example/{name}")
    due = Step.objects.filter(kind="poll", subject=str(source.pk), state="pending")
    due.update(due_at=steps.now() - timedelta(seconds=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._adapters(), "rss", OnePost(post))
        steps.run(due.get().pk)
    return SourcePost.objects.get(source=source, external_id=name)


def test_a_duplicate_that_is_read_after_the_story_aired_is_credited_on_it(live: Session) -> None:
    first = read(live, "harbour", FIRE, 30)
    narrate(live)
    late = poll(live, "shore", "late", FIRE)
    assert late.duplicate_of == first
    # An outlet is credited once, and never for its own repetition.
    poll(live, "shore", "again", FIRE)
    poll(live, "harbour", "own", FIRE)
    story = Story.objects.get()
    assert [(row["role"], row["url"]) for row in payload(story)["sources"]] == [
        ("main", "https://harbour.example/30"),
        ("repeated", "https://shore.example/late"),
    ]
    [event] = SessionEvent.objects.filter(session=live, type="story.credited")
    public = event.payload["public"]["story"]["sources"]
    assert [row["source"] for row in public] == ["harbour.example", "shore.example"]
    assert list(audits.run()) == []


def test_a_duplicate_is_not_credited_on_a_pulled_story(live: Session) -> None:
    read(live, "harbour", FIRE, 30)
    narrate(live)
    editorial.pull(live, Story.objects.get().pk)
    poll(live, "shore", "late", FIRE)
    assert not StoryReport.objects.exists()


def test_a_pinned_post_that_is_out_of_date_airs_with_a_warning(live: Session) -> None:
    read(live, "harbour", CUTS_11, 40)
    narrate(live)
    older = read(live, "harbour", CUTS_4, 10)
    commands.run("post.pin", live.owner, live, {"post": older.pk})
    narrate(live)
    assert Story.objects.filter(post=older).exists()
    warning = Message.objects.get(session=live, code="older_post")
    assert warning.text.startswith(f"“{CUTS_4[0]}” is older than the story “")


def test_a_pulled_story_gets_no_more_sources(live: Session) -> None:
    read(live, "harbour", FIRE, 30)
    narrate(live)
    editorial.pull(live, Story.objects.get().pk)
    read(live, "shore", ELSEWHERE, 5)
    narrate(live)
    assert Story.objects.count() == 2


BREAKING = (
    "Breaking: Explosion at the Kestrel Point quarry",
    "An explosion has shaken the Kestrel Point quarry. Two workers are missing, the rescue service "
    "reports.",
)
BREAKING_TOO = (
    "Explosion shakes Kestrel Point quarry, two missing",
    "Two workers are missing after an explosion at the Kestrel Point quarry. The blast was heard as "
    "far as Osselby.",
)


@pytest.fixture
def careful(live: Session) -> Session:
    commands.run("session.change", live.owner, live, {"settings": {"breaking_rule": "two-outlets"}})
    live.refresh_from_db()
    return live


def test_breaking_news_waits_for_a_second_outlet(careful: Session) -> None:
    first = read(careful, "harbour", BREAKING, 50)
    narrate(careful)
    narrate(careful)
    assert not Story.objects.exists()
    [message] = Message.objects.filter(session=careful, code="second_outlet")
    assert "waits for a second outlet" in message.text
    other = read(careful, "shore", BREAKING_TOO, 55)
    narrate(careful)
    story = Story.objects.get()
    assert (story.tone, {source["post"] for source in payload(story)["sources"]}) == (
        "breaking",
        {first.pk, other.pk},
    )


def test_one_text_in_two_outlets_is_one_report(careful: Session) -> None:
    read(careful, "harbour", BREAKING, 50)
    read(careful, "shore", BREAKING, 55)
    narrate(careful)
    assert not Story.objects.exists()


def test_other_news_airs_meanwhile(careful: Session) -> None:
    SourcePost.objects.filter(pk=read(careful, "harbour", BREAKING, 50).pk).update(rank=999)
    read(careful, "shore", ("Bees learn to lock a drawer", "Bees in Brenholm lock it now."), 45)
    narrate(careful)
    assert Story.objects.get().title == "Bees learn to lock a drawer"


def test_what_no_second_outlet_reports_airs_later_and_not_as_breaking(careful: Session) -> None:
    first = read(careful, "harbour", BREAKING, 50)
    SourcePost.objects.filter(pk=first.pk).update(created_at=steps.now() - timedelta(minutes=121))
    narrate(careful)
    story = Story.objects.get()
    assert story.tone == "developing"
    assert "reaking" not in story.narrative


def test_an_editor_airs_breaking_news_at_once(careful: Session) -> None:
    first = read(careful, "harbour", BREAKING, 50)
    SourcePost.objects.filter(pk=first.pk).update(pinned=True)
    narrate(careful)
    assert Story.objects.get().tone == "breaking"


def test_without_the_rule_one_report_is_enough(live: Session) -> None:
    read(live, "harbour", BREAKING, 50)
    narrate(live)
    assert Story.objects.get().tone == "breaking"
