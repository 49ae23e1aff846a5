"""The folder of a session's artifacts: its name is given once, at the session's creation."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from uuid import UUID

ROOT = "artifacts"


def folder_name(name: str, made: date, session_id: UUID) -> str:
    """``<label>-<date>-<short id>``: readable and unique."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    label = re.sub(r"[^a-z0-9]+", "-", plain.lower())[:40].strip("-") or "session"
    return f"{label}-{made:%Y-%m-%d}-{session_id.hex[:12]}"
