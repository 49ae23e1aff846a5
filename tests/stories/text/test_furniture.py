"""What platforms put around a post is removed; a post with nothing else is skipped."""

from __future__ import annotations

import pytest

from stories.text.furniture import (
    NOTHING_LEFT,
    PLACEHOLDER,
    REMOVED,
    is_furniture,
    is_placeholder,
    is_unspoken,
    reason_to_skip,
    without_furniture,
)

FURNITURE = [
    "[link] [comments]",
    "[link] [385 comments]",
    "submitted by /u/wren to /r/tides",
    "submitted by   /u/wren [link] [comments]",
    "[removed]",
    "[deleted]",
    "[deleted by user]",
    "[ Removed by Reddit ]",
    "[ Removed by Reddit on account of violating the content policy. ]",
    "Sorry, this post was deleted by the person who originally posted it.",
    "removed by moderator",
    "Article URL: https://clock.example/a?b=c",
    "Comments URL: https://news.example/item?id=1",
    "Points: 12",
    "# Comments: 3",
    "[contains quote post or other embedded content]",
    "Posted a video",
    "@wren shared 3 photos",
    "This post is hidden because you reported it.",
    "Sensitive content",
    "The post Library opens appeared first on Elowen Weekly.",
    "Der Beitrag Die Bibliothek öffnet erschien zuerst auf Elowen aktuell.",
    "L\u2019article La mer est apparu en premier sur Le Phare.",
    "La entrada El mar se publicó primero en El Faro.",
    "Continue reading...",
    "Continue reading “Library opens” →",
    "Read more »",
    "Lire la suite",
    "[mehr]",
    "To read this article in full, please click here",
    "We use cookies to make the site better. By staying you agree to them.",
    "By continuing to browse this site you agree to our terms.",
    "Accept all cookies",
    "Sign up for our morning newsletter",
    "Sign up here to get an email whenever a new cartoon is published",
    "Get the week's best stories in your inbox",
    "Subscribe",
    "Subscribe to our channel for more.",
    "Already a subscriber? Sign in",
    "This article is for subscribers only.",
    "Advertisement",
    "Story continues below advertisement",
    "Share this:",
    "Facebook Twitter LinkedIn WhatsApp Email",
    "Click to share on Twitter (Opens in new window)",
    "Share",
    "(Image credit: A. Photographer/Agency)",
    "Edit: thanks for the gold, kind stranger!",
    "I am a bot, and this action was performed automatically.",
    "Follow us on Mastodon",
]

NEWS = [
    "The post office appeared first in the plans of 1902.",
    "Subscribe to the flood alerts, the council told residents on Monday.",
    "Sign up at the town hall before Friday, the mayor said.",
    "Like us, the neighbours heard a bang at noon.",
    "Join our reporter on the march through Elowen.",
    "The video was removed by the museum after a week of complaints.",
    "Comments by the mayor caused a walkout.",
    "Readers read more about the sea than about the land.",
    "Share prices fell by 3 percent.",
    "Get ready for snow, the service warned.",
    "By using less salt, the city saved 40,000.",
    "Points: the Herons lead the table with 41 of them.",
    "Edit wars closed the encyclopedia's page on the ferry.",
    "The link road opens in May.",
    "Removed: a statue, two benches and the old lamp.",
    "Sensitive content was found on the stolen laptop, police said.",
]


@pytest.mark.parametrize("line", FURNITURE)
def test_furniture_is_known(line: str) -> None:
    assert is_furniture(line)
    assert without_furniture(f"The ferry sails.\n\n{line}\n\nIt is late.") == (
        "The ferry sails.\n\nIt is late."
    )


@pytest.mark.parametrize("line", NEWS)
def test_news_is_no_furniture(line: str) -> None:
    assert not is_furniture(line)
    assert without_furniture(line) == line


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("The ferry sails.[mehr]", "The ferry sails."),
        ("The ferry sails. Continue reading…", "The ferry sails."),
        ("The ferry sails. The post Ferry appeared first on The Log.", "The ferry sails."),
        ("It is late. submitted by /u/wren [link] [comments]", "It is late."),
        ("“Late again”: comments", "“Late again”: comments"),
        ("One.\n\nShare this:\nTweet\n\nTwo.", "One.\n\nTwo."),
    ],
)
def test_the_end_of_a_line_can_be_furniture(text: str, left: str) -> None:
    assert without_furniture(text) == left


@pytest.mark.parametrize(
    ("title", "text", "reason"),
    [
        ("[deleted by user]", "", REMOVED),
        ("[ Removed by Reddit ]", "A text that stayed.", REMOVED),
        ("A long story", "[removed]", REMOVED),
        ("A long story", "[deleted]\n\nsubmitted by /u/wren [link] [comments]", REMOVED),
        ("Posted a photo", "", PLACEHOLDER),
        ("Untitled", "Read more", PLACEHOLDER),
        ("", "[contains quote post or other embedded content]", PLACEHOLDER),
        ("", "Share this:\nFacebook Twitter", NOTHING_LEFT),
        ("A long story", "", ""),
        ("Posted a photo", "The crew practised in the bay.", ""),
        ("Was the post [removed] by mistake?", "No.", ""),
        ("The video was removed by the museum", "It had shown a statue.", ""),
    ],
)
def test_a_post_with_nothing_to_tell_is_skipped(title: str, text: str, reason: str) -> None:
    assert reason_to_skip(title, text) == reason


def test_some_sentences_are_for_readers_only() -> None:
    assert is_unspoken("Edit 2: the bridge is open again.")
    assert is_unspoken("TL;DR: it floats.")
    assert not is_unspoken("Editors met in Elowen.")
    assert is_placeholder("Uploaded 3 new photos")
    assert not is_placeholder("Trump posted a video")


@pytest.mark.parametrize(
    "line",
    [
        "the post " * 30_000,
        "[link] " * 30_000,
        ". " * 100_000,
        "facebook " * 30_000,
        "x\n" * 99_999,
    ],
)
def test_hostile_text_is_read_in_linear_time(line: str) -> None:
    assert len(without_furniture(line)) <= len(line)
