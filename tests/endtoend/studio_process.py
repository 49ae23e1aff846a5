"""A real studio: ``manage.py studio`` with its own data folder, talked to over HTTP and sockets."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener
from uuid import uuid4

from tests.template_database import copy_migrated_sqlite

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a-password-for-the-suite"
# Only a failure waits that long, and some machines are slow.
PATIENCE = 120.0

Json = Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(what: str, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait until ``condition`` gives something true, and return it; fails with ``what``."""
    deadline, pause = time.monotonic() + patience, 0.05
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(pause)
        # Each look costs processor time that what is waited for needs on a busy machine.
        pause = min(1.5 * pause, 0.5)
    raise AssertionError(f"not within {patience:g} s: {what}")


@dataclass
class Answer:
    status: int
    body: Json
    headers: dict[str, str]


@dataclass
class Studio:
    """A running studio and how to talk to it as its owner."""

    port: int
    data: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path
    # Below which process all others of the studio are, if not below its own.
    root: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def token(self) -> str:
        """A bearer token of the owner, made as a person would make it: signed in, on a page."""
        cookies = CookieJar()
        browser = build_opener(HTTPCookieProcessor(cookies))
        browser.open(f"{self.url}/login/", timeout=PATIENCE)
        for path, fields in (
            ("/login/", {"username": "studio", "password": PASSWORD}),
            ("/account/tokens/", {"name": "tests"}),
        ):
            proof = next(cookie.value for cookie in cookies if cookie.name == "csrftoken")
            sent = urlencode({**fields, "csrfmiddlewaretoken": proof}).encode()
            answer = browser.open(self.url + path, sent, timeout=PATIENCE).read().decode()
        found = re.search(r'id="new-token" type="text" value="([^"]+)"', answer)
        assert found, answer
        return found[1]

    def call(self, method: str, path: str, body: Json = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        sent = {"Authorization": f"Bearer {self.token}"} if path.startswith("/api") else {}
        sent |= headers
        data = None if body is None else json.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body=data, headers=sent)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        kind = response.headers.get("Content-Type", "")
        found = json.loads(text) if "json" in kind else text.decode()
        return Answer(response.status, found, dict(response.headers))

    def get(self, path: str) -> Json:
        answer = self.call("GET", f"/api{path}")
        assert answer.status == 200, (path, answer)
        return answer.body

    def post(self, path: str, body: Json = None, **headers: str) -> Answer:
        return self.call("POST", f"/api{path}", body if body is not None else {}, **headers)

    def create(self, name: str, *sources: dict[str, str], **settings: Json) -> str:
        answer = self.post(
            "/sessions", {"name": name, "sources": list(sources), "settings": settings}
        )
        assert answer.status == 201, answer
        return str(answer.body["id"])

    def command(self, session: str, command: str) -> Answer:
        return self.post(f"/sessions/{session}/broadcast", {"command": command})

    def stats(self, session: str) -> Json:
        return self.get(f"/sessions/{session}/stats")

    def items(self, session: str, what: str) -> list[Json]:
        """All rows of one kind, page by page."""
        found: list[Json] = []
        cursor = ""
        while True:
            page = self.get(f"/sessions/{session}/{what}?limit=500&cursor={cursor}")
            found += page["items"]
            cursor = page["next"]
            if not cursor:
                return found

    def wait_state(self, session: str, state: str) -> None:
        eventually(f"{session} is {state}", lambda: self.stats(session)["broadcast_state"] == state)

    def wait_stories(self, session: str, number: int) -> None:
        eventually(f"{number} stories", lambda: self.stats(session)["story_count"] >= number)

    def wait_filed(self, session: str) -> None:
        """A run that told something asks once more when it has ended: for its recap."""

        def seen(type_: str) -> bool:
            return any(event["type"] == type_ for event in self.items(session, "events"))

        if seen("story.aired"):
            eventually("the recap is filed", lambda: seen("recap.ready"))

    def manage(self, *args: str, seconds: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """A management command beside the running studio, as a person would call it."""
        return subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env=self.env,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def audit(self) -> None:
        found = self.manage("audit_sessions")
        assert found.returncode == 0, found.stdout + found.stderr

    def children(self) -> dict[int, str]:
        """Process ids and command lines of everything below the studio."""
        table: dict[int, tuple[int, str]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                table[int(folder.name)] = (int(stat[1]), line)
        found: dict[int, str] = {}
        grown = {self.root or self.process.pid}
        while grown:
            grown = {pid for pid, (parent, _) in table.items() if parent in grown}
            found |= {pid: table[pid][1] for pid in grown}
        return found

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)


def environment(data: Path, port: int, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMNB_", "DATABASE_URL"))}
    return kept | {
        "PORT": str(port),
        "SMNB_DATA_DIR": str(data),
        "SMNB_OWNER_PASSWORD": PASSWORD,
        "SMNB_POLL_SECONDS": "0.3",
        "SMNB_ALLOW_PRIVATE_FEEDS": "1",
        "SMNB_HOST_SLOTS": "2",
        "SMNB_LOG": "info",
        "SMNB_LIMIT_READS": "0",
        "SMNB_LIMIT_WRITES": "0",
        "SMNB_LIMIT_GO_LIVE": "0",
        "SMNB_LIMIT_FEEDS": "0",
        "SMNB_DEMO": "0",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def migrated(data: Path) -> Path:
    """The data folder, with a copy of a migrated database in it."""
    copy_migrated_sqlite(data / "smnb.sqlite3")
    return data


def start(data: Path, **more: str) -> Studio:
    """Start a studio and wait until it answers; its log is a file beside its data folder."""
    port = int(more.get("PORT") or free_port())
    env = environment(data, port, **more)
    log = data.parent / f"studio-{uuid4().hex[:6]}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "studio"], cwd=ROOT, env=env, stdout=out, stderr=out
        )
    studio = Studio(port, data, env, process, log)
    try:
        eventually("the studio answers", lambda: answers(studio))
    except BaseException:
        studio.stop()
        raise
    return studio


def answers(studio: Studio) -> bool:
    """Whether all parts of the studio are ready."""
    if studio.process.poll() is not None:
        raise AssertionError("the studio ended:\n" + studio.log.read_text()[-3000:])
    try:
        return studio.call("GET", "/healthz").status == 200
    except OSError:
        return False


@contextmanager
def served_by_uvicorn(studio: Studio, *options: str, **env: str) -> Iterator[tuple[Studio, int]]:
    """A second web process of the studio, as docs/operations.md starts it; and its process id."""
    port = int(env.get("PORT") or free_port())
    command = [sys.executable, "-m", "uvicorn", "smnb.asgi:application", f"--port={port}"]
    bounds = [
        "--ws-per-message-deflate=false",
        "--timeout-graceful-shutdown=1",
        "--log-level=warning",
    ]
    with studio.log.open("ab") as out:
        process = subprocess.Popen(
            [*command, *bounds, *options], cwd=ROOT, env=studio.env | env, stdout=out, stderr=out
        )
    found = replace(studio, port=port)
    found.token = studio.token
    try:
        eventually("uvicorn answers", lambda: answers(found))
        yield found, process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def running(data: Path, **more: str) -> Iterator[Studio]:
    """A studio that is stopped at the end."""
    studio = start(data, **more)
    try:
        yield studio
    finally:
        studio.stop()
