"""Files that come from a person's browser: uploads, and pictures of the desk."""

from __future__ import annotations

import mimetypes
import struct
from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app import artifacts, participants
from sessions_app.artifacts import MEGABYTE, Category
from sessions_app.errors import Invalid
from sessions_app.models import Artifact, Session

UNKNOWN = "application/octet-stream"
PNG = "image/png"
MOST_PICTURE = 10 * MEGABYTE  # bytes
MOST_SIDE = 8192  # pixels
_MAGIC = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_END = b"IEND\xaeB`\x82"


def upload(
    session: Session, actor: User, name: str, size: int, chunks: Iterable[bytes]
) -> Artifact:
    """Keep an uploaded file of ``size`` bytes; Invalid when it is empty or too large."""
    most = settings.SMNB.limit_upload_mb
    if not size:
        raise Invalid("The file is empty.")
    if most and size > most * MEGABYTE:
        raise Invalid(f"The file is larger than {most} MB.", code="too_large")
    kept = artifacts.keep(
        session, Category.FILES, name, chunks, note="Uploaded", made_by=actor,
        media_type=mimetypes.guess_type(name)[0] or UNKNOWN,
    )  # fmt: skip
    participants.seen(session, actor)
    return kept


def screenshot(session: Session, actor: User, picture: bytes) -> Artifact:
    """Keep a picture of the desk; Invalid when it is no PNG, or too large."""
    wide, high = _measured(picture)
    kept = artifacts.keep(
        session, Category.SCREENSHOTS, f"desk-{timezone.now():%Y-%m-%d-%H%M%S}.png", [picture],
        note=f"{wide} by {high} pixels", made_by=actor, media_type=PNG,
    )  # fmt: skip
    participants.seen(session, actor)
    return kept


def _measured(picture: bytes) -> tuple[int, int]:
    """Width and height in pixels, as the file itself says."""
    if len(picture) > MOST_PICTURE:
        most = MOST_PICTURE // MEGABYTE
        raise Invalid(f"The picture is larger than {most} MB.", code="too_large")
    if not (picture.startswith(_MAGIC) and picture.endswith(_END) and len(picture) >= 45):
        raise Invalid("This is no whole PNG picture.")
    wide, high = struct.unpack(">II", picture[16:24])
    if not (1 <= wide <= MOST_SIDE and 1 <= high <= MOST_SIDE):
        raise Invalid(f"A picture has 1 to {MOST_SIDE} pixels on each side.")
    return wide, high
