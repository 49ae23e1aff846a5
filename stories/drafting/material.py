"""What the researcher may read: posts and stories of the session that name the keywords."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from sessions_app.errors import NeedsHuman
from sessions_app.models import Session
from stories import feed, search
from stories.drafting.agents import Item, plain
from stories.models import Source, SourcePost, Story
from stories.search import Query
from stories.text import clean_line

EACH = 6  # posts, and stories, of one keyword
MOST = 18
MOST_TEXT = 1500  # characters of one
_UNTOLD = (Story.State.VETOED, Story.State.KILLED)
_CREDITS = {Source.Kind.RECORDING: "the demo recording"}


class NoMaterial(NeedsHuman):
    """Nothing in the session names the keywords, so there is nothing to write from."""

    code = "no_material"


def gather(session: Session, keywords: Sequence[str]) -> tuple[Item, ...]:
    """At most ``MOST`` items, each keyword getting its share; NoMaterial when there is none."""
    by_keyword = [list(_about(session, keyword)) for keyword in keywords]
    found: dict[str, Item] = {}
    for row in zip_longest(*by_keyword):
        found |= {each.ref: each for each in row if each is not None and each.ref not in found}
    if not found:
        raise NoMaterial(_sentence(keywords))
    return tuple(found.values())[:MOST]


def _sentence(keywords: Sequence[str]) -> str:
    named = ", ".join(f"“{clean_line(each, 40)}”" for each in keywords)
    return (
        f"No post or story of this session names {clean_line(named, 150)}. The draft goes on by "
        "itself once one does; or start one with other keywords."
    )


def _about(session: Session, keyword: str) -> Iterator[Item]:
    """Posts first: a story that was told from one of them says nothing more."""
    terms = search.terms_of(keyword)
    if not terms:
        return
    posts = search.found_posts(session, Query("posts", terms)).filter(duplicate_of=None)
    read = list(posts[:EACH])
    yield from map(_of_post, read)
    told = search.stories(session, Query("stories", terms)).exclude(state__in=_UNTOLD)
    # A post's own story is left out here, not in the query: a story of a draft has no post.
    known = {each.pk for each in read}
    yield from (_of_story(each) for each in told[:EACH] if each.post_id not in known)


def _of_post(post: SourcePost) -> Item:
    kind, locator = post.source.kind, post.source.locator
    credit = _CREDITS.get(Source.Kind(kind)) or feed.credit(locator)
    return _item(f"p{post.pk}", post.title, post.body, credit)


def _of_story(story: Story) -> Item:
    return _item(f"s{story.pk}", story.title, story.narrative, "our own programme")


def _item(ref: str, title: str, text: str, credit: str) -> Item:
    headline = clean_line(plain(title, 400), 160)
    return Item(ref, int(ref[1:]), headline, plain(text, MOST_TEXT), clean_line(credit, 80))
