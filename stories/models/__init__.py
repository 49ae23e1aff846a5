"""What is read, written, counted and learned."""

from stories.models.drafting import Draft, DraftMessage, DraftVersion
from stories.models.interests import Interest
from stories.models.market import BoardKeyword, Trend, TrendBucket, TrendPost
from stories.models.quarantine import QuarantineDecision, QuarantinedRecord
from stories.models.reading import Source, SourceGroup, SourcePost
from stories.models.telling import Story, StoryThread, StoryVersion, TokenUsage

__all__ = [
    "BoardKeyword",
    "Draft",
    "DraftMessage",
    "DraftVersion",
    "Interest",
    "QuarantineDecision",
    "QuarantinedRecord",
    "Source",
    "SourceGroup",
    "SourcePost",
    "Story",
    "StoryThread",
    "StoryVersion",
    "TokenUsage",
    "Trend",
    "TrendBucket",
    "TrendPost",
]
