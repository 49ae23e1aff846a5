"""Groups of sources: all sources of a group are added, each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sessions_app import commands, sessions
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session, Step
from stories.models import Source, SourceGroup
from stories.sources import groups
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

TWO = [{"kind": "rss", "locator": "https://a.test/feed"}, {"kind": "recording", "locator": "demo"}]


@pytest.fixture
def group(db: None) -> SourceGroup:
    return SourceGroup.objects.create(name="Two", sources=TWO)


def add(session: Session, name: str = "Two") -> Any:
    return commands.run("source.add_group", session.owner, session, {"group": name})


def kinds(session: Session) -> set[str]:
    return set(Source.objects.filter(session=session, enabled=True).values_list("kind", flat=True))


def test_a_new_studio_has_groups_that_can_be_added(make_session: MakeSession) -> None:
    SourceGroup.objects.filter(name="Tech Radar").delete()
    SourceGroup.objects.create(
        name="Tech Radar", sources=[{"kind": "reddit", "locator": "r/programming", "sort": "hot"}]
    )
    session = make_session(recording=False)
    assert [source.locator for source in add(session, "Tech Radar")] == ["r/programming"]


def test_a_group_brings_what_the_session_does_not_have(
    session: Session, group: SourceGroup
) -> None:
    assert [source.kind for source in add(session)] == ["rss"]
    assert kinds(session) == {"rss", "recording"}


def test_a_group_that_is_here_already_is_refused(session: Session, group: SourceGroup) -> None:
    add(session)
    with pytest.raises(Conflict, match="already"):
        add(session)


def test_a_session_on_air_reads_a_new_group_at_once(
    session: Session, group: SourceGroup, go_live: Callable[[Session], Any]
) -> None:
    go_live(session)
    (source,) = add(session)
    assert Step.objects.filter(kind="poll", subject=str(source.pk), state="pending").exists()


def test_a_group_nobody_knows_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound):
        add(session, "Nothing")


def test_a_damaged_group_says_so_and_adds_nothing(session: Session, group: SourceGroup) -> None:
    SourceGroup.objects.update(sources=[{"kind": "carrier pigeon"}])
    with pytest.raises(Invalid, match="damaged"):
        add(session)
    assert kinds(session) == {"recording"}


def test_a_new_session_has_its_groups_from_the_start(group: SourceGroup, session: Session) -> None:
    data = {"name": "With groups", "groups": ["Two"]}
    made = commands.run("session.create", session.owner, None, data)
    assert kinds(made) == {"rss", "recording"}


def test_a_group_is_described_by_its_sources(group: SourceGroup) -> None:
    assert groups.named_sources(group) == "https://a.test/feed, demo"


def test_a_wrong_source_in_a_group_leaves_no_session_behind(
    session: Session, group: SourceGroup
) -> None:
    SourceGroup.objects.update(sources=[{"kind": "reddit", "locator": "no such name"}])
    with pytest.raises(Invalid):
        commands.run("session.create", session.owner, None, {"name": "x", "groups": ["Two"]})
    assert sessions.newest(session.owner) == session
