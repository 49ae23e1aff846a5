"""The JSON API of sessions and broadcasts: thin, over the same commands as the pages."""

from broadcast.api import artifacts, chain, chat, desk, drafts, sessions, trace, transfers
from broadcast.api.router import router

__all__ = [
    "artifacts",
    "chain",
    "chat",
    "desk",
    "drafts",
    "router",
    "sessions",
    "trace",
    "transfers",
]
