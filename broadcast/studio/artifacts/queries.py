"""What the page of a session's artifacts shows: how much room there is, and files by category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, Sum

from broadcast import recordings
from sessions_app.files import artifacts
from sessions_app.files.artifacts import MEANINGS, Category
from sessions_app.models import Artifact, Session, SessionStats

FEW = 5  # files of a category when all categories are shown
MOST = 40  # files of a page when one is


@dataclass(frozen=True, slots=True)
class Part:
    """Which files are wanted: those of one category, before an id; "" and None are all."""

    category: str = ""
    before: int | None = None

    @classmethod
    def of(cls, category: str, before: int | None) -> Part:
        return cls(category, before) if category in Category.values else cls()


def page(session: Session, part: Part) -> dict[str, Any]:
    """The whole page; ``last_seq`` is read first, so that nothing is missed."""
    stats = SessionStats.objects.get(session=session)
    sizes, quota = _sizes(session), artifacts.quota_bytes()
    shown = [each for each in Category.values if each in sizes and part.category in ("", each)]
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "used": sum(total for _, total in sizes.values()),
        "quota": quota,
        "nearly": quota * 9 // 10,
        "part": part,
        "categories": [_category(session, each, sizes[each], part) for each in shown],
        "missing": recordings.missing(session),
        "upload_mb": settings.SMNB.limit_upload_mb,
    }


def _sizes(session: Session) -> dict[str, tuple[int, int]]:
    """By category that has a file: how many files, and how many bytes."""
    rows = artifacts.listed(session).order_by().values("category")
    found = rows.annotate(number=Count("pk"), total=Sum("bytes"))
    return {row["category"]: (row["number"], row["total"]) for row in found}


def _category(session: Session, category: str, size: tuple[int, int], part: Part) -> dict[str, Any]:
    rows = artifacts.listed(session, category).select_related("made_by")
    if part.before is not None:
        rows = rows.filter(pk__lt=part.before)
    most = MOST if part.category else FEW
    found = list(rows[: most + 1])
    return {
        "name": category,
        "meaning": MEANINGS[category],
        "number": size[0],
        "bytes": size[1],
        "files": [_file(row) for row in found[:most]],
        "older": found[most - 1].pk if len(found) > most else None,
    }


def _file(row: Artifact) -> dict[str, Any]:
    """A file with who made it, and whether it is a picture that can be shown here."""
    by = row.made_by.get_username() if row.made_by else ""
    return {
        **artifacts.payload(row),
        "made_by": by,
        "picture": row.category == Category.SCREENSHOTS,
    }
