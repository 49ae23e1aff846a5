"""Traces of a session's stories: the latest, page by page, the broken ones, or one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from broadcast.trace import evidence, telling, verdict
from broadcast.trace.hops import Trace
from sessions_app.archives import Damaged
from sessions_app.errors import NotFound
from sessions_app.models import Session
from stories.models import Story

PER_PAGE = 20
LOOKED_AT = 200  # stories at a time, where the broken ones are looked for


@dataclass(frozen=True, slots=True)
class Page:
    """Traces, newest first; ``older`` is the key of the next page, ``looked`` how many it took."""

    traces: list[Trace]
    looked: int
    older: int | None


def of_session(session: Session) -> QuerySet[Story]:
    """The session's stories with what their traces need, newest first."""
    rows = Story.objects.filter(session=session).order_by("-id")
    return rows.select_related("session", "post__source", "post__step", "draft")


def trace(session: Session, stories: Sequence[Story], *, dig: bool = False) -> list[Trace]:
    """The way of each of a session's stories, judged; a constant number of queries."""
    return [
        Trace(found.story, verdict.judge(found, telling.hops_of(found)))
        for found in evidence.gather(session, stories, dig=dig)
    ]


def page(session: Session, before: int | None, most: int = PER_PAGE) -> Page:
    rows = of_session(session)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    stories = list(rows[: most + 1])
    shown = stories[:most]
    older = shown[-1].pk if len(stories) > most else None
    return Page(trace(session, shown), len(shown), older)


def broken(session: Session, before: int | None) -> Page:
    """The broken ones among the next ``LOOKED_AT`` stories."""
    looked = page(session, before, LOOKED_AT)
    return Page([each for each in looked.traces if each.broken], looked.looked, looked.older)


def find(session: Session, story_id: int) -> Trace:
    """One story's trace, with what the archives hold of it; NotFound when it is not of the session.

    What a damaged archive held is said to be archived, as in a list.
    """
    story = of_session(session).filter(pk=story_id).first()
    if story is None:
        raise NotFound("This session has no such story.")
    try:
        return trace(session, [story], dig=True)[0]
    except Damaged:
        return trace(session, [story])[0]


def latest(session: Session, most: int) -> Iterator[Trace]:
    """The newest ``most`` stories, newest first, in batches."""
    before: int | None = None
    while most > 0:
        found = page(session, before, min(most, LOOKED_AT))
        yield from found.traces
        most -= found.looked
        if found.older is None:
            return
        before = found.older
