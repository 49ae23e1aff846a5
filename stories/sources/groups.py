"""Groups of sources that are ready to be added together.

Source groups in the hands of the staff: added, changed, put in order, removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from pydantic import TypeAdapter, ValidationError

from sessions_app import workspace
from sessions_app.commands import validation_sentence
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session
from stories.models import Source, SourceGroup
from stories.sources import service
from stories.sources.reddit import SORTS
from stories.sources.registry import adapter
from stories.sources.service import SourceSpec

_SPECS = TypeAdapter(list[SourceSpec])


def every() -> Sequence[SourceGroup]:
    """All groups in the order in which people are offered them."""
    return list(SourceGroup.objects.all())


def named_sources(group: SourceGroup) -> str:
    """What is in the group, for people."""
    return ", ".join(str(each["locator"]) for each in group.sources)


def specs_of(name: str) -> list[SourceSpec]:
    """The sources of the group of this name; NotFound, or Invalid when the group is damaged."""
    group = SourceGroup.objects.filter(name=name).first()
    if group is None:
        raise NotFound(f"There is no group of sources named “{name[:60]}”.")
    try:
        return _SPECS.validate_python(group.sources)
    except ValidationError as error:
        raise Invalid(f"The group “{name}” is damaged: {validation_sentence(error)}") from None


def add(session: Session, name: str) -> list[Source]:
    """Add the group's sources that the session does not have yet; returns these."""
    added = []
    for spec in specs_of(name):
        try:
            added.append(service.add(session, spec))
        except Conflict:
            continue  # the session reads it already
    return added


MOST = 100

MOST_SOURCES = 50

LONGEST_NAME, LONGEST_DESCRIPTION, LONGEST_LINE = 60, 200, 2000


def make(actor: User, name: str, description: str, lines: str) -> SourceGroup:
    """A new group at the end; ``lines`` name one source each, as people type them."""
    workspace.require_staff(actor)
    if SourceGroup.objects.count() >= MOST:
        raise Invalid(f"There are {MOST} groups. Remove one that nobody uses.")
    last = SourceGroup.objects.order_by("-position").values_list("position", flat=True).first()
    group = SourceGroup(position=0 if last is None else last + 1)
    return _store(group, name, description, lines)


def change(actor: User, group_id: int, name: str, description: str, lines: str) -> SourceGroup:
    workspace.require_staff(actor)
    return _store(_found(group_id), name, description, lines)


def move(actor: User, group_id: int, up: bool) -> None:
    """Put a group one place nearer to the beginning, or to the end; at the edge it stays."""
    workspace.require_staff(actor)
    with transaction.atomic():
        groups = list(SourceGroup.objects.select_for_update())
        at = next((n for n, each in enumerate(groups) if each.pk == group_id), None)
        if at is None:
            raise _missing()
        to = min(max(at + (-1 if up else 1), 0), len(groups) - 1)
        groups.insert(to, groups.pop(at))
        for position, each in enumerate(groups):
            each.position = position
        SourceGroup.objects.bulk_update(groups, ["position"])


def remove(actor: User, group_id: int) -> None:
    """Remove a group; the sessions that took sources from it keep them."""
    workspace.require_staff(actor)
    _found(group_id).delete()


def lines_of(group: SourceGroup) -> str:
    """The group's sources as people type them, one a line."""
    return "\n".join(_line(each) for each in group.sources)


def sources_of(lines: str) -> list[dict[str, str]]:
    """The sources named by ``lines``, checked; Invalid names the line that cannot be one."""
    found: list[dict[str, str]] = []
    for line in filter(None, map(str.strip, lines.splitlines())):
        source = _source(line)
        if source in found:
            raise Invalid(f"{line[:80]}: it stands there twice.")
        found.append(source)
    if not 1 <= len(found) <= MOST_SOURCES:
        raise Invalid(f"sources: 1 to {MOST_SOURCES} lines.")
    return found


def _source(line: str) -> dict[str, str]:
    """One line: ``r/science``, ``r/science new``, a feed's address, or ``demo``."""
    if len(line) > LONGEST_LINE:
        raise Invalid(f"{line[:80]}…: at most {LONGEST_LINE} characters a line.")
    address, _, last = line.rpartition(" ")
    sort = last.lower() if address and last.lower() in SORTS else ""
    spec = service.spec_of(address if sort else line)
    if sort and spec.kind != "reddit":
        raise Invalid(f"{line[:80]}: only subreddits have an order.")
    try:
        locator = adapter(spec.kind).clean_locator(spec.locator)
    except Invalid as error:
        raise Invalid(f"{line[:80]}: {error.sentence}") from None
    return {
        "kind": spec.kind,
        "locator": locator,
        "sort": (sort or "hot") if spec.kind == "reddit" else "",
    }


def _line(source: dict[str, Any]) -> str:
    sort = source.get("sort", "")
    return f"{source['locator']} {sort}" if sort not in {"", "hot"} else str(source["locator"])


def _store(group: SourceGroup, name: str, description: str, lines: str) -> SourceGroup:
    group.name, group.description = " ".join(name.split()), " ".join(description.split())
    if not 1 <= len(group.name) <= LONGEST_NAME:
        raise Invalid(f"name: 1 to {LONGEST_NAME} characters.")
    if len(group.description) > LONGEST_DESCRIPTION:
        raise Invalid(f"description: at most {LONGEST_DESCRIPTION} characters.")
    group.sources = sources_of(lines)
    taken = Conflict(f"There is a group named “{group.name}” already.", code="duplicate")
    if SourceGroup.objects.filter(name__iexact=group.name).exclude(pk=group.pk).exists():
        raise taken
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError:
        raise taken from None
    return group


def _found(group_id: int) -> SourceGroup:
    group = SourceGroup.objects.filter(pk=group_id).first()
    if group is None:
        raise _missing()
    return group


def _missing() -> NotFound:
    return NotFound("There is no such group of sources.")
