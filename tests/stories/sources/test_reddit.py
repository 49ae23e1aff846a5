"""Reddit by PRAW over real HTTP, and by the public feed without keys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sessions_app.errors import Invalid, NeedsHuman, Retry, WaitUntil
from stories.sources.http_client import GuardedClient
from stories.sources.reddit import RedditSource
from tests.standins.recorded import recorded
from tests.standins.reddit import RedditStandIn, post

os.environ["PRAWCORE_TIMEOUT"] = "0.3"  # read when PRAW is first imported

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LISTINGS = [path for path in recorded("reddit", "*.json") if path.name != "manifest.json"]
# Recorded without raw_json=1, so escaped as Reddit does without it.
ESCAPED = {"r_technology_hot_2013-04-14.json"}
ERRORS = [path for path in recorded("reddit", "errors/*.json") if not path.name.startswith("200")]


@pytest.fixture
def reddit() -> Iterator[RedditStandIn]:
    with RedditStandIn() as stand_in:
        yield stand_in


def source(reddit: RedditStandIn, *, keys: bool = True) -> RedditSource:
    return RedditSource(
        client_id="id" if keys else "",
        client_secret="secret" if keys else "",
        user_agent="smnb-tests",
        reddit_url=reddit.url,
        oauth_url=reddit.url,
        client=GuardedClient(allow_private=False, user_agent="smnb-tests"),
        now=lambda: NOW,
    )


@pytest.mark.parametrize(
    "typed",
    [
        "science",
        "r/science",
        "/r/science/",
        " R/science",
        "https://www.reddit.com/r/science/",
        "reddit.com/r/science",
    ],
)
def test_a_subreddit_is_known_however_it_is_written(reddit: RedditStandIn, typed: str) -> None:
    known = typed if not typed.startswith("reddit.com") else f"https://{typed}"
    assert source(reddit).clean_locator(known) == "r/science"


@pytest.mark.parametrize(
    "typed", ["", "r/", "r/a", "r/with space", "r/../x", "https://example.org"]
)
def test_what_is_no_subreddit_is_refused_in_words(reddit: RedditStandIn, typed: str) -> None:
    with pytest.raises(Invalid, match="r/science"):
        source(reddit).clean_locator(typed)


@pytest.mark.parametrize("path", LISTINGS, ids=lambda path: path.name)
def test_every_recorded_listing_is_read(reddit: RedditStandIn, path: Path) -> None:
    children = [child["data"] for child in json.loads(path.read_text())["data"]["children"]]
    reddit.publish("any", children)
    fetched = source(reddit).fetch("r/any", "hot", {})
    expected = {f"t3_{child['id']}" for child in children[:100]}
    assert {post.external_id for post in fetched.posts} <= expected
    for row in fetched.posts:
        assert row.title
        assert ("&amp;" in row.title) <= (path.name in ESCAPED)
        assert row.url.startswith(("http://", "https://", ""))
        assert row.published_at is None or row.published_at <= NOW
    assert len(reddit.requests) <= 3  # a token and the listing: no field cost a request of its own


def test_pinned_promoted_and_adult_posts_are_left_out(reddit: RedditStandIn) -> None:
    odd = [
        post("a", "Pinned", stickied=True),
        post("b", "Adult", over_18=True),
        post("d", "Bought", promoted=True),
    ]
    reddit.publish("tides", [*odd, post("e", "Kept")])
    assert [row.title for row in source(reddit).fetch("r/tides", "new", {}).posts] == ["Kept"]


def test_a_removed_post_says_so(reddit: RedditStandIn) -> None:
    gone = [
        post("a", "Gone", removed_by_category="moderator", selftext="It was here."),
        post("b", "A long story", is_self=True, selftext="[removed]"),
        post("c", "[deleted by user]", is_self=True, selftext="[removed]"),
        post("d", "[ Removed by Reddit ]", is_self=True, selftext="[ Removed by Reddit ]"),
    ]
    reddit.publish("tides", [*gone, post("e", "Here", is_self=True, selftext="It is here.")])
    posts = source(reddit).fetch("r/tides", "new", {}).posts
    assert [row.skip for row in posts] == ["Removed at the source."] * 4 + [""]


def test_a_title_is_plain_and_the_text_is_markdown(reddit: RedditStandIn) -> None:
    title = "What does &amp; mean in a <div>?"
    text = "I tried <b>bold</b>, **bold** and [a link](https://x.example/a_(b)). >!Spoiler!<"
    reddit.publish("tides", [post("a", title, is_self=True, selftext=text)])
    [row] = source(reddit).fetch("r/tides", "hot", {}).posts
    assert row.title == title
    assert row.body == "I tried <b>bold</b>, bold and a link."


def test_a_text_post_links_to_its_page_and_a_deleted_author_is_nobody(
    reddit: RedditStandIn,
) -> None:
    reddit.publish("tides", [post("a", "Ask me", is_self=True, author="[deleted]")])
    [row] = source(reddit).fetch("r/tides", "hot", {}).posts
    assert row.url == "https://www.reddit.com/r/tides/comments/a/x/"
    assert row.author == ""


def test_without_keys_the_public_feed_is_read_and_that_is_said(reddit: RedditStandIn) -> None:
    reddit.publish("tides", [post("a", "The tide is in")])
    fetched = source(reddit, keys=False).fetch("r/tides", "hot", {})
    assert "No Reddit keys are set" in fetched.notice
    assert [(row.external_id, row.author) for row in fetched.posts] == [("t3_a", "wren")]
    assert reddit.requests[0].path == "/r/tides/.rss"


def test_feed_and_api_give_a_post_the_same_id(reddit: RedditStandIn) -> None:
    reddit.publish("tides", [post("a", "The tide is in")])
    by_api = source(reddit).fetch("r/tides", "hot", {}).posts
    by_feed = source(reddit, keys=False).fetch("r/tides", "hot", {}).posts
    assert by_api[0].external_id == by_feed[0].external_id


@pytest.mark.parametrize("keys", [True, False])
def test_an_unknown_subreddit_needs_a_person(reddit: RedditStandIn, keys: bool) -> None:
    with pytest.raises(NeedsHuman, match="There is no subreddit r/nowhere"):
        source(reddit, keys=keys).fetch("r/nowhere", "hot", {})


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.name)
def test_every_recorded_error_has_a_type_and_a_sentence(
    reddit: RedditStandIn, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PRAW tries again after up to four seconds.
    monkeypatch.setattr("prawcore.sessions.FiniteRetryStrategy._sleep_seconds", lambda _: None)
    if "access_token" in path.name:
        reddit.replay(path)
        reddit.token_answer, reddit.answer = reddit.answer, None
    else:
        reddit.replay(path)
    with pytest.raises((Retry, WaitUntil, NeedsHuman)) as raised:
        source(reddit).fetch("r/any", "hot", {})
    assert raised.value.sentence.endswith(".")
    expected = {"4": (NeedsHuman, WaitUntil), "5": (Retry,), "3": (NeedsHuman,)}[path.name[0]]
    legal = (NeedsHuman,) if path.name.startswith("451") else expected
    assert isinstance(raised.value, legal)


def test_a_throttle_says_until_when(reddit: RedditStandIn) -> None:
    reddit.publish("any", [])
    reddit.answer = (429, {"Retry-After": "90"}, b"slow down")
    with pytest.raises(WaitUntil) as raised:
        source(reddit).fetch("r/any", "hot", {})
    assert raised.value.until == NOW + timedelta(seconds=90)


def test_a_spent_allowance_is_waited_for_by_the_step_and_not_in_the_call(
    reddit: RedditStandIn,
) -> None:
    reddit.publish("any", [post("a", "One")])
    reddit.remaining, reddit.used, reddit.reset_seconds = 0, 600, 300
    adapter = source(reddit)
    fetched = adapter.fetch("r/any", "hot", {})
    assert fetched.not_before is not None
    assert fetched.not_before > NOW + timedelta(seconds=250)
    with pytest.raises(WaitUntil):
        adapter.fetch("r/any", "hot", {})
    assert len(reddit.requests) == 2


@pytest.mark.parametrize(
    ("status", "headers"), [(401, {"www-authenticate": "Basic"}), (401, {}), (400, {})]
)
def test_bad_keys_are_named(reddit: RedditStandIn, status: int, headers: dict[str, str]) -> None:
    reddit.token_answer = (status, headers, b'{"message": "Unauthorized", "error": 401}')
    with pytest.raises(NeedsHuman, match="REDDIT_CLIENT_ID") as raised:
        source(reddit).fetch("r/any", "hot", {})
    assert raised.value.code == "reddit_key"


def test_a_page_instead_of_json_and_a_silent_server_are_tried_again(
    reddit: RedditStandIn,
) -> None:
    reddit.answer = (200, {"Content-Type": "text/html"}, b"<!doctype html>")
    with pytest.raises(Retry):
        source(reddit).fetch("r/any", "hot", {})
    reddit.hangs = True
    with pytest.raises(Retry):
        source(reddit).fetch("r/any", "hot", {})


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        "",
        7,
        [{}, {}],
        {"kind": "Listing"},
        {"kind": "Listing", "data": {}},
        {"kind": "Listing", "data": {"children": None}},
        {"kind": "t5", "data": {"id": "x"}},
        {"kind": "Listing", "data": {"children": [{}], "after": None}},
    ],
    ids=str,
)
def test_an_answer_that_is_no_listing_is_not_taken_for_an_empty_one(
    reddit: RedditStandIn, answer: object
) -> None:
    reddit.answer = (200, {"Content-Type": "application/json"}, json.dumps(answer).encode())
    with pytest.raises(Retry, match="could not be read"):
        source(reddit).fetch("r/any", "hot", {})


def test_a_post_without_a_score_is_read(reddit: RedditStandIn) -> None:
    plain = post("a", "One")
    del plain["score"], plain["num_comments"]
    reddit.publish("any", [plain])
    (row,) = source(reddit).fetch("r/any", "hot", {}).posts
    assert (row.score, row.comments) == (0, 0)


@pytest.mark.parametrize("number", ["many", None, 1e400, [1], -1e30, 10**30])
def test_numbers_beyond_reason_do_not_lose_a_post(reddit: RedditStandIn, number: object) -> None:
    odd = post("a", "One")
    odd["num_comments"] = odd["created_utc"] = number
    reddit.publish("any", [odd])
    (row,) = source(reddit).fetch("r/any", "hot", {}).posts
    assert (row.title, row.published_at) == ("One", None)


def test_nobody_there_is_tried_again(reddit: RedditStandIn) -> None:
    adapter = source(reddit)
    reddit.stop()
    with pytest.raises(Retry, match="cannot be reached"):
        adapter.fetch("r/any", "hot", {})


def test_an_empty_answer_is_no_news(reddit: RedditStandIn) -> None:
    reddit.publish("any", [])
    assert source(reddit).fetch("r/any", "hot", {}).posts == []


def test_a_praw_ini_in_the_working_folder_is_ignored(
    reddit: RedditStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "praw.ini").write_text("[DEFAULT]\nusername=mallory\npassword=x\n")
    monkeypatch.chdir(tmp_path)
    reddit.publish("any", [post("a", "One")])
    assert len(source(reddit).fetch("r/any", "hot", {}).posts) == 1
    assert b"mallory" not in reddit.requests[0].body


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize(
    ("locator", "published", "sort", "by_api", "by_feed"),
    [
        ("u/wren", "user/wren", "hot", "/user/wren/submitted?sort=hot", "?sort=hot"),
        ("u/wren", "user/wren", "rising", "/user/wren/submitted?sort=new", "?sort=new"),
        ("u/wren", "user/wren", "top", "/user/wren/submitted?sort=top", "?sort=top&t=day"),
        ("u/wren/m/sea", "user/wren/m/sea", "hot", "/user/wren/m/sea/hot", "/user/wren/m/sea/.rss"),
        ("u/wren/m/sea", "user/wren/m/sea", "top", "/user/wren/m/sea/top", "/m/sea/top/.rss"),
    ],
)
def test_posts_of_a_user_and_of_a_multireddit_are_read(
    reddit: RedditStandIn,
    keys: bool,
    locator: str,
    published: str,
    sort: str,
    by_api: str,
    by_feed: str,
) -> None:
    reddit.publish(published, [post("a", "The tide is in")])
    fetched = source(reddit, keys=keys).fetch(locator, sort, {})
    assert [row.external_id for row in fetched.posts] == ["t3_a"]
    path = reddit.requests[-1].path
    if keys:
        asked = urlsplit(path)
        query = parse_qs(asked.query)
        order = f"?sort={query['sort'][0]}" if "sort" in query else ""
        assert asked.path.rstrip("/") + order == by_api
        assert query.get("t", ["day"]) == ["day"]
    else:
        assert path.endswith(by_feed)


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("locator", ["u/nobody", "u/nobody/m/none"])
def test_a_user_who_is_not_there_is_named(reddit: RedditStandIn, keys: bool, locator: str) -> None:
    with pytest.raises(NeedsHuman, match=f"There is no {locator} on Reddit, or it is not public"):
        source(reddit, keys=keys).fetch(locator, "hot", {})
