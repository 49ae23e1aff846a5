"""Faults of the database: a commit reported as failed, a cut connection, a full disk, many writers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from broadcast.models import Broadcast
from sessions_app import audits, commands
from sessions_app.background import steps
from sessions_app.errors import Conflict
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent, SessionStats, Step
from stories.models import Story
from tests.concurrency import forked
from tests.conftest import MakeSession, run_due_steps

GoLive = Callable[[Session], Any]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

sqlite_only = pytest.mark.skipif(
    "os.environ.get('SMNB_TEST_DATABASE') == 'postgres'", reason="The limit is one of SQLite."
)
postgres_only = pytest.mark.skipif(
    "os.environ.get('SMNB_TEST_DATABASE') != 'postgres'", reason="SQLite has no server to lose."
)


@contextmanager
def commit_reported_as_failed(number: int) -> Iterator[list[int]]:
    """The commit of this number succeeds, and its caller gets the error of a lost connection.

    Yields the commits so far. The hooks of that commit are lost too, as with a process that dies.
    """
    seen: list[int] = []
    original: Callable[[], None] = connection._commit  # type: ignore[attr-defined]

    def commit() -> None:
        original()
        seen.append(len(seen))
        if len(seen) == number:
            raise OperationalError("server closed the connection unexpectedly")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "_commit", commit)
        yield seen


def lose_leases(session: Session) -> None:
    Step.objects.filter(session=session, state="leased").update(lease_until=steps.now())
    Step.objects.filter(session=session, state="pending").update(due_at=steps.now())


def take_over(session: Session) -> None:
    """Another worker claims what the first one left."""
    lose_leases(session)
    for step in Step.objects.filter(session=session, kind="narrate", state__in=Step.OPEN):
        steps.run(step.pk)


def fill(session: Session) -> None:
    """Writes until there is no room, first in large pieces and then in small ones."""
    for size in (100_000, 1_000):
        with suppress(OperationalError):
            for _ in range(10_000):
                with transaction.atomic():
                    recorder.record(session, recorder.SESSION_CHANGED, {"filler": "x" * size})


def test_a_story_whose_commit_is_reported_as_failed_is_told_once(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, "poll")
    struck = set()
    for number in range(1, 9):
        # New posts too, so that each round has one to tell.
        lose_leases(session)
        run_due_steps(session, "poll", most=1)
        with commit_reported_as_failed(number) as commits, suppress(OperationalError):
            run_due_steps(session, "narrate", most=1)
        if len(commits) >= number:
            struck.add(number)
        take_over(session)
        run_due_steps(session, "finish_airing")
        if number in struck:
            assert list(audits.run()) == []
    # Each of the places of a round: the claims of step and post, and the story with its airing.
    assert struck >= {1, 2, 3}
    posts = list(Story.objects.filter(session=session).values_list("post", flat=True))
    assert len(posts) == len(set(posts)) >= 6
    told = SessionEvent.objects.filter(session=session, type="story.written").count()
    assert told == len(posts) == SessionStats.objects.get(session=session).story_count


def test_a_start_whose_commit_is_reported_as_failed_starts_one_run(
    make_session: MakeSession,
) -> None:
    session = make_session(model="extractive")
    press = partial(commands.run, "broadcast.start", session.owner, session, {})
    with commit_reported_as_failed(1), pytest.raises(OperationalError):
        press()
    # The second press is told what the first one did.
    with pytest.raises(Conflict) as refused:
        press()
    assert refused.value.state == "starting"
    assert Broadcast.objects.count() == 1
    assert Step.objects.filter(kind="narrate").count() == 1
    assert list(audits.run()) == []


@postgres_only
def test_a_round_whose_connection_is_cut_in_mid_transaction_leaves_nothing_and_is_repeated(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, "poll")
    cut: list[str] = []

    def cut_at_story(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith('INSERT INTO "stories_story"') and not cut:
            cut.append(sql)
            with psycopg.connect(os.environ["DATABASE_URL"]) as other:
                pid = connection.connection.info.backend_pid
                other.execute("SELECT pg_terminate_backend(%s)", [pid])
        return execute(sql, *rest)

    with connection.execute_wrapper(cut_at_story), suppress(DatabaseError):
        run_due_steps(session, "narrate", most=1)
    connection.close()
    assert cut
    assert not Story.objects.exists()
    take_over(session)
    assert Story.objects.count() == 1
    assert list(audits.run()) == []


@sqlite_only
def test_a_full_disk_fails_loudly_and_loses_nothing(
    make_session: MakeSession, go_live: GoLive
) -> None:
    session = make_session(model="extractive")
    go_live(session)
    run_due_steps(session, "poll")
    with connection.cursor() as cursor:
        # The same error as that of a disk without room, at the same places.
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
    fill(session)
    with pytest.raises(OperationalError, match="full"):
        take_over(session)
    written = Story.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")
        cursor.execute("PRAGMA integrity_check")
        assert cursor.fetchone() == ("ok",)
    take_over(session)
    assert Story.objects.count() > written
    assert list(audits.run()) == []


def test_eight_processes_that_write_beside_a_long_reader_are_never_locked_out(
    make_session: MakeSession,
) -> None:
    session = make_session()
    before = SessionStats.objects.get(session=session).last_seq

    def write() -> None:
        for _ in range(15):
            with transaction.atomic():
                # Read, then write: what fails at once where a transaction begins without the lock.
                Session.objects.get(pk=session.pk)
                recorder.record(session, recorder.SESSION_CHANGED, {})

    def read() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM sessions_app_sessionevent")
            # More rows follow, so the reader holds its view of the database until the end.
            cursor.fetchone()
            ended.wait()
        connection.close()

    ended = threading.Event()
    reader = threading.Thread(target=read)
    writers = [forked(write) for _ in range(8)]
    reader.start()
    statuses = {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in writers}
    ended.set()
    reader.join()
    assert statuses == {0}
    assert SessionStats.objects.get(session=session).last_seq == before + 120
    assert list(audits.run()) == []
