"""Groups of sources that can be added together; staff create, change, order and remove them."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from sessions_app import preferences
from sessions_app.commands import validation_sentence
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session
from stories.models import Source, SourceGroup
from stories.sources import service
from stories.sources.registry import KINDS, named_line
from stories.sources.service import SourceSpec

MOST = 100
MOST_SOURCES = 50
LONGEST_NAME, LONGEST_DESCRIPTION, LONGEST_LINE = 60, 200, 2000

MISSING = "There is no such group of sources."

SPECS = TypeAdapter(list[SourceSpec])


class GroupedSource(TypedDict):
    """One source of a group, as stored in its JSON."""

    kind: str
    locator: str
    sort: str


def every() -> Sequence[SourceGroup]:
    """Returns all groups in the order in which they are offered."""
    return list(SourceGroup.objects.all())


def named_sources(group: SourceGroup) -> str:
    """Returns the addresses of the group's sources, separated by commas."""
    return ", ".join(str(source["locator"]) for source in group.sources)


def specs_of(name: str) -> list[SourceSpec]:
    """Returns the sources of the group of this name; NotFound, or Invalid when it is damaged."""
    group = SourceGroup.objects.filter(name=name).first()
    if group is None:
        raise NotFound(f"There is no group of sources named “{name[:60]}”.")
    try:
        return SPECS.validate_python(group.sources)
    except ValidationError as error:
        raise Invalid(f"The group “{name}” is damaged: {validation_sentence(error)}") from None


def add(session: Session, name: str) -> list[Source]:
    """Adds the group's sources that the session does not have yet, and returns these."""
    added = []
    for spec in specs_of(name):
        # A savepoint of its own for each: a source that is there already stops no other.
        try:
            added.append(service.add(session, spec))
        except Conflict:
            continue  # the session has it already
    return added


def make(actor: User, name: str, description: str, lines: str) -> SourceGroup:
    """Creates a group at the end of the list; ``lines`` name one source each."""
    preferences.require_staff(actor)
    if SourceGroup.objects.count() >= MOST:
        raise Invalid(f"There are {MOST} groups already. Remove one that is not used.")
    last = SourceGroup.objects.order_by("-position").values_list("position", flat=True).first()
    group = SourceGroup(position=0 if last is None else last + 1)
    return _store(group, name, description, lines)


def change(actor: User, group_id: int, name: str, description: str, lines: str) -> SourceGroup:
    """Replaces name, description and sources of a group."""
    preferences.require_staff(actor)
    return _store(_get(group_id), name, description, lines)


def move(actor: User, group_id: int, up: bool) -> None:
    """Moves a group one place up or down; the first cannot move up, nor the last down."""
    preferences.require_staff(actor)
    with transaction.atomic():
        # All rows are locked, so that of two moves at once the second sees the result of the first.
        groups = list(SourceGroup.objects.select_for_update())
        at = next((n for n, group in enumerate(groups) if group.pk == group_id), None)
        if at is None:
            raise NotFound(MISSING)
        to = min(max(at + (-1 if up else 1), 0), len(groups) - 1)
        groups.insert(to, groups.pop(at))
        for position, group in enumerate(groups):
            group.position = position
        SourceGroup.objects.bulk_update(groups, ["position"])


def remove(actor: User, group_id: int) -> None:
    """Removes a group; sessions that added its sources still have them."""
    preferences.require_staff(actor)
    _get(group_id).delete()


def lines_of(group: SourceGroup) -> str:
    """Returns the group's sources as people type them, one a line."""
    lines = []
    for source in group.sources:
        sort = source.get("sort", "")
        default = KINDS[source["kind"]].sort_of("") if source["kind"] in KINDS else ""
        lines.append(" ".join(filter(None, (source["locator"], sort if sort != default else ""))))
    return "\n".join(lines)


def sources_of(lines: str) -> list[GroupedSource]:
    """Returns the sources that ``lines`` name, checked; Invalid names the line that is wrong.

    A line is ``r/science``, ``r/science new``, the address of a feed, or ``demo``.
    """
    sources: list[GroupedSource] = []
    for line in filter(None, map(str.strip, lines.splitlines())):
        if len(line) > LONGEST_LINE:
            raise Invalid(f"{line[:80]}…: a line must not exceed {LONGEST_LINE} characters.")
        try:
            kind, locator, sort = named_line(line)
        except Invalid as error:
            raise Invalid(f"{line[:80]}: {error.sentence}") from None
        source: GroupedSource = {"kind": kind, "locator": locator, "sort": sort}
        if source in sources:
            raise Invalid(f"{line[:80]}: this source is listed twice.")
        sources.append(source)
    if not 1 <= len(sources) <= MOST_SOURCES:
        raise Invalid(f"sources must be 1 to {MOST_SOURCES} lines.")
    return sources


def _store(group: SourceGroup, name: str, description: str, lines: str) -> SourceGroup:
    group.name, group.description = " ".join(name.split()), " ".join(description.split())
    if not 1 <= len(group.name) <= LONGEST_NAME:
        raise Invalid(f"name must be 1 to {LONGEST_NAME} characters.")
    if len(group.description) > LONGEST_DESCRIPTION:
        raise Invalid(f"description must not exceed {LONGEST_DESCRIPTION} characters.")
    group.sources = sources_of(lines)
    duplicate = Conflict(f"There is already a group named “{group.name}”.", code="duplicate")
    # The unique constraint is case-sensitive, so this looks for the name in any case.
    if SourceGroup.objects.filter(name__iexact=group.name).exclude(pk=group.pk).exists():
        raise duplicate
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError:
        raise duplicate from None
    return group


def _get(group_id: int) -> SourceGroup:
    group = SourceGroup.objects.filter(pk=group_id).first()
    if group is None:
        raise NotFound(MISSING)
    return group
