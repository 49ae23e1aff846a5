"""Audits of posts, stories, drafts and usage; their docstrings are shown in the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection
from django.db.models import Count, Exists, F, Func, IntegerField, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from sessions_app import audits
from sessions_app.ai_chain import status
from sessions_app.audits import compare
from sessions_app.models import AILink, Bucket, Session, Tally
from stories.models import (
    Draft,
    DraftMessage,
    DraftVersion,
    SourcePost,
    Story,
    StoryReport,
    TokenUsage,
    Trend,
    TrendPost,
)


class ArrayLength(Func):
    """The number of items of a JSON array."""

    output_field = IntegerField()
    function = "json_array_length" if connection.vendor == "sqlite" else "jsonb_array_length"


def story_counters() -> Iterator[tuple[object, str]]:
    """Stories, words, seconds, dropped sentences, posts and queue equal the rows."""
    stories = Story.objects.all()
    posts = SourcePost.objects.all()
    yield from compare("story_count", "stories", stories, Count("pk"))
    yield from compare("words", "words", stories, Sum("word_count"))
    yield from compare("narration_seconds", "seconds of narration", stories, Sum("duration"))
    dropped = Sum(ArrayLength("dropped"))
    yield from compare("sentences_dropped", "sentences dropped", stories, dropped)
    aired = Sum("ungrounded_aired")
    yield from compare("ungrounded_aired", "ungrounded sentences aired", stories, aired)
    yield from compare("feed", "posts", posts, Count("pk"))
    waiting = posts.filter(state__in=SourcePost.WAITING)
    yield from compare("queue", "waiting posts", waiting, Count("pk"))


def ledger() -> Iterator[tuple[object, str]]:
    """Tokens and money equal the sums of the closed rows."""
    closed = TokenUsage.objects.exclude(state__in=TokenUsage.OPEN)
    for column in (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cost_lower",
        "cost_upper",
        "cache_saved",
    ):
        yield from compare(column, column.replace("_", " "), closed, Sum(column))
    written = Sum(F("cache_write_5m_tokens") + F("cache_write_1h_tokens"))
    yield from compare("cache_write_tokens", "cache write tokens", closed, written)


def buckets() -> Iterator[tuple[object, str]]:
    """The figures over time add up to the counters; the 60-minute buckets are never deleted."""
    hours = Bucket.objects.filter(size=60)
    for column in (
        "story_count",
        "words",
        "feed",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cost_lower",
        "cost_upper",
        "cache_saved",
    ):
        name = f"{column.replace('_', ' ')} over time"
        yield from compare(column, name, hours, Sum(column))


def tallies() -> Iterator[tuple[object, str]]:
    """The figures by tone, priority, source, model and operation add up to the counters."""
    for dimension in ("tone", "priority", "source"):
        rows = Tally.objects.filter(dimension=dimension)
        yield from compare("story_count", f"stories by {dimension}", rows, Sum("count"))
        yield from compare("words", f"words by {dimension}", rows, Sum("words"))
    for dimension in ("model", "operation"):
        rows = Tally.objects.filter(dimension=dimension)
        for column in ("input_tokens", "output_tokens", "cost_lower", "cost_upper"):
            name = f"{column.replace('_', ' ')} by {dimension}"
            yield from compare(column, name, rows, Sum(column))


def market() -> Iterator[tuple[object, str]]:
    """A keyword's volume is the number of posts behind it."""
    links = TrendPost.objects.filter(trend=OuterRef("pk")).order_by().values("trend")
    counted = links.annotate(number=Count("pk")).values("number")
    keywords = Trend.objects.filter(kind=Trend.Kind.KEYWORD)
    keywords = keywords.annotate(behind=Coalesce(Subquery(counted), 0))
    for trend in keywords.exclude(posts=F("behind")).iterator():
        behind = getattr(trend, "behind", 0)
        yield trend.session_id, f"trend {trend.pk} counts {trend.posts} posts, but has {behind}"


def narrations() -> Iterator[tuple[object, str]]:
    """A story by a model has its ledger row; a final answer has a stop reason."""
    # The stories of a fork from before its session began were paid for in the original session.
    stories = Story.objects.filter(
        origin=Story.Origin.MODEL, tokenusage=None, completed_at__gte=F("session__created_at")
    )
    for story in stories:
        yield story.session_id, f"story {story.pk} is by a model, but has no ledger row"
    answers = TokenUsage.objects.filter(
        Q(stop_reason=""),
        state=TokenUsage.State.FINAL,
        error="",
        output_tokens__gt=0,
        legacy_id=None,
    )
    for row in answers:
        yield row.session_id, f"usage {row.pk} is final without a stop reason"


def posts() -> Iterator[tuple[object, str]]:
    """A published post has a story, a claimed one its open step, and a duplicate is skipped."""
    published = SourcePost.objects.filter(state=SourcePost.State.PUBLISHED, story=None)
    for post in published.exclude(report__role=StoryReport.Role.REPORT):
        yield post.session_id, f"post {post.pk} is published, but has no story"
    wrong = StoryReport.objects.filter(role=StoryReport.Role.REPORT)
    for report in wrong.exclude(post__state=SourcePost.State.PUBLISHED):
        yield report.session_id, f"post {report.post_id} is a report of a story, but not published"
    for post in SourcePost.objects.filter(state=SourcePost.State.CLAIMED).exclude(
        step__state__in=("pending", "leased")
    ):
        yield post.session_id, f"post {post.pk} is claimed by a step that has ended"
    for post in SourcePost.objects.exclude(duplicate_of=None).exclude(
        state=SourcePost.State.SKIPPED
    ):
        yield post.session_id, f"post {post.pk} is a duplicate, but is {post.state}"


def chain() -> Iterator[tuple[object, str]]:
    """Every AI chain is complete and recorded, and includes every completed call since it began."""
    begun = AILink.objects.filter(session=OuterRef("pk"))
    for session in Session.objects.filter(Exists(begun)).iterator():
        for problem in status.status(session, None).problems:
            yield session.pk, problem
    first = AILink.objects.filter(session=OuterRef("session"), number=1)
    unlinked = TokenUsage.objects.filter(
        state=TokenUsage.State.FINAL,
        error="",
        link=None,
        legacy_id=None,
        closed_at__gte=Subquery(first.values("created_at")[:1]),
    )
    for row in unlinked.iterator():
        yield row.session_id, f"usage {row.pk} was completed, but has no link"


def drafts() -> Iterator[tuple[object, str]]:
    """The turns and versions of a draft have no gaps, and no agent has two turns in a row."""
    for rows, counter, key, name in (
        (DraftMessage.objects.all(), "turns", "turn", "turns"),
        (DraftVersion.objects.all(), "version", "number", "versions"),
    ):
        of_draft = rows.filter(draft=OuterRef("pk")).order_by().values("draft")
        counted = Draft.objects.annotate(
            number_of_rows=Coalesce(Subquery(of_draft.annotate(n=Count("pk")).values("n")), 0),
            highest=Coalesce(Subquery(of_draft.annotate(n=Max(key)).values("n")), 0),
        )
        wrong = counted.exclude(number_of_rows=F(counter), highest=F(counter))
        for draft in wrong.iterator():
            yield draft.session_id, f"draft {draft.pk} has missing or additional {name}"
    before = DraftMessage.objects.filter(draft=OuterRef("draft"), turn=OuterRef("turn") - 1)
    messages = DraftMessage.objects.filter(turn__gt=1)
    messages = messages.annotate(previous_role=Subquery(before.values("role")))
    for message in messages.exclude(after=F("previous_role")).iterator():
        yield message.session_id, f"turn {message.turn} of draft {message.draft_id} follows another"


def register() -> None:
    audits.register("story-counters", story_counters)
    audits.register("ledger", ledger)
    audits.register("buckets", buckets)
    audits.register("tallies", tallies)
    audits.register("market", market)
    audits.register("narrations", narrations)
    audits.register("posts", posts)
    audits.register("chain", chain)
    audits.register("drafts", drafts)
