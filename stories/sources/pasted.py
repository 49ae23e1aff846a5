"""What people paste as the address of a source, without what came along with it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import parse_qs, quote, urlsplit

from sessions_app.errors import Invalid

ACCEPTED = (
    "One per line: r/NAME, a feed, a site, a YouTube channel, a Mastodon or Bluesky profile, or demo. "
    "The text of an OPML file works too."
)
DESCRIPTION = (
    "r/NAME, the URL of a feed or of a page that announces one, or demo for the recording, as people "
    "paste it."
)

# Not the joiners U+200C and U+200D, which host names can need.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_PUNCTUATION = ".,;:!?\u2026\u3002\uff0c\u3001\uff1b"
_BULLET = re.compile("[-*\u2013\u2022\u00b7] +")
_LINK = re.compile(
    r"""\[[^\[\]]*\]\(\s*<?([^)\s>]+)|<a\s[^<>]*href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE
)
_ADDRESS = re.compile(r"(?:https?|feed)://[^\s<>]+", re.IGNORECASE)
_SCHEME = re.compile(
    r"(?:url:\s*|view-source:|(?:feed|rss|podcast|pcast|itpc):(?!\d)/*)+", re.IGNORECASE
)
_SLASHES = re.compile(r"(?:https?:?/+)*(https?)(?::/*|//+)(?=[^/:])", re.IGNORECASE)


def tidy(text: str) -> str:
    """Returns the address or name in a pasted text: no quotes, brackets or final punctuation.

    Of a Markdown or HTML link, or a sentence around one address, only the address is left.
    """
    tidied = " ".join(_INVISIBLE.sub("", text).split())
    if link := _LINK.search(tidied):
        tidied = link[1] or link[2]
    addresses = list(_ADDRESS.finditer(tidied)) if " " in tidied else []
    if len(addresses) == 1:
        before, address, after = tidied[: addresses[0].start()], addresses[0][0], addresses[0].end()
        rest = tidied[after:].lstrip()
        # What follows an address at the beginning may be the rest of it, which has a space then.
        if before or address[-1] in _PUNCTUATION or not rest[:1].isalnum():
            tidied = address
    tidied = _BULLET.sub("", tidied, count=1) if _BULLET.match(tidied) else tidied
    last = None
    while last != tidied:
        last = tidied
        while tidied and _is_quote(tidied[0]):
            tidied = tidied[1:]
        while tidied and _is_quote(tidied[-1]):
            tidied = tidied[:-1]
        tidied = tidied.rstrip(_PUNCTUATION + " ").lstrip()
        if len(tidied) > 1 and tidied[0] + tidied[-1] in {"''", "()", "[]", "{}"}:
            tidied = tidied[1:-1]
        for opening, closing in ("()", "[]", "{}"):
            # A bracket that was opened belongs to the address, as in /wiki/Mercury_(planet).
            if tidied.endswith(closing) and tidied.count(opening) < tidied.count(closing):
                tidied = tidied[:-1]
    if scheme := _SCHEME.match(tidied):
        tidied = tidied[scheme.end() :]
    if slashes := _SLASHES.match(tidied):
        tidied = f"{slashes[1]}://{tidied[slashes.end() :]}"
    return tidied


def _is_quote(character: str) -> bool:
    """Whether a character is a quotation mark, or an angle bracket of any script."""
    if character in '"`<>\uff1c\uff1e':
        return True
    return unicodedata.category(character) in {"Pi", "Pf", "Ps", "Pe"} and character not in "()[]{}"


# Their pages are for people who are signed in, and they publish no feeds.
_WITHOUT_FEEDS = {
    "x.com": "X",
    "twitter.com": "X",
    "facebook.com": "Facebook",
    "fb.com": "Facebook",
    "instagram.com": "Instagram",
    "threads.net": "Threads",
    "threads.com": "Threads",
    "tiktok.com": "TikTok",
    "linkedin.com": "LinkedIn",
}
# Here /@name is no profile of the Fediverse; these pages announce their feeds.
_NO_FEDIVERSE = frozenset({"youtube.com", "substack.com", "odysee.com", "vimeo.com"})
_FEDIVERSE = re.compile(
    r"/(?:web/)?@([\w.-]+?)(?:@([a-z0-9-]+(?:\.[a-z0-9-]+)+))?(?:/[\w/-]*|(?=/?\Z))", re.IGNORECASE
)
_HANDLE = re.compile(r"(?:acct:)?@([\w.-]+)@([^\s@/]+\.[^\s@/]+)", re.IGNORECASE)
_BLUESKY = re.compile(r"@?([a-z0-9-]+(?:\.[a-z0-9-]+)*\.bsky\.social)", re.IGNORECASE)
_CHANNEL = re.compile(r"/channel/(UC[\w-]{22})(?=/|\Z)")
# The first of these is the channel's own; those of recommended channels come later.
_CHANNEL_IN_PAGE = re.compile(
    r"""<link\b[^<>]{0,200}/channel/(UC[\w-]{22})["'?/]"""
    r"""|itemprop=["'](?:channelId|identifier)["']\s+content=["'](UC[\w-]{22})["']"""
    r"""|"(?:externalId|externalChannelId|channelId)"\s*:\s*"(UC[\w-]{22})\""""
)
REFUSES_CONSENT = "SOCS=CAI"  # how YouTube remembers that all its cookies were refused
_YOUTUBE = "https://www.youtube.com/feeds/videos.xml"


def profile_of(handle: str) -> str:
    """Returns the address of the profile that a handle such as @user@host names, or ""."""
    if match := _HANDLE.fullmatch(handle):
        return f"https://{match[2]}/@{match[1]}"
    if match := _BLUESKY.fullmatch(handle):
        return f"https://bsky.app/profile/{match[1]}"
    return ""


def feed_of(url: str) -> str:
    """Returns the feed of a channel or profile, or "" where only its page can tell.

    Raises Invalid for platforms that have no feeds.
    """
    parts = urlsplit(url)
    host = re.sub(r"^(?:www|m|mobile|old|music)\.", "", parts.hostname or "")
    if name := _WITHOUT_FEEDS.get(host):
        raise Invalid(f"locator: {name} has no public feeds. Choose another source.")
    if host == "youtube.com":
        return _feed_on_youtube(parts.path, parse_qs(parts.query))
    if host == "bsky.app":
        profile = re.match(r"/profile/([^/]+)", parts.path)
        return f"https://bsky.app/profile/{profile[1]}/rss" if profile else ""
    if host == "medium.com":
        profile = re.match(r"/(@[^/]+)/?\Z", parts.path)
        return f"https://medium.com/feed/{profile[1]}" if profile else ""
    if host == "news.google.com" and not parts.path.startswith("/rss"):
        query = f"?{parts.query}" if parts.query else ""
        return f"https://news.google.com/rss{parts.path.removesuffix('/home').rstrip('/')}{query}"
    profile = _FEDIVERSE.fullmatch(parts.path)
    if profile is None or host in _NO_FEDIVERSE or parts.path.endswith((".rss", ".atom", ".json")):
        return ""
    # A profile of another server, as seen from this one, is read at its own.
    server = profile[2] or parts.netloc
    return f"{parts.scheme}://{server}/@{profile[1]}.rss"


def page_of_profile(feed: str) -> str:
    """Returns the page whose feed ``feed_of`` took this address for, or ""."""
    page = re.fullmatch(r"(https?://[^/]+/@[\w.-]+)\.rss", feed)
    return page[1] if page else ""


def behind_consent(url: str) -> str:
    """Returns the page of YouTube that was asked for when its question about cookies came, or ""."""
    parts = urlsplit(url)
    if parts.hostname not in ("consent.youtube.com", "consent.google.com"):
        return ""
    address = parse_qs(parts.query).get("continue", [""])[0]
    host = urlsplit(address).hostname or ""
    return address if host == "youtube.com" or host.endswith(".youtube.com") else ""


def channel_feed_in(url: str, page: str) -> str:
    """Returns the feed of the channel whose page, or video, of YouTube this is, or ""."""
    host = re.sub(r"^(?:www|m)\.", "", urlsplit(url).hostname or "")
    channel = _CHANNEL_IN_PAGE.search(page) if host in {"youtube.com", "youtu.be"} else None
    return f"{_YOUTUBE}?channel_id={next(filter(None, channel.groups()))}" if channel else ""


def _feed_on_youtube(path: str, query: dict[str, list[str]]) -> str:
    playlist = query.get("list", [""])[0]
    if channel := _CHANNEL.match(path):
        return f"{_YOUTUBE}?channel_id={channel[1]}"
    if path.rstrip("/") == "/playlist" and playlist:
        return f"{_YOUTUBE}?playlist_id={quote(playlist, safe='')}"
    if user := re.match(r"/user/([\w-]+)(?=/|\Z)", path):
        return f"{_YOUTUBE}?user={user[1]}"
    # A handle, /c/NAME and a video: the page names the channel.
    return ""
