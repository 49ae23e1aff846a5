"""The one router of sessions: a path has one view, whatever its methods and wherever they stand."""

from __future__ import annotations

from ninja import Router

router = Router(tags=["sessions"])
