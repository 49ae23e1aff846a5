"""The formats a session can be exported in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from uuid import uuid4

from broadcast.models import Broadcast
from broadcast.transfer import snapshot
from broadcast.transfer.formats import (
    csv_format,
    json_format,
    markdown_format,
    srt_format,
    zip_format,
)
from broadcast.transfer.formats.base import ExportRequest, Format
from broadcast.transfer.tables import AIRINGS, STORIES, TABLES
from sessions_app.errors import Invalid, NotFound
from sessions_app.models import Session

FormatName = Literal["zip", "json", "csv", "md", "srt"]

_ALL = frozenset(table.name for table in TABLES)

_STORIES = frozenset({STORIES})

_FORMATS = (
    Format("zip", "ZIP: everything, can be imported", "application/zip", zip_format.write, _ALL),
    Format("json", "JSON: everything but files", "application/json", json_format.write, _ALL),
    Format("csv", "CSV: the stories as a table", "text/csv", csv_format.write, _STORIES),
    Format("md", "Markdown: the stories to read", "text/markdown", markdown_format.write, _STORIES),
    Format(
        "srt",
        "SRT: captions as aired",
        "application/x-subrip",
        srt_format.write,
        frozenset({AIRINGS}),
    ),
)

FORMATS = {format_.name: format_ for format_ in _FORMATS}


def get(name: str) -> Format:
    """Returns the format of that name; raises Invalid if there is none."""
    if name not in FORMATS:
        raise Invalid(f"format: one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def check_run(session: Session, format_: str, run: int | None) -> None:
    """Raises Invalid if the format cannot be limited to a run, NotFound if the run is missing."""
    if run is None:
        return
    if format_ != "srt":
        raise Invalid("run: only captions (srt) can be limited to one run.")
    if not Broadcast.objects.filter(session=session, number=run).exists():
        raise NotFound("This session has no such run.")


def stream(session: Session, format_: Format, run: int | None = None) -> Iterator[bytes]:
    """Yields a whole export, reading and writing it in batches."""
    request = ExportRequest(snapshot.taken(session), str(uuid4()), run)
    for chunk in format_.write(request, {}):
        if chunk.data:
            yield chunk.data
