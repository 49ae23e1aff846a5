"""Models of sources, posts, stories, drafts, the market, usage and quarantine."""

from stories.models.drafts import Draft, DraftMessage, DraftVersion
from stories.models.market import BoardKeyword, Trend, TrendBucket, TrendPost
from stories.models.quarantine import QuarantineDecision, QuarantinedRecord
from stories.models.sources import Interest, Source, SourceGroup, SourcePost
from stories.models.stories import Story, StoryReport, StoryThread, StoryVersion, TokenUsage

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
    "StoryReport",
    "StoryThread",
    "StoryVersion",
    "TokenUsage",
    "Trend",
    "TrendBucket",
    "TrendPost",
]
