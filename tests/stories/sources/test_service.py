"""Sources of a session: added once, and removed without their posts."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session, SessionEvent
from stories.models import Source, SourcePost
from stories.sources import registry, service
from stories.sources.service import SourceSpec
from tests.concurrency import together
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

DEMO = SourceSpec(kind="recording", locator="demo")


class AnyAddress:
    """Takes every locator, in lower case."""

    def clean_locator(self, locator: str) -> str:
        return locator.lower()


@pytest.fixture(autouse=True)
def any_address(monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = AnyAddress()
    for kind in ("rss", "reddit"):
        monkeypatch.setitem(registry._adapters(), kind, fake)


def types(session: Session) -> list[str]:
    return list(SessionEvent.objects.filter(session=session).values_list("type", flat=True))


def test_a_source_is_added_in_its_canonical_form_with_an_event(session: Session) -> None:
    source = service.add(session, SourceSpec(kind="rss", locator="HTTPS://X.TEST/F"))
    assert source.locator == "https://x.test/f"
    assert types(session)[-1] == "source.changed"


@pytest.mark.databases
def test_the_same_source_is_not_added_twice(session: Session) -> None:
    with pytest.raises(Conflict, match="already"):
        service.add(session, DEMO)
    assert Source.objects.filter(session=session).count() == 1


@pytest.mark.databases
def test_a_longer_address_than_an_index_holds_is_still_told_apart(session: Session) -> None:
    long = "https://x.test/" + "a" * 1900
    first = service.add(session, SourceSpec(kind="rss", locator=long))
    assert service.add(session, SourceSpec(kind="rss", locator=f"{long}b")) != first


@pytest.mark.databases
def test_of_eight_who_add_the_same_source_at_once_one_succeeds(
    make_session: MakeSession,
) -> None:
    session = make_session(recording=False)
    results = together(8, lambda _: service.add(session, DEMO))
    assert sum(isinstance(result, Source) for result in results) == 1
    assert Source.objects.filter(session=session).count() == 1


def test_one_subreddit_in_two_orders_is_two_sources(session: Session) -> None:
    for sort in ("new", "top"):
        service.add(session, SourceSpec(kind="reddit", locator="r/x", sort=sort))
    assert Source.objects.filter(kind="reddit").count() == 2


def test_a_subreddit_is_read_hot_first_and_an_unknown_order_is_refused(session: Session) -> None:
    assert service.add(session, SourceSpec(kind="reddit", locator="r/x")).sort == "hot"
    with pytest.raises(Invalid, match="sort"):
        service.add(session, SourceSpec(kind="reddit", locator="r/x", sort="best"))


def test_a_removed_source_keeps_its_posts_and_is_shown_no_more(
    session: Session, source: Source, post: SourcePost
) -> None:
    service.remove(session, source.pk)
    assert service.shown(session) == []
    assert SourcePost.objects.get().source == source
    assert types(session)[-1] == "source.removed"


def test_a_removed_source_comes_back_as_the_same_row(session: Session, source: Source) -> None:
    service.remove(session, source.pk)
    assert service.add(session, DEMO).pk == source.pk


def test_a_source_of_another_session_cannot_be_removed(
    make_session: MakeSession, source: Source
) -> None:
    other = make_session("Evening")
    for session, key in ((other, source.pk), (source.session, 0)):
        with pytest.raises(NotFound):
            service.remove(session, key)


def test_a_source_shows_everything_a_page_needs(source: Source) -> None:
    payload = service.payload(source)
    assert (payload["locator"], payload["health"], payload["enabled"]) == ("demo", "new", True)


def test_a_source_that_comes_back_has_left_its_old_trouble_behind(
    session: Session, source: Source
) -> None:
    Source.objects.update(health="failed", note="It was gone.", paused_until=timezone.now())
    service.remove(session, source.pk)
    service.add(session, DEMO)
    source.refresh_from_db()
    assert (source.health, source.note, source.paused_until) == ("new", "", None)
