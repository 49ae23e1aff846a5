"""The JSON API of sessions and broadcasts: thin, over the same commands as the pages."""

from broadcast.api import chain, desk, sessions
from broadcast.api.router import router

__all__ = ["chain", "desk", "router", "sessions"]
