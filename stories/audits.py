"""Audits of what is read, written and paid."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, F, Q, Sum

from sessions_app.audits import compare, register
from stories.models import SourcePost, Story, TokenUsage


@register("story-counters")
def story_counters() -> Iterator[tuple[object, str]]:
    """Stories, words, seconds, posts and queue equal the rows."""
    stories = Story.objects.all()
    posts = SourcePost.objects.all()
    yield from compare("story_count", "stories", stories, Count("pk"))
    yield from compare("words", "words", stories, Sum("word_count"))
    yield from compare("narration_seconds", "seconds of narration", stories, Sum("duration"))
    yield from compare("feed", "posts", posts, Count("pk"))
    waiting = posts.filter(state__in=SourcePost.WAITING)
    yield from compare("queue", "waiting posts", waiting, Count("pk"))


@register("ledger")
def ledger() -> Iterator[tuple[object, str]]:
    """Tokens and money equal the sums of the closed rows."""
    closed = TokenUsage.objects.exclude(state__in=TokenUsage.OPEN)
    for column in (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cost_lower",
        "cost_upper",
    ):
        yield from compare(column, column.replace("_", " "), closed, Sum(column))
    written = Sum(F("cache_write_5m_tokens") + F("cache_write_1h_tokens"))
    yield from compare("cache_write_tokens", "cache write tokens", closed, written)


@register("narrations")
def narrations() -> Iterator[tuple[object, str]]:
    """A story by a model has its ledger row; a final answer of a story has a stop reason."""
    bare = Story.objects.filter(origin=Story.Origin.MODEL, tokenusage=None)
    for story in bare:
        yield story.session_id, f"story {story.pk} is by a model, but has no ledger row"
    silent = TokenUsage.objects.filter(
        Q(stop_reason=""), state=TokenUsage.State.FINAL, error="", output_tokens__gt=0
    )
    for row in silent:
        yield row.session_id, f"usage {row.pk} is final without a stop reason"


@register("posts")
def posts() -> Iterator[tuple[object, str]]:
    """A told post has its story, a claimed one its open step."""
    for post in SourcePost.objects.filter(state=SourcePost.State.TOLD, story=None):
        yield post.session_id, f"post {post.pk} is told, but has no story"
    for post in SourcePost.objects.filter(state=SourcePost.State.CLAIMED).exclude(
        step__state__in=("pending", "leased")
    ):
        yield post.session_id, f"post {post.pk} is claimed by a step that has ended"
