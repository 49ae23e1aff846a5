"""The kinds of source: what each accepts and how its adapter is made.

To add a kind: a member of ``Source.Kind``, an adapter in this folder, and an entry in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User

from sessions_app import commands
from sessions_app.errors import Invalid, SmnbError
from stories.llm import credentials
from stories.llm.credentials import RedditKeys
from stories.models import Source, SourcePost
from stories.sources import opml, recording, reddit
from stories.sources.http_client import GuardedClient
from stories.sources.pasted import tidy
from stories.sources.recording import RecordingSource
from stories.sources.reddit import RedditSource
from stories.sources.rss import RssSource
from stories.text.addresses import credit
from stories.types import SourceAdapter


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source; its name and label are those of ``Source.Kind``."""

    make: Callable[[], SourceAdapter]
    """Makes the adapter from the settings; called once per process."""

    icon: str
    """Name of the Lucide icon on pages."""

    recognises: Callable[[str], bool]
    """Whether a line that a person typed names a source of this kind."""

    make_for: Callable[[User], SourceAdapter | None] = lambda owner: None
    """Returns an adapter with the owner's own keys, or None if they have none."""

    sorts: tuple[str, ...] = ()
    """Orders in which posts can be read; the first is the default."""

    sort_in: Callable[[str], str] = lambda line: ""
    """Returns the order that a line typed by a person names; Invalid for one that is not offered."""

    credit: str = ""
    """How a story credits the source, if not by its address."""

    feed: Callable[[str], str] = lambda locator: ""
    """Returns the address at which a feed reader finds a source, or "" if there is none."""

    def sort_of(self, sort: str) -> str:
        """Returns the order to store for a requested one; raises Invalid for an unknown order."""
        if not self.sorts:
            return ""
        if sort and sort not in self.sorts:
            raise Invalid(f"sort must be one of {', '.join(self.sorts)}.")
        return sort or self.sorts[0]


@cache
# One client for all sources of a process, as it has no state between requests.
def _client() -> GuardedClient:
    env = settings.SMNB
    return GuardedClient(allow_private=env.allow_private_feeds, user_agent=env.reddit_user_agent)


# The keys are the argument of the cache, so a changed key is used from the next poll on.
@lru_cache(maxsize=16)
def _reddit(keys: RedditKeys | None = None) -> RedditSource:
    """Reddit with one pair of keys (None: the operator's), its own connection and rate limit."""
    env = settings.SMNB
    if keys is None:
        keys = RedditKeys(env.reddit_client_id, env.reddit_client_secret.get_secret_value())
    return RedditSource(
        client_id=keys.client_id,
        client_secret=keys.client_secret,
        user_agent=env.reddit_user_agent,
        reddit_url=env.reddit_url,
        oauth_url=env.reddit_oauth_url,
        client=_client(),
    )


KINDS: dict[str, SourceKind] = {
    Source.Kind.REDDIT: SourceKind(
        make=_reddit,
        make_for=lambda owner: _reddit(keys) if (keys := credentials.own_reddit(owner)) else None,
        icon="message-square",
        recognises=reddit.is_reddit,
        sorts=reddit.SORTS,
        sort_in=reddit.sort_of,
        feed=lambda locator: f"https://www.reddit.com/{locator}/.rss",
    ),
    Source.Kind.RECORDING: SourceKind(
        make=RecordingSource,
        icon="audio-lines",
        recognises=recording.is_name,
        credit="the demo recording",
    ),
    # Last, because it takes every line that no other kind recognises.
    Source.Kind.RSS: SourceKind(
        make=lambda: RssSource(_client()),
        icon="rss",
        recognises=lambda line: True,
        feed=lambda locator: locator,
    ),
}

SORTS = tuple(dict.fromkeys(sort for kind in KINDS.values() for sort in kind.sorts))


@cache
def _adapters() -> dict[str, SourceAdapter]:
    return {str(name): kind.make() for name, kind in KINDS.items()}


def adapter(kind: str, owner: User | None = None) -> SourceAdapter:
    """Returns the adapter of a kind, with the keys of ``owner`` before the operator's.

    Raises Invalid for an unknown kind, and NeedsHuman when the owner's keys cannot be opened.
    """
    if kind not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(sorted(KINDS))}.")
    own = KINDS[kind].make_for(owner) if owner is not None else None
    return own or _adapters()[kind]


LONGEST = 4_000  # characters of what a person pastes as one source, e.g. a sentence with an address


class Named(NamedTuple):
    """What a person named as a source, in the form in which it is stored."""

    kind: str
    locator: str
    sort: str


def named(text: str, kind: str | None = None, sort: str = "") -> Named:
    """Reads what a person typed or pasted; without ``kind`` the text decides. Raises Invalid."""
    # The time that it takes to tidy grows with the square of the length.
    if len(text) > LONGEST:
        raise Invalid(f"locator must not exceed {LONGEST:,} characters.")
    line = tidy(text)
    kind = kind or next(str(name) for name, each in KINDS.items() if each.recognises(line))
    locator = adapter(kind).clean_locator(line)
    return Named(kind, locator, KINDS[kind].sort_of(sort or KINDS[kind].sort_in(line)))


def named_line(line: str) -> Named:
    """Reads a line as people type it: ``r/science``, ``r/science new``, an address, or ``demo``."""
    address, _, last = line.rpartition(" ")
    order = last.lower() if address and last.lower() in SORTS else ""
    found = named(address if order else line, sort=order)
    if order and not found.sort:
        raise Invalid("Only subreddits have an order.")
    return found


class Line(NamedTuple):
    """A line that a person pasted: the source that it names, or why it names none."""

    text: str
    source: Named | None
    reason: str = ""


def pasted_lines(text: str) -> list[Line]:
    """Reads whatever was pasted as sources: lines, or the text of an OPML file. Raises Invalid."""
    return opml_lines(text) if opml.is_opml(text) else _lines(text.splitlines())


def opml_lines(document: str | bytes) -> list[Line]:
    """Reads the feeds of an OPML file as sources; raises Invalid."""
    return _lines(opml.addresses(document))


def _lines(lines: Iterable[str]) -> list[Line]:
    """Reads each line; what names no source stops no other, and repetitions are left out."""
    found: dict[object, Line] = {}
    distinct = dict.fromkeys(filter(None, map(str.strip, lines)))
    if len(distinct) > opml.MOST:
        raise Invalid(f"At most {opml.MOST} sources can be added at once, one per line.")
    for line in distinct:
        try:
            source = named_line(line)
        except SmnbError as error:
            reason = " ".join(reason for _, reason in commands.reasons(error))
            found[line] = Line(line, None, reason)
        else:
            found.setdefault(source, Line(line, source))
    return list(found.values())


def credit_of(post: SourcePost) -> str:
    """Returns how a story credits its post: by its outlet, else as "r/science" or "bbc.co.uk"."""
    return post.outlet or KINDS[post.source.kind].credit or credit(post.source.locator)
