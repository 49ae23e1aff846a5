"""The page of a session's artifacts: used space, and files by category."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Sum
from typing_extensions import TypedDict

from broadcast import recordings
from sessions_app.files import artifacts
from sessions_app.files.artifacts import MEANINGS, ArtifactPayload, Category
from sessions_app.models import Session, SessionStats

FEW = 5  # files of a category when all categories are shown
MOST = 40  # files on a page of one category


@dataclass(frozen=True, slots=True)
class Part:
    """The files to show: one category or all (""), and those before an id or the newest (None)."""

    category: str = ""
    before: int | None = None

    @classmethod
    def of(cls, category: str, before: int | None) -> Part:
        return cls(category, before) if category in Category.values else cls()


class FileRow(ArtifactPayload):
    """An artifact with its maker, and whether the page can show it as a picture."""

    made_by: str
    picture: bool


class CategoryRow(TypedDict):
    """A category with its newest files; ``older`` is the id before which the next page begins."""

    name: str
    meaning: str
    number: int
    bytes: int
    files: list[FileRow]
    older: int | None


class ArtifactsPage(TypedDict):
    """The page of the artifacts; sizes are in bytes."""

    session: Session
    last_seq: int
    used: int
    quota: int
    nearly: int
    part: Part
    categories: list[CategoryRow]
    missing: object
    upload_mb: int


def page(session: Session, part: Part) -> ArtifactsPage:
    """Returns what the page of the artifacts shows."""
    # Read first: an event recorded after this is delivered to the page again.
    stats = SessionStats.objects.get(session=session)
    # One query for the sizes of all categories.
    rows = artifacts.listed(session).order_by().values("category")
    sizes = {
        row["category"]: (row["number"], row["total"])
        for row in rows.annotate(number=Count("pk"), total=Sum("bytes"))
    }
    quota = artifacts.quota_bytes()
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "used": sum(total for _, total in sizes.values()),
        "quota": quota,
        "nearly": quota * 9 // 10,
        "part": part,
        "categories": [
            _category(session, category, *sizes[category], part)
            for category in Category.values
            if category in sizes and part.category in ("", category)
        ],
        "missing": recordings.missing(session),
        "upload_mb": settings.SMNB.limit_upload_mb,
    }


def _category(
    session: Session, category: str, number: int, total_bytes: int, part: Part
) -> CategoryRow:
    rows = artifacts.listed(session, category).select_related("made_by")
    if part.before is not None:
        rows = rows.filter(pk__lt=part.before)
    most = MOST if part.category else FEW
    files = list(rows[: most + 1])
    return {
        "name": category,
        "meaning": MEANINGS[category],
        "number": number,
        "bytes": total_bytes,
        "files": [
            {
                **artifacts.payload(file),
                "made_by": file.made_by.get_username() if file.made_by else "",
                "picture": file.category == Category.SCREENSHOTS,
            }
            for file in files[:most]
        ],
        "older": files[most - 1].pk if len(files) > most else None,
    }
