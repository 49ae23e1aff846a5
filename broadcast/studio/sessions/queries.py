"""A user's sessions: the list, filtered and paged by key in the index of owners, and the switcher."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from urllib.parse import urlsplit
from uuid import UUID

from django import forms
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from typing_extensions import TypedDict

from broadcast import queries
from broadcast.models import Broadcast
from broadcast.session_commands import OwnedSession
from broadcast.states import ON_AIR, State
from sessions_app.models import Session
from sessions_app.models.session import Person, SessionQuerySet

PER_PAGE = 25
ALL = "all"
SWITCHER_MOST = 100
DEEP_PAGES = ["rundown", "threads", "replays", "traces", "chain", "log", "artifacts", "search"]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sessions to list.

    ``status`` is a status, "" for all that are not archived, or "all"; ``air`` is "on", "off" or
    ""; ``before`` is the key that the previous page returned as ``next``.
    """

    text: str = ""
    status: str = ""
    type: str = ""
    air: str = ""
    before: str = ""


class FilterForm(forms.Form):
    """The filter of the session list; an invalid value is ignored."""

    q = forms.CharField(
        required=False,
        max_length=120,
        label="Name or id",
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "any", "autocomplete": "off"}
        ),
    )
    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", "not archived"),
            ("active", "active"),
            ("archived", "archived"),
            (ALL, "all"),
        ],
    )
    type = forms.ChoiceField(required=False, choices=[("", "any"), *Session.Type.choices])
    air = forms.ChoiceField(
        required=False, label="On air", choices=[("", "any"), ("on", "on air"), ("off", "off air")]
    )

    def filter(self, before: str) -> Filter:
        """The filter of the form for the page of the list that begins at ``before``."""
        # Validation fills cleaned_data; fields that fail are missing there and not filtered.
        self.is_valid()
        data = self.cleaned_data
        return Filter(
            text=data.get("q", ""),
            status=data.get("status", ""),
            type=data.get("type", ""),
            air=data.get("air", ""),
            before=before,
        )


class QRCode(TypedDict):
    """A QR code as the path of an SVG whose width and height are ``size``."""

    size: int
    path: str


class Share(TypedDict):
    """What the tab for sharing shows; None and "" while the session is not visible.

    ``local`` is whether only this machine can open the links.
    """

    qr: QRCode | None
    local: bool
    embed_code: str


def share(session: OwnedSession) -> Share:
    """Returns the QR code of the watch page, and the code that shows the player elsewhere."""
    import segno

    url = session["watch_url"]
    if url is None:
        return {"qr": None, "local": False, "embed_code": ""}
    rows = list(segno.make(url, error="m", micro=False).matrix_iter(border=3))
    path = ""
    for y, row in enumerate(rows):
        x = 0
        for dark, modules in groupby(row):
            width = len(list(modules))
            if dark:
                path += f"M{x} {y}h{width}v1h-{width}z"
            x += width
    embed_code = (
        f'<iframe src="{url}embed/" title="{escape(session["name"])}" width="480" height="320"'
        ' allow="autoplay" loading="lazy"></iframe>'
    )
    local = urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
    return {"qr": {"size": len(rows), "path": path}, "local": local, "embed_code": embed_code}


class SessionList(TypedDict):
    """One page of the list; ``next`` is the key of the following page, or ""."""

    sessions: list[queries.SessionRow]
    next: str


def page(user: Person, filter_: Filter) -> SessionList:
    """Returns one page of the user's sessions that pass the filter."""
    rows = _filtered(Session.objects.for_user(user), filter_).order_by("-created_at", "id")
    sessions = list(rows.select_related("stats")[: PER_PAGE + 1])
    more = len(sessions) > PER_PAGE
    sessions = sessions[:PER_PAGE]
    last = sessions[-1] if more else None
    return {
        "sessions": queries.session_rows(sessions),
        "next": f"{last.created_at.isoformat()}_{last.pk}" if last else "",
    }


def _filtered(rows: SessionQuerySet, filter_: Filter) -> SessionQuerySet:
    if filter_.text:
        named = Q(name__icontains=filter_.text)
        # Also the beginning of an id, as logs and the API name sessions by it.
        digits = filter_.text.strip().lower().replace("-", "")
        if 4 <= len(digits) <= 32 and not set(digits) - set("0123456789abcdef"):
            low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
            named |= Q(pk__gte=low, pk__lte=high)
        rows = rows.filter(named)
    if filter_.status == "":
        rows = rows.exclude(status=Session.Status.ARCHIVED)
    elif filter_.status != ALL:
        rows = rows.filter(status=filter_.status)
    if filter_.type:
        rows = rows.filter(type=filter_.type)
    if filter_.air:
        # EXISTS stops at the first run and, unlike a join, never lists a session twice.
        on_air = Exists(Broadcast.objects.filter(session=OuterRef("pk"), state__in=ON_AIR))
        rows = rows.filter(on_air if filter_.air == "on" else ~on_air)
    if key := _parse_key(filter_.before):
        at, last = key
        # ``created_at__lte`` looks redundant, but it lets the database start inside the index.
        rows = rows.filter(Q(created_at__lt=at) | Q(id__gt=last), created_at__lte=at)
    return rows


def _parse_key(key: str) -> tuple[datetime, UUID] | None:
    """The moment and id of a page's key; None for anything else, which then shows the first page."""
    moment, _, last = key.partition("_")
    try:
        # A link that was not encoded carries the + of the time zone as a space.
        at = parse_datetime(moment.replace(" ", "+"))
        return (at.astimezone(UTC), UUID(last)) if at is not None and at.tzinfo else None
    except (ValueError, OverflowError):
        return None


class SwitcherItem(TypedDict):
    """A session to switch to; ``mark`` tells it apart from another one of its name, else ""."""

    id: str
    name: str
    mark: str
    live: bool
    url: str


def switcher(user: Person, area: str) -> list[SwitcherItem]:
    """Returns the sessions one can switch to, newest first, each with its page in this area."""
    sessions = Session.objects.for_user(user)
    rows = sessions.exclude(status=Session.Status.ARCHIVED).values_list("pk", "name", "created_at")
    # All live sessions are read rather than those of a hundred ids: that is a much shorter query.
    on_air = Broadcast.objects.filter(state=State.LIVE, session__in=sessions.order_by())
    live = set(on_air.values_list("session_id", flat=True))
    days = [(pk, name, f"{at.day} {at:%b %Y}") for pk, name, at in rows[:SWITCHER_MOST]]
    names = Counter(name for _, name, _ in days)
    dated = Counter((name, day) for _, name, day in days)
    items: list[SwitcherItem] = []
    for pk, name, day in days:
        mark = "" if names[name] == 1 else day if dated[name, day] == 1 else str(pk)[:8]
        url = _page_in(area, pk)
        items.append({"id": str(pk), "name": name, "mark": mark, "live": pk in live, "url": url})
    return items


def _page_in(area: str, session_id: UUID) -> str:
    """Returns the address of a session in an area; areas without one lead to the Session Manager."""
    if area in {"stats", "market", "drafting"}:
        return f"{reverse(area)}?session={session_id}"
    name = area if area == "broadcast" or area in DEEP_PAGES else "session_detail"
    return reverse(name, args=[session_id])
