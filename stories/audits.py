"""Audits of posts, stories, drafts and usage; their docstrings are shown in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import (
    Count,
    DurationField,
    Exists,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    UUIDField,
    Value,
)
from django.db.models.functions import Coalesce, Now

from sessions_app import audits
from sessions_app.ai_chain import chain as chain_links
from sessions_app.ai_chain import status
from sessions_app.audits import BATCH, Record
from sessions_app.events import recorder
from sessions_app.models import AILink, Message, Session
from stories.drafting import boards, versions
from stories.drafting import drafts as drafting
from stories.llm import EXTRACTIVE
from stories.models import (
    BoardKeyword,
    Draft,
    DraftMessage,
    DraftVersion,
    Interest,
    QuarantineDecision,
    QuarantinedRecord,
    Source,
    SourcePost,
    Story,
    StoryReport,
    StoryThread,
    StoryVersion,
    TokenUsage,
)
from stories.posts import interests, queue
from stories.posts.scoring import folded
from stories.quarantine import records as quarantine
from stories.sources import service
from stories.text.sentences import word_count
from stories.usage import ledger as usage_ledger
from stories.usage import pricing


def texts() -> Iterator[tuple[object, str]]:
    """The word counts and the latest version of a story or draft are those of its text."""
    # An import of the old system has the counts of that system.
    stories = Story.objects.exclude(origin=Story.Origin.LEGACY)
    for story in stories.only("session", "narrative", "word_count").iterator(BATCH):
        if story.word_count != word_count(story.narrative):
            yield story.session_id, f"story {story.pk} does not have {story.word_count} words"
    for version in DraftVersion.objects.iterator(BATCH):
        if version.word_count != word_count(version.text):
            yield version.session_id, f"version {version.pk} of a draft has another word count"
    versions = StoryVersion.objects.filter(story=OuterRef("pk")).order_by("-number")
    corrected = Story.objects.annotate(
        rows=Coalesce(Subquery(count_of(versions, "story")), 0),
        latest=Subquery(versions.values("number")[:1]),
        same=Exists(
            versions.filter(
                number=OuterRef("version"),
                title=OuterRef("title"),
                narrative=OuterRef("narrative"),
            )
        ),
    )
    first = Q(version=1, rows=0)
    for story in corrected.exclude(first | Q(rows=F("version"), latest=F("version"), same=True)):
        yield story.session_id, f"story {story.pk} is not its version {story.version}"
    stories = Story.objects.filter(thread=OuterRef("pk"))
    threads = StoryThread.objects.annotate(n=Coalesce(Subquery(count_of(stories, "thread")), 0))
    for thread in threads.exclude(story_count=F("n")).iterator(BATCH):
        yield thread.session_id, f"thread {thread.pk} does not have {thread.story_count} stories"


def count_of(rows: QuerySet[Any], key: str) -> QuerySet[Any, Any]:
    """Returns a subquery for the number of ``rows``, which all have the same ``key``."""
    counted: QuerySet[Any, Any] = rows.order_by().values(key).annotate(number=Count("pk"))
    return counted.values("number")


def derived() -> Iterator[tuple[object, str]]:
    """Digests and folded words are those of the text they were made from."""
    for source in Source.objects.iterator(BATCH):
        if source.locator_digest != queue.digest(source.locator):
            yield source.session_id, f"source {source.pk} has the digest of another address"
    for interest in Interest.objects.iterator(BATCH):
        if interest.folded != folded(interest.text)[:120]:
            yield interest.session_id, f"interest {interest.pk} is compared as another text"


def answers() -> Iterator[tuple[object, str]]:
    """A model call agrees with its link, and its cost with its tokens at the prices of that time."""
    linked = TokenUsage.objects.exclude(link=None).select_related("link")
    for row in linked.iterator(BATCH):
        link = row.link
        if link and (link.model, link.tokens) != (row.model, row.output_tokens):
            yield row.session_id, f"usage {row.pk} does not agree with its link"
        # Without a message the link has an id that was made here.
        if link and row.message_id and link.provider_id != row.message_id:
            yield row.session_id, f"usage {row.pk} has another answer than its link"
    other = TokenUsage.objects.exclude(story=None).exclude(post=None)
    for row in other.exclude(Q(story__post=F("post")) | Q(story__post=None)).iterator(BATCH):
        yield row.session_id, f"usage {row.pk} is of one post, and its story of another"
    exact = TokenUsage.objects.filter(
        state=TokenUsage.State.FINAL, unpriced=False, price_version=pricing.VERSION
    )
    for row in exact.iterator(BATCH):
        if row.cost_lower != row.cost_upper:
            yield row.session_id, f"usage {row.pk} is exact, but has two costs"


def narrations() -> Iterator[tuple[object, str]]:
    """A story by a model has its ledger row; a final answer has a stop reason."""
    # The stories of a fork from before its session began were paid for in the original session.
    stories = Story.objects.filter(
        origin=Story.Origin.MODEL, tokenusage=None, completed_at__gte=F("session__created_at")
    )
    for story in stories:
        yield story.session_id, f"story {story.pk} is by a model, but has no ledger row"
    answers = TokenUsage.objects.filter(
        stop_reason="", state=TokenUsage.State.FINAL, error="", output_tokens__gt=0, legacy_id=None
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
    narrated = Story.objects.exclude(post=None).exclude(post__state=SourcePost.State.PUBLISHED)
    for story in narrated.select_related("post"):
        yield story.session_id, f"post {story.post_id} has a story, but is not published"
    claimed = SourcePost.objects.filter(state=SourcePost.State.CLAIMED)
    for post in claimed.exclude(step__state__in=("pending", "leased")):
        yield post.session_id, f"post {post.pk} is claimed by a step that has ended"
    doubled = SourcePost.objects.exclude(duplicate_of=None)
    for post in doubled.exclude(state=SourcePost.State.SKIPPED):
        yield post.session_id, f"post {post.pk} is a duplicate, but is {post.state}"


def chain() -> Iterator[tuple[object, str]]:
    """Every AI chain is complete and recorded, and includes every completed call since it began."""
    begun = AILink.objects.filter(session=OuterRef("pk"))
    for session in Session.objects.filter(Exists(begun)).iterator():
        for problem in status.status(session, None).problems:
            yield session.pk, problem
    first = AILink.objects.filter(session=OuterRef("session"), number=1)
    began = Subquery(first.values("created_at")[:1])
    unlinked = TokenUsage.objects.filter(
        state=TokenUsage.State.FINAL, error="", link=None, legacy_id=None, closed_at__gte=began
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


def columns() -> Iterator[tuple[object, str]]:
    """Columns of stories, calls, posts and drafts agree with each other and with rows beside them."""
    yield from audits.rows_of(described_contradictions)
    made = QuarantineDecision.objects.filter(record=OuterRef("pk")).order_by("-pk")
    names = ("action", "actor", "to", "at")
    latest = {f"last_{name}": Subquery(made.values(name)[:1]) for name in names}
    latest["last_to"] = Subquery(made.values("to")[:1], output_field=UUIDField())
    for record in QuarantinedRecord.objects.annotate(**latest).iterator(BATCH):
        if problem := problem_of_record(record):
            yield record.adopted_by_id or "", f"quarantined record {record.pk} {problem}"


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HEX = r"^[0-9a-f]{64}$"
Contradiction = tuple[QuerySet[Any], str]


def out_of_time(column: str, after: str) -> Q:
    """Returns the condition that a time is in the future, or before the time that it follows."""
    late, early = Now() + Value(DAY, DurationField()), F(after) - Value(HOUR, DurationField())
    return Q(**{f"{column}__gt": late}) | Q(**{f"{column}__lt": early})


def described_contradictions() -> Iterator[Contradiction]:
    """Yields the contradictions with a description of a row, for its key."""
    for rows, what in contradictions():
        yield rows, f"{rows.model._meta.verbose_name} {{key}} {what}"


def contradictions() -> Iterator[Contradiction]:
    """Yields rows that contradict themselves, with what is wrong with them."""
    own = Q(session__made_from=None, session__imported_id="")
    adopted = QuarantinedRecord.objects.filter(adopted_by=OuterRef("session"))
    adopted = adopted.filter(row_id=OuterRef("pk"))
    foreign = Q(legacy_id__isnull=False) & ~Exists(adopted) & ~Q(session__type="imported")
    stories = Story.objects.filter(legacy_id=None).exclude(origin=Story.Origin.LEGACY)
    yield stories.filter(out_of_time("completed_at", "created_at")), "was completed at another time"
    yield stories.filter(out_of_time("bookmarked_at", "created_at")), "was not bookmarked then"
    yield stories.exclude(agent_type__in=AGENTS), "is by an unknown agent"
    yield stories.filter(thread=None).exclude(relation=""), "is related, but in no thread"
    yield stories.filter(own, approved_at=None).exclude(approved_by=None), "was never approved"
    yield Story.objects.filter(foreign), "has an id of the old system"
    versions = StoryVersion.objects.all()
    first = Q(number=1) & (~Q(reason="") | Q(author__isnull=False))
    later = own & Q(number__gt=1) & (Q(reason="") | Q(author=None))
    empty = Q(title="") | Q(narrative="")
    yield versions.filter(first | later | empty), "has no text, or another author"
    latest = versions.filter(number=F("story__version"), story__corrected_at__isnull=False)
    yield latest.exclude(reason=F("story__correction")), "has another reason than its story"
    yield from contradictions_of_calls(foreign)
    posts = SourcePost.objects.all()
    yield posts.exclude(label__in=("high", "medium", "low")), "has an unknown label"
    yield posts.filter(Q(priority__lt=0) | Q(priority__gt=1)), "has no priority from 0 to 1"
    digests = posts.exclude(url_digest__regex=HEX).exclude(Q(url="") | Q(state="skipped"))
    yield digests, "has a wrong digest of its address"
    yield posts.filter(external_id=""), "has no id of its source"
    unclaimed = posts.filter(own, state=SourcePost.State.PUBLISHED, attempts__gt=0, step=None)
    yield unclaimed, "was published without a step"
    yield posts.filter(parts={}, priority__gt=0), "has a priority without its parts"
    for model, column, what in (
        (Source, "added_at", "was added"),
        (StoryThread, "updated_at", "changed"),
        (BoardKeyword, "moved_at", "moved"),
        (Draft, "active_at", "was active"),
    ):
        rows = model._default_manager.filter(out_of_time(column, "created_at"))
        yield rows, f"{what} at another time"
    finished = Q(state=Draft.State.FINISHED)
    wrong = (finished & Q(finished_at=None)) | (~finished & Q(finished_at__isnull=False))
    wrong |= Q(state=Draft.State.RUNNING, note_code__in=("stopped", "idle"))
    wrong |= Q(state__in=("waiting", "failed", "expired"), note="")
    yield Draft.objects.filter(wrong), "is not in the state that its note or its end says"
    turns = DraftMessage.objects.filter(draft=OuterRef("draft"), link=OuterRef("link"), kind="text")
    texts = DraftVersion.objects.exclude(link=None).exclude(Exists(turns))
    yield texts, "has a link that is not of its draft"
    turns = DraftMessage.objects.exclude(link=None).exclude(link__source=AILink.Source.DRAFT)
    yield turns, "has a link of other work"
    others = DraftMessage.objects.filter(link=OuterRef("link")).exclude(pk=OuterRef("pk"))
    yield DraftMessage.objects.filter(Exists(others)), "has the link of another turn"
    links = AILink.objects.exclude(summary="").exclude(source=AILink.Source.COMPACTION)
    yield links, "has a summary, but sums up nothing"
    yield from contradictions_of_links(own)


# What an operation without a provider is by: rules, or a story's origin.
LOCAL = (EXTRACTIVE, *Story.Origin.values)


def contradictions_of_links(own: Q) -> Iterator[Contradiction]:
    """Yields links of operations that asked no provider and do not look so."""
    own &= ~Q(session__type="imported")
    links = AILink.objects.filter(own, usage=None)
    asked_none, reset = Q(model__in=LOCAL), Q(source=AILink.Source.RESET)
    yield links.exclude(reset).exclude(asked_none), "names a model that was not asked"
    yield links.filter(reset).exclude(model=""), "names a model, but is a reset"
    made_here = rf"^{chain_links.OFFLINE}[0-9a-f]{{32}}$"
    unasked = AILink.objects.filter(Q(own, usage=None) | Q(usage__message_id=""))
    yield unasked.exclude(provider_id__regex=made_here), "has an id that was not made here"


AGENTS = ("host", "human", "room")


def contradictions_of_calls(foreign: Q) -> Iterator[Contradiction]:
    """Yields model calls that contradict themselves."""
    calls = TokenUsage.objects.filter(legacy_id=None)
    yield TokenUsage.objects.filter(foreign), "has an id of the old system"
    yield calls.exclude(reported_cost=None), "has a cost of the old system"
    unstepped = Q(epoch__gt=0, step=None) | Q(epoch__gt=F("step__epoch"))
    unstepped |= Q(operation="narrate") & ~Q(step=None) & ~Q(step__kind="narrate")
    yield calls.filter(unstepped), "is not of its step"
    post = Q(story__post__isnull=False, post=None)
    yield calls.filter(post), "is for a story of a post, but not for the post"
    final = calls.filter(state=TokenUsage.State.FINAL)
    yield calls.exclude(state__in=TokenUsage.OPEN).filter(closed_at=None), "was never closed"
    yield calls.filter(out_of_time("closed_at", "created_at")), "was closed at another time"
    drafted = Q(operation="draft", draft=None) | (~Q(operation="draft") & Q(draft__isnull=False))
    yield calls.filter(drafted), "does not agree with its draft"
    yield final.exclude(error="").exclude(link=None), "failed, but has a link"
    priced = final.filter(unpriced=False, cost_upper__gt=0, error="")
    tiers, regions = ("", "standard", "batch"), ("", "us", "global", "not_available")
    yield priced.filter(price_version=""), "has a cost without prices"
    yield priced.exclude(service_tier__in=tiers, inference_geo__in=regions), "has no such price"
    asked = final.exclude(operation="chat").exclude(question=None)
    yield asked, "does not agree with its question"


def problem_of_record(record: Any) -> str:
    """Returns what is wrong with a quarantined record and its latest decision, or ""."""
    if not quarantine.is_as_put_aside(record) or not record.reason:
        return "is not what was put aside"
    states = {"adopt": record.State.ADOPTED, "discard": record.State.DISCARDED}
    if record.state != states.get(record.last_action, record.State.WAITING):
        return "is not in the state of its latest decision"
    decided = record.state != record.State.WAITING
    if decided != (record.decided_at is not None):
        return "is not what was decided"
    if decided and abs(record.decided_at - record.last_at) > HOUR:
        return "was decided at another time"
    imported = {record.owner_id is not None, record.at is not None, bool(record.place)}
    if len(imported) > 1 or (record.at and record.at > record.created_at + DAY):
        return "comes from elsewhere, or from another time"
    there = (record.decided_by_id, record.decided_at is not None, record.adopted_by_id)
    actor, to = (record.last_actor, record.last_to) if decided else (None, None)
    if there != (actor, decided, to) or (record.row_id is None) != (to is None):
        return "is not what was decided"
    return ""


def register() -> None:
    audits.register("columns", columns)
    audits.register("narrations", narrations, Story, TokenUsage)
    audits.register("posts", posts, SourcePost)
    audits.register("chain", chain, AILink)
    audits.register("drafts", drafts, Draft)
    audits.register("texts", texts, Story, StoryThread, DraftVersion)
    audits.register("derived", derived, Source, Interest)
    audits.register("answers", answers, TokenUsage)
    audits.register_repair(
        "chain",
        "set the head of the AI chain to its latest link",
        lambda session_id: chain_links.recover(Session.objects.get(pk=session_id)),
    )
    for record in (
        Record("message", in_session(Message, "reply_to"), recorder.message_payload, mark="code"),
        Record("message", in_session(DraftMessage, "link"), drafting.message_payload, mark="turn"),
        Record("keyword", in_session(BoardKeyword), boards.payload, removal="removed"),
        Record("interests", in_session(Interest), interests.payload, whole=True, removable=True),
        Record("source", in_session(Source), service.payload, of_copies=False),
        Record("post", in_session(SourcePost, "source"), queue.payload, OF_THE_QUEUE),
        Record("draft", drafts_at_rest, drafting.payload, OF_THE_CALLS, removable=True),
        Record("version", in_session(DraftVersion, "user", "link"), versions.payload),
        # The story is written after the call has ended.
        Record("usage", in_session(TokenUsage), usage_ledger.payload, frozenset({"story_id"})),
    ):
        audits.register_record(record)


# What the events of the queue and of stories change in a post.
OF_THE_QUEUE = frozenset({"state", "priority", "parts", "label", "reasons", "by_hand", "pinned"})
# What turns and calls of models change in a draft without an event of the draft.
OF_THE_CALLS = frozenset({"cost", "tokens", "active_at", "progress", "story_id"})


def drafts_at_rest(session_id: UUID) -> QuerySet[Draft]:
    """Returns the drafts of a session that no agent is working on."""
    return Draft.objects.filter(session=session_id).exclude(state=Draft.State.RUNNING)


def in_session(model: type[Any], *joined: str) -> Callable[[UUID], QuerySet[Any]]:
    """Returns the function that finds the rows of ``model`` in a session, with the rows joined."""

    def rows(session_id: UUID) -> QuerySet[Any]:
        found: QuerySet[Any] = model.objects.select_related(*joined).filter(session=session_id)
        return found

    return rows
