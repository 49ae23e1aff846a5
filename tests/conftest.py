"""The cast: an owner, a stranger and an editor on the staff; sessions; real Redis for everybody."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections, transaction
from django.template import Template
from django.test import Client, TransactionTestCase, override_settings
from whitenoise.middleware import WhiteNoiseMiddleware

from sessions_app import commands, context, rate_limits, sessions
from sessions_app.background import sending, steps, sweeper
from sessions_app.events import recorder
from sessions_app.models import Session, Step
from sessions_app.session_logs import catalog
from smnb.runner.redis_server import EmbeddedRedis
from stories.models import Source, SourcePost
from stories.posts import queue
from stories.sources import service
from stories.sources.service import SourceSpec
from stories.types import FetchedPost
from tests.environment import DATA
from tests.table_cleanup import empty_after_a_test
from tests.template_database import copy_migrated_sqlite

MakeSession = Callable[..., Session]

# Before Django's test environment replaces it.
TEMPLATE_RENDER = Template._render  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def redis_server() -> Iterator[EmbeddedRedis]:
    """The real server, as the studio would start it."""
    server = EmbeddedRedis(DATA)
    server.prepare()
    with subprocess.Popen(server.command()) as process:
        deadline = time.monotonic() + 60
        while not server.is_ready():
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.02)
        yield server
        process.terminate()
    server.remove()


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """The suite's databases are thrown away: no commit waits for a disk, no emptying for all tables."""
    options = connections["default"].settings_dict["OPTIONS"]
    with pytest.MonkeyPatch.context() as patch:
        if pragmas := options.get("init_command"):
            patch.setitem(options, "init_command", f"{pragmas} PRAGMA synchronous=OFF;")
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_after_a_test)
        # No test leaves a setting on its connection, which would be opened again after each.
        patch.setattr(TransactionTestCase, "_should_reload_connections", lambda case: False)
        yield


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """SQLite begins with a copy of the migrated template, which pytest-django then keeps."""
    connection = connections["default"]
    if connection.vendor == "sqlite":
        copy_migrated_sqlite(Path(connection.settings_dict["TEST"]["NAME"]))
    return connection.vendor == "sqlite"


@pytest.fixture(scope="session", autouse=True)
def static_files_found_once() -> Iterator[None]:
    """Each test client makes the middleware again, which looks at every static file."""
    found: dict[str, Any] = {}
    find = WhiteNoiseMiddleware.add_files_from_finders

    def find_once(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            find(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", find_once)
        yield


@pytest.fixture(autouse=True)
def clean_start() -> Iterator[None]:
    """Without the files of an earlier test, whose rows are rolled back, and its log context.

    Nor is there the pause after its Redis failed, in which nothing is counted.
    """
    shutil.rmtree(DATA / "artifacts", ignore_errors=True)
    rate_limits._paused["until"] = 0.0
    with context.scope():
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_of_a_whole_studio(django_test_environment: None) -> Iterator[None]:
    """What only a whole studio needs, and would cost each test time."""
    rounds = [each for each in sweeper._rounds if not isinstance(each, catalog.CatalogRound)]
    with (
        # Slow hashes protect real passwords.
        override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]),
        pytest.MonkeyPatch.context() as patch,
    ):
        # Without a worker, pokes would only pile up in the broker.
        patch.setattr(sending, "_poker", [])
        # A sweep would find, now and then, the log files of whatever test came before.
        patch.setattr(sweeper, "_rounds", rounds)
        # Django copies the context of each template and of each icon for tests that compare them.
        patch.setattr(Template, "_render", TEMPLATE_RENDER)
        yield


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("olga", password="olga-has-a-password")


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("stanislaw", password="another-password")


@pytest.fixture
def editor(db: None) -> User:
    """Somebody on the staff, who may use the admin."""
    return User.objects.create_superuser("edith", password="edith-has-a-password")


@pytest.fixture
def make_session(owner: User) -> MakeSession:
    """Make a session of the owner; ``recording`` gives it the recording as its source."""

    def make(name: str = "Morning", *, recording: bool = True, **settings_: Any) -> Session:
        session = sessions.create(owner, name, {"pace": 0, **settings_}, None)
        if recording:
            service.add(session, SourceSpec(kind="recording", locator="demo"))
        return session

    return make


@pytest.fixture
def session(make_session: MakeSession) -> Session:
    return make_session()


@pytest.fixture
def source(session: Session) -> Source:
    return Source.objects.get(session=session)


@pytest.fixture
def post(source: Source) -> SourcePost:
    """A post that waits in the queue."""
    return make_post(source, "t1", "A lighthouse is lit again after forty years")


def make_post(source: Source, key: str, title: str, body: str = "") -> SourcePost:
    fetched = FetchedPost(key, title, body=body or f"{title}. The keeper said so on Monday.")
    with transaction.atomic():
        added = queue.add(source, [fetched], steps.now())
        recorder.record(source.session, service.POLLED, {"queue": []}, feed=1, queue=added.queued)
    return added.posts[0]


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """A browser in which this person is signed in, by one row instead of all that signing in does."""

    def signed_in(user: User) -> Client:
        stored = SessionStore()
        stored[SESSION_KEY] = str(user.pk)
        stored[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        stored[HASH_SESSION_KEY] = user.get_session_auth_hash()
        stored.create()
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = str(stored.session_key)
        return client

    return signed_in


@pytest.fixture
def go_live() -> Callable[[Session], Any]:
    """Go Live as the owner does, without a worker: the steps wait in the database."""
    return lambda session: commands.run("broadcast.start", session.owner, session, {})


def run_due_steps(session: Session, kind: str = "", most: int = 24) -> int:
    """Do what the workers would do with the steps that are due now; returns how many ran."""
    ran = 0
    while ran < most:
        # What is due at once is so in a moment: the clock of SQLite has whole milliseconds.
        moment = steps.now() + timedelta(milliseconds=5)
        due = Step.objects.filter(session=session, state=Step.State.PENDING, due_at__lte=moment)
        step = (due.filter(kind=kind) if kind else due).order_by("due_at", "pk").first()
        if step is None:
            return ran
        time.sleep(max(0.0, (step.due_at - steps.now()).total_seconds()))
        steps.run(step.pk)
        ran += 1
    return ran


@pytest.fixture
def work() -> Callable[..., int]:
    return run_due_steps
