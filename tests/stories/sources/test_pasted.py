"""What people paste as a source, by every door: its kind, its address and its order."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from broadcast.studio.sessions.forms import NewSessionForm, SourceForm
from sessions_app.errors import Invalid
from sessions_app.models import Session
from stories.sources import groups, service
from stories.sources.preview import probe
from stories.sources.registry import named
from stories.sources.service import SourceSpec

YOUTUBE = "https://www.youtube.com/feeds/videos.xml"
CHANNEL = "UCabcdefghijklmnopqrstuv"

ADDRESSES = [
    ("\u201chttp://127.0.0.1/feed\u201d", "http://127.0.0.1/feed"),
    ("\u201ehttps://example.org/feed\u201c", "https://example.org/feed"),
    ("\u00abexample.org/feed\u00bb", "https://example.org/feed"),
    ("\u2018example.org/feed\u2019", "https://example.org/feed"),
    ("'https://example.org/it's'", "https://example.org/it's"),
    ("`https://example.org/feed`", "https://example.org/feed"),
    ("<https://example.org/feed>", "https://example.org/feed"),
    ("<URL:https://example.org/feed>", "https://example.org/feed"),
    ("\uff1chttps://example.org/feed\uff1e", "https://example.org/feed"),
    ("\u300ahttps://example.org/feed\u300b\u3002", "https://example.org/feed"),
    ("(https://example.org/feed).", "https://example.org/feed"),
    ("(see https://example.org/feed)", "https://example.org/feed"),
    ("https://example.org/feed,", "https://example.org/feed"),
    ("https://example.org/feed?!", "https://example.org/feed"),
    ("https://example.org/feed\u2026", "https://example.org/feed"),
    ("https://example.org/Mercury_(planet)", "https://example.org/Mercury_(planet)"),
    ("https://example.org/feed?a=[1]", "https://example.org/feed?a=[1]"),
    ("[News](https://example.org/feed)", "https://example.org/feed"),
    ('<a href="https://example.org/feed">News</a>', "https://example.org/feed"),
    ("The Courier: https://example.org/feed, thanks", "https://example.org/feed"),
    ("https://example.org/feed (all news)", "https://example.org/feed"),
    ("- https://example.org/feed", "https://example.org/feed"),
    ("\u200bhttps://example.org/feed\ufeff", "https://example.org/feed"),
    ("feed:example.org/rss", "https://example.org/rss"),
    ("feed:http://example.org/rss", "http://example.org/rss"),
    ("FEED://example.org/rss", "https://example.org/rss"),
    ("rss://example.org/rss", "https://example.org/rss"),
    ("pcast://example.org/rss", "https://example.org/rss"),
    ("view-source:https://example.org/rss", "https://example.org/rss"),
    ("http:/example.org/rss", "http://example.org/rss"),
    ("https//example.org/rss", "https://example.org/rss"),
    ("https:///example.org/rss", "https://example.org/rss"),
    ("http://https://example.org/rss", "https://example.org/rss"),
    ("https://web.example/https://example.org/", "https://web.example/https://example.org/"),
    ("www.example.org", "https://www.example.org/"),
    ("example.org:8080", "https://example.org:8080/"),
    ("fa\u00df.de/feed", "https://xn--fa-hia.de/feed"),
    ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "https://xn--mgba3gch31f060k.com/"),
    # Platforms.
    (f"https://www.youtube.com/channel/{CHANNEL}/videos", f"{YOUTUBE}?channel_id={CHANNEL}"),
    (f"m.youtube.com/channel/{CHANNEL}", f"{YOUTUBE}?channel_id={CHANNEL}"),
    ("https://youtube.com/playlist?list=PL-a_1&si=x", f"{YOUTUBE}?playlist_id=PL-a_1"),
    ("https://www.youtube.com/user/name/videos", f"{YOUTUBE}?user=name"),
    ("https://www.youtube.com/@name", "https://www.youtube.com/@name"),
    ("https://www.youtube.com/c/name", "https://www.youtube.com/c/name"),
    (f"{YOUTUBE}?channel_id={CHANNEL}", f"{YOUTUBE}?channel_id={CHANNEL}"),
    ("https://social.example/@ada", "https://social.example/@ada.rss"),
    ("https://social.example/@ada/", "https://social.example/@ada.rss"),
    ("https://social.example/@ada/112233", "https://social.example/@ada.rss"),
    ("https://social.example/@ada/with_replies", "https://social.example/@ada.rss"),
    ("https://social.example/web/@ada", "https://social.example/@ada.rss"),
    ("https://social.example/@ada@other.example", "https://other.example/@ada.rss"),
    ("https://social.example/@ada.rss", "https://social.example/@ada.rss"),
    ("@ada@social.example", "https://social.example/@ada.rss"),
    ("@ada@social.example.", "https://social.example/@ada.rss"),
    ("https://bsky.app/profile/ada.example", "https://bsky.app/profile/ada.example/rss"),
    ("bsky.app/profile/did:plc:abc/post/3k", "https://bsky.app/profile/did:plc:abc/rss"),
    ("https://bsky.app/profile/ada.example/rss", "https://bsky.app/profile/ada.example/rss"),
    ("@ada.bsky.social", "https://bsky.app/profile/ada.bsky.social/rss"),
    ("https://medium.com/@ada", "https://medium.com/feed/@ada"),
    ("https://news.google.com/home?hl=en", "https://news.google.com/rss?hl=en"),
    ("https://news.google.com/search?q=tide", "https://news.google.com/rss/search?q=tide"),
    ("https://news.google.com/rss?hl=en", "https://news.google.com/rss?hl=en"),
    # Feeds of Reddit that are no listing of a subreddit or a user.
    ("https://www.reddit.com/.rss", "https://www.reddit.com/.rss"),
    ("https://www.reddit.com/domain/example.org/.rss",) * 2,
    ("https://www.reddit.com/search.rss?q=tide",) * 2,
]

REDDIT = [
    ("r/science", "r/science", "hot"),
    ("/r/science/", "r/science", "hot"),
    ("\u201cr/science\u201d", "r/science", "hot"),
    ("reddit.com/r/science", "r/science", "hot"),
    ("https://www.reddit.com/r/science/top/?t=week", "r/science", "top"),
    ("reddit.com/r/x1/top/?t=week", "r/x1", "top"),
    ("https://www.reddit.com/r/science/new/", "r/science", "new"),
    ("https://www.reddit.com/r/science/hot", "r/science", "hot"),
    ("https://www.reddit.com/r/science/best/", "r/science", "hot"),
    ("https://www.reddit.com/r/science/rising.rss", "r/science", "rising"),
    ("https://www.reddit.com/r/science/.rss", "r/science", "hot"),
    ("https://www.reddit.com/r/science.rss", "r/science", "hot"),
    ("https://www.reddit.com/r/science/new/.rss?limit=5", "r/science", "new"),
    ("https://www.reddit.com/r/science/#x", "r/science", "hot"),
    ("https://www.reddit.com/r/science/?utm_source=share", "r/science", "hot"),
    ("https://old.reddit.com/r/science/?sort=new", "r/science", "new"),
    ("old.reddit.com/r/science", "r/science", "hot"),
    ("https://np.reddit.com/r/science/", "r/science", "hot"),
    ("https://m.reddit.com/r/science/", "r/science", "hot"),
    ("https://reddit.com/r/science/about/rules", "r/science", "hot"),
    ("https://www.reddit.com/r/science/comments/abc/top/?sort=new", "r/science", "new"),
    ("https://www.reddit.com/r/science/s/AbCdEf", "r/science", "hot"),
    ("r/a1+b2+c3", "r/a1+b2+c3", "hot"),
    ("https://www.reddit.com/r/a1+b2/top", "r/a1+b2", "top"),
    ("https://www.reddit.com/r/a1%2Bb2/", "r/a1+b2", "hot"),
    ("r/new", "r/new", "hot"),
    ("r/top/new", "r/top", "new"),
    ("https://www.reddit.com/", "r/popular", "hot"),
    ("https://www.reddit.com/new/", "r/popular", "new"),
    ("u/some-name", "u/some-name", "hot"),
    ("/user/name/", "u/name", "hot"),
    ("https://www.reddit.com/user/name", "u/name", "hot"),
    ("https://www.reddit.com/user/name/submitted/?sort=top&t=all", "u/name", "top"),
    ("reddit.com/u/name.rss", "u/name", "hot"),
    ("https://www.reddit.com/user/name/m/multi", "u/name/m/multi", "hot"),
    ("https://www.reddit.com/user/name/m/multi/new/", "u/name/m/multi", "new"),
    ("u/name/m/new", "u/name/m/new", "hot"),
]


@pytest.mark.parametrize(("pasted", "locator"), ADDRESSES)
def test_an_address_is_understood_and_its_stored_form_means_the_same(
    pasted: str, locator: str
) -> None:
    assert named(pasted) == ("rss", locator, "")
    assert named(pasted, "rss") == ("rss", locator, "")
    assert named(locator, "rss") == ("rss", locator, "")


@pytest.mark.parametrize(("pasted", "locator", "sort"), REDDIT)
def test_reddit_is_understood_in_every_spelling(pasted: str, locator: str, sort: str) -> None:
    assert named(pasted) == ("reddit", locator, sort)
    assert named(pasted, "reddit") == ("reddit", locator, sort)
    assert named(locator, "reddit") == ("reddit", locator, "hot")
    assert named(pasted, sort="rising") == ("reddit", locator, "rising")


@pytest.mark.parametrize("pasted", ["demo", " Demo ", "\u201cdemo\u201d", "demo."])
def test_the_recording_is_named_by_its_word(pasted: str) -> None:
    assert named(pasted) == ("recording", "demo", "")


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        ("https://redd.it/abc123", "address of one post or of a search"),
        ("https://i.redd.it/abc.jpg", "address of one post or of a search"),
        ("https://www.reddit.com/comments/abc123", "address of one post or of a search"),
        ("https://www.reddit.com/r/science/search?q=tide", "address of one post or of a search"),
        ("https://www.reddit.com/me/m/private", "locator: must be a subreddit"),
        ("https://www.reddit.com/user/me/m/private", "locator: must be a subreddit"),
        ("https://www.reddit.com/user/me/", "locator: must be a subreddit"),
        ("r/two words", "locator: must be a subreddit"),
        ("https://www.reddit.com/r/science/controversial/", "sort must be one of hot, new"),
        ("https://x.com/name", "X has no public feeds"),
        ("https://mobile.twitter.com/name", "X has no public feeds"),
        ("https://www.instagram.com/name/", "Instagram has no public feeds"),
        ("https://www.tiktok.com/@name", "TikTok has no public feeds"),
        ("ada@example.org", "contains a user name"),
        ("https://a.example/my feed.xml", "contains spaces"),
        ("https://a.example/ https://b.example/", "contains spaces"),
        ("two words", "contains spaces"),
        ("\u201c\u201d", "must be the address of a feed"),
    ],
)
def test_what_cannot_be_a_source_is_refused_with_the_reason(pasted: str, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        named(pasted)


PASTED = "\u201chttps://www.reddit.com/r/science/top/?t=week\u201d,"


@pytest.mark.django_db
def test_every_door_understands_the_same(session: Session, owner: User) -> None:
    source = service.add(session, SourceSpec(locator=PASTED))
    assert (source.kind, source.locator, source.sort) == ("reddit", "r/science", "top")
    expected = {"kind": "reddit", "locator": "r/science", "sort": "top"}
    assert groups.sources_of(PASTED) == [expected]
    form = NewSessionForm({"name": "News", "sources": f"{PASTED}\n<feed:example.org/rss>"})
    assert form.is_valid(), form.errors
    feed = {"kind": "rss", "locator": "https://example.org/rss", "sort": ""}
    assert form.cleaned_data["sources"] == [expected, feed]
    added = SourceForm({"locator": "@ada@social.example"})
    assert added.is_valid(), added.errors
    [line] = added.cleaned_data["locator"]
    spec = SourceSpec.model_validate(line.source._asdict())
    assert service.add(session, spec).locator == "https://social.example/@ada.rss"
    refused = probe(None, "\u201chttp://127.0.0.1/feed\u201d", "", owner)
    assert "127.0.0.1" in refused.sentence
