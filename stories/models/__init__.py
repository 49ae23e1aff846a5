"""What is read, written, counted and learned."""

from stories.models.quarantine import QuarantinedRecord
from stories.models.reading import Source, SourcePost
from stories.models.telling import Story, TokenUsage

__all__ = ["QuarantinedRecord", "Source", "SourcePost", "Story", "TokenUsage"]
