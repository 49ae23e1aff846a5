"""Groups of sources that are ready to be added together."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from sessions_app.commands import sentence_of
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session
from stories import reading
from stories.models import Source, SourceGroup
from stories.reading import SourceSpec

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
        raise Invalid(f"The group “{name}” is damaged: {sentence_of(error)}") from None


def add(session: Session, name: str) -> list[Source]:
    """Add the group's sources that the session does not have yet; returns these."""
    added = []
    for spec in specs_of(name):
        try:
            added.append(reading.add(session, spec))
        except Conflict:
            continue  # the session reads it already
    return added
