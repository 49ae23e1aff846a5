"""Clients that cost as much as they can: bodies, unread frames, floods of messages, over real sockets."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.endtoend.studio_process import (
    PATIENCE,
    ROOT,
    Studio,
    eventually,
    free_port,
    served_by_uvicorn,
)

MB = 1_000_000
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
RECORDING = {"kind": "recording", "locator": "demo"}


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def server(studio: Studio, uvicorn: tuple[Studio, int], request: pytest.FixtureRequest) -> Studio:
    """The studio by each web server that it supports.

    Not under the name of the fixture that it replaces: pytest would take the parameter for that
    one's as well, and start another studio for each value.
    """
    return studio if request.param == "daphne" else uvicorn[0]


@pytest.fixture
def web(studio: Studio, server: Studio, uvicorn: tuple[Studio, int]) -> int:
    """The id of the web process."""
    if server is not studio:
        return uvicorn[1]
    found = [pid for pid, line in studio.children().items() if "daphne" in line]
    assert len(found) == 1
    return found[0]


def memory(pid: int) -> int:
    """The memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def post(studio: Studio, path: str, body: bytes, **headers: str) -> int:
    """Sends a request as a browser would; returns the status, 0 if the connection was cut."""
    return post_by(send_until_answered, studio, path, body, headers)


def post_by(
    send: Callable[[socket.socket, bytes], None],
    studio: Studio,
    path: str,
    body: bytes,
    headers: dict[str, str],
) -> int:
    fields = {"Host": f"127.0.0.1:{studio.port}", "Content-Length": str(len(body)), **headers}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v)
    with socket.create_connection(("127.0.0.1", studio.port), timeout=PATIENCE) as client:
        # The studio answers and stops listening before everything is sent.
        with contextlib.suppress(ConnectionError):
            send(client, head.encode() + b"\r\n" + body)
        with contextlib.suppress(ConnectionError):
            answer = client.recv(4096)
            return int(answer.split(b" ", 2)[1]) if answer else 0
    return 0


def send_until_answered(client: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    client.setblocking(False)
    while left:
        answered, writable, _ = select.select([client], [client], [], PATIENCE)
        if answered or not writable:
            break
        left = left[client.send(left) :]
    client.settimeout(PATIENCE)


def chunked(body: bytes, size: int = 60_000) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.fixture(scope="module")
def watch_path(server: Studio) -> str:
    made = server.create("Hostile", RECORDING, model="extractive")
    shown = server.call("PATCH", f"/api/sessions/{made}", {"visible": True}).body
    return "/watch/" + str(shown["watch_url"]).split("/watch/")[1]


BODIES: dict[str, Callable[[], tuple[bytes, dict[str, str]]]] = {
    "urlencoded": lambda: (b"a=&" * (10 * MB // 3), {"Content-Type": FORM}),
    "parts": lambda: (PART * (10 * MB // len(PART)) + b"--x--\r\n", {"Content-Type": MULTIPART}),
    "one part": lambda: (PART + b"z" * (60 * MB) + b"\r\n--x--\r\n", {"Content-Type": MULTIPART}),
    "json": lambda: (b"[" * (10 * MB), {"Content-Type": "application/json"}),
    "chunked": lambda: (
        chunked(b"a=&" * (10 * MB // 3)),
        {"Content-Type": FORM, "Content-Length": "", "Transfer-Encoding": "chunked"},
    ),
}


# Each place and each kind of body.
LARGE_BODIES = (
    *(("/login/", kind) for kind in BODIES),
    ("/sessions/import/", "one part"),
    ("/sessions/import/", "chunked"),
    ("/api/sessions", "json"),
    ("/api/sessions", "chunked"),
    ("watch", "urlencoded"),
    ("watch", "chunked"),
    ("/no", "parts"),
    ("/no", "chunked"),
)


@pytest.mark.slow
def test_a_large_body_of_anybody_is_refused_before_it_costs_anything(
    server: Studio, web: int, watch_path: str
) -> None:
    before, bodies = memory(web), {kind: make() for kind, make in BODIES.items()}
    for where, kind in LARGE_BODIES:
        path = f"{watch_path}errors/" if where == "watch" else where
        body, headers = bodies[kind]
        costs = list[float]()
        # The process has other work too, so what a body costs is the least of a few tries.
        while len(costs) < 3 and not (costs and costs[-1] < 0.5):
            used = processor_seconds(web)
            # To some places, a client goes on sending when there is an answer.
            send = socket.socket.sendall if where == "/no" else send_until_answered
            assert post_by(send, server, path, body, headers) == 413, (where, kind)
            costs.append(processor_seconds(web) - used)
        assert min(costs) < 0.5, (where, kind)
    assert memory(web) - before < 20 * MB


def request(path: str, body: bytes = b"", lines: str = "", method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


LARGEST = {
    "urlencoded": ("Content-Type: application/x-www-form-urlencoded\r\n", b"a=&" * 2_700),
    "escapes": ("Content-Type: application/x-www-form-urlencoded\r\n", b"%f0=" * 2_000),
    "parts": (f"Content-Type: {MULTIPART}\r\n", PART * (8_000 // len(PART)) + b"--x--\r\n"),
    "json": ("Content-Type: application/json\r\n", b"[" * 8_100),
    "headers": ("".join(f"X-{number}: {'y' * 60}\r\n" for number in range(200)), b""),
    "cookies": ("Cookie: " + "; ".join(f"a{number}=b" for number in range(1_000)) + "\r\n", b""),
    "one header": (f"Accept-Language: {'en,' * 2_500}\r\n", b""),
}


def exchange(studio: Studio, sent: bytes) -> bytes:
    """Sends bytes as they are; returns all that is answered."""
    received = b""
    with socket.create_connection(("127.0.0.1", studio.port), timeout=PATIENCE) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65_536):
                received += part
    return received


def answered(studio: Studio, sent: bytes) -> int:
    """Sends bytes as they are; returns the status of the answer, 0 if there is none."""
    received = exchange(studio, sent)
    return int(received.split(b" ", 2)[1]) if received else 0


@pytest.mark.parametrize("value", ["/elsewhere", "\xfc"])
def test_no_header_of_a_client_moves_the_addresses_of_a_page(
    server: Studio, watch_path: str, value: str
) -> None:
    for path in ("/", "/login/", watch_path):
        answer = exchange(
            server, request(path, lines=f"Daphne-Root-Path: {value}\r\n", method="GET")
        )
        assert int(answer.split(b" ", 2)[1]) in {200, 302}, path
        assert value.encode() not in answer, path


def test_the_largest_request_of_anybody_costs_little_more_than_a_small_one(
    server: Studio, web: int, watch_path: str
) -> None:
    """At most 50 ms of processor time more, and 20 MB over all of them."""
    posts = ("/login/", f"{watch_path}errors/", "/api/sessions", "/sessions/new/", "/no")
    gets = (watch_path, *(f"{watch_path}{rest}" for rest in ("embed/", "feed.atom", "feed.json")))

    def seconds(sent: bytes, statuses: Iterable[int], bound: float = 0) -> float:
        """The least of a few rounds, as the process has other work too."""
        least = math.inf
        for _ in range(3):
            used = processor_seconds(web)
            got = {answered(server, sent) for _ in range(4)}
            assert got <= {*statuses}, got
            least = min(least, (processor_seconds(web) - used) / 4)
            if least < bound:
                break
        return least

    before, costly = memory(web), []
    for path in posts:
        small = seconds(request(path), range(200, 500))
        for kind, (lines, body) in LARGEST.items():
            sent = request(path, body, lines)
            if seconds(sent, (0, *range(200, 500)), small + 0.05) >= small + 0.05:
                costly.append((path, kind))
    for path in gets:
        small = seconds(request(path, method="GET"), (200, 404))
        of_headers = {kind: lines for kind, (lines, body) in LARGEST.items() if not body}
        for kind, lines in {"query": "", **of_headers}.items():
            sent = request(path + "?" + "a=&" * 1_000, b"", lines, "GET")
            if seconds(sent, (0, *range(200, 500)), small + 0.05) >= small + 0.05:
                costly.append((path, kind))
    assert costly == []
    assert memory(web) - before < 20 * MB


@pytest.mark.parametrize("target", ["*", "elsewhere", "?a=b", "#", "localhost:80", "/%00"])
def test_any_target_of_a_request_is_no_error_500(server: Studio, target: str) -> None:
    for method in ("GET", "OPTIONS", "POST"):
        assert answered(server, request(target, method=method)) in {301, 400, 403, 404, 405}


def test_a_claimed_login_does_not_open_the_door(server: Studio) -> None:
    body = b"x" * MB
    for headers in ({"Cookie": "sessionid=abc"}, {"Authorization": "Bearer smnb_abc"}):
        assert post(server, "/sessions/import/", body, **headers) == 413
        assert post(server, "/api/sessions", body, **headers) == 413


def test_small_bodies_reach_their_routes(server: Studio, watch_path: str) -> None:
    assert post(server, "/login/", b"a=b", **{"Content-Type": FORM}) == 403
    report = b"kind=error&message=x&stack=" + b"s" * 20_000
    headers = {"Content-Type": FORM, "Origin": server.url}
    assert post(server, f"{watch_path}errors/", report, **headers) == 204


@pytest.mark.slow
def test_a_person_sends_large_forms_and_uploads_where_they_are_taken(server: Studio) -> None:
    session = server.create("Uploads", RECORDING, model="extractive")
    signed = {"Authorization": f"Bearer {server.token}"}
    as_json = {"Content-Type": "application/json", **signed}
    long = json.dumps({"name": "x", "instructions": "y" * 200_000}).encode()
    assert post(server, "/api/sessions", long, **as_json) == 422
    assert post(server, "/api/sessions", b"[" * (3 * MB), **as_json) == 413
    file = b'--x\r\nContent-Disposition: form-data; name="archive"; filename="a.zip"\r\n\r\n'
    archive = file + b"z" * (6 * MB) + b"\r\n--x--\r\n"
    sent = {"Content-Type": MULTIPART, **signed}
    assert post(server, "/api/imports", archive, **sent) == 422
    chunks = {**sent, "Content-Length": "", "Transfer-Encoding": "chunked"}
    assert post(server, "/api/imports", chunked(archive), **chunks) == 422
    assert post(server, "/api/imports", archive * 10, **sent) == 413
    assert post(server, f"/broadcast/{session}/artifacts/upload/", archive * 10, **sent) == 413


def test_only_the_owner_of_a_session_uploads_to_it(server: Studio) -> None:
    nowhere = "/broadcast/00000000-0000-4000-8000-000000000000/artifacts/upload/"
    signed = {"Authorization": f"Bearer {server.token}", "Content-Type": MULTIPART}
    assert post(server, nowhere, b"z" * MB, **signed) == 413


@contextlib.contextmanager
def deaf(port: int, path: str, **headers: str) -> Iterator[socket.socket]:
    """An open WebSocket that reads nothing beyond the handshake, with a small buffer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", port))
    fields = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    client.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1)
    assert b" 101 " in answer
    with client:
        yield client


def frame(text: bytes, opcode: int = 1) -> bytes:
    """A masked frame of less than 126 bytes."""
    return bytes([0x80 | opcode, 0x80 | len(text), 0, 0, 0, 0]) + text


@pytest.fixture(scope="module")
def long_session(server: Studio) -> str:
    """A session whose frames are together larger than what the system stores for a socket."""
    made = server.create("Long", RECORDING, pace=3600, model="extractive")
    server.command(made, "start")
    server.wait_state(made, "live")
    for number in range(40):
        story = {"title": f"Story {number}", "text": "It is so. " * 400}
        assert server.post(f"/sessions/{made}/stories", story).status == 201
    server.command(made, "stop")
    server.wait_state(made, "idle")
    return made


@pytest.mark.slow
def test_a_viewer_that_asks_and_never_reads_costs_little(
    server: Studio, web: int, long_session: str
) -> None:
    signed = {"Authorization": f"Bearer {server.token}"}
    before = memory(web)
    with contextlib.ExitStack() as opened:
        for _ in range(20):
            client = deaf(server.port, f"/ws/sessions/{long_session}/?format=json", **signed)
            socket_ = opened.enter_context(client)
            with contextlib.suppress(OSError):
                for _ in range(19):
                    socket_.sendall(frame(b'{"after": 0}'))
        used = -1.0
        # Until the process has nothing left to do for them.
        while processor_seconds(web) - used > 0.1:
            used = processor_seconds(web)
            time.sleep(1)
        assert memory(web) - before < 30 * MB
    # On a busy machine the workers may miss the time in which they have to answer once.
    eventually("it is healthy", lambda: server.call("GET", "/healthz").status == 200)


# Events of 15 kB: the system alone stores some megabytes for a client that reads nothing.
EVENTS, EVENT_BYTES = 450, 15_000
RECORD = """
import time
from django.db import transaction
from sessions_app.events import recorder
from sessions_app.models import Message, Session
session = Session.objects.get(pk="{session}")
for _ in range({events} // 5):
    with transaction.atomic():
        for _ in range(5):
            message = Message.objects.create(session=session, role="system", text="x" * {bytes})
            payload = {{"message": recorder.message_payload(message)}}
            recorder.record(session, recorder.MESSAGE_ADDED, payload, messages=1)
    time.sleep(0.02)
"""


@pytest.mark.slow
def test_viewers_that_read_nothing_cost_little_and_delay_no_other(
    server: Studio, web: int, long_session: str
) -> None:
    signed = {"Authorization": f"Bearer {server.token}"}
    path = f"/ws/sessions/{long_session}/?format=json"
    address = f"ws://127.0.0.1:{server.port}{path}"
    with (
        contextlib.ExitStack() as opened,
        connect(address, additional_headers=signed, open_timeout=PATIENCE) as reader,
    ):
        silent = [opened.enter_context(deaf(server.port, path, **signed)) for _ in range(20)]
        before = memory(web)
        record = RECORD.format(session=long_session, events=EVENTS, bytes=EVENT_BYTES)
        with ThreadPoolExecutor(1) as beside:
            recorded = beside.submit(server.manage, "shell", "-c", record)
            seen = [json.loads(reader.recv(timeout=PATIENCE))["seq"] for _ in range(EVENTS)]
        assert recorded.result().returncode == 0
        assert seen == list(range(seen[0], seen[0] + EVENTS))
        assert memory(web) - before < 20 * MB
        for client in silent[:2]:
            # It was cut, or gets all of it as soon as it reads.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MB)
            received, is_open = 0, True
            with contextlib.suppress(ConnectionError):
                while is_open and received < EVENTS * EVENT_BYTES:
                    is_open = bool(part := client.recv(65_536))
                    received += len(part)


@pytest.mark.slow
def test_a_page_that_missed_much_still_gets_all_of_it_slowly(
    server: Studio, long_session: str
) -> None:
    address = f"ws://127.0.0.1:{server.port}/ws/sessions/{long_session}/?format=json"
    signed = {"Authorization": f"Bearer {server.token}"}
    last = server.items(long_session, "events")[0]["seq"]
    with connect(address, additional_headers=signed, open_timeout=PATIENCE) as client:
        client.send('{"after": 0}')
        seen: list[int] = []
        while not seen or seen[-1] < last:
            time.sleep(0.01)
            if seq := json.loads(client.recv(timeout=PATIENCE))["seq"]:
                seen.append(seq)
    assert seen == list(range(seen[0], last + 1))


@contextlib.contextmanager
def impatient(studio: Studio, by_uvicorn: bool) -> Iterator[int]:
    """Another web process that asks for a pong each second; gives its port."""
    if by_uvicorn:
        with served_by_uvicorn(studio, "--ws-ping-interval=1", "--ws-ping-timeout=3") as (found, _):
            yield found.port
        return
    port = free_port()
    options = ["-e", f"tcp:{port}:interface=127.0.0.1", "--ping-interval=1", "--ping-timeout=3"]
    command = [sys.executable, "-m", "daphne", "-v", "0", *options, "smnb.asgi:application"]
    process = subprocess.Popen(command, cwd=ROOT, env=studio.env)
    try:
        eventually("it answers", lambda: listens(port))
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.slow
def test_only_a_pong_counts_as_a_pong(studio: Studio, server: Studio, watch_path: str) -> None:
    """A client sends messages instead."""
    with impatient(studio, server is not studio) as port, deaf(port, f"/ws{watch_path}") as client:
        client.settimeout(0.1)

        def is_over() -> bool:
            with contextlib.suppress(TimeoutError):
                try:
                    client.sendall(frame(b'{"after": 999999}'))
                    return not client.recv(65_536)
                except ConnectionError:
                    return True
            time.sleep(0.6)
            return False

        eventually("it is cut", is_over, patience=60)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def closing_code(client: ClientConnection) -> int | None:
    """The code with which the studio closes a socket; None when it is cut without one."""
    try:
        while True:
            client.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_a_flood_of_messages_ends_the_socket(server: Studio, watch_path: str) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws{watch_path}", open_timeout=PATIENCE) as client:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(3000):
                client.send('{"after": 999999}')
        assert closing_code(client) in {4013, None}


TINY = {
    "pings": frame(b"", 9),
    "pongs": frame(b"", 10),
    # A message that never ends, in pieces of nothing and of one byte.
    "nothing": b"\x00\x80\x00\x00\x00\x00",
    "bytes": b"\x00\x81\x00\x00\x00\x00x",
}


def test_a_flood_of_tiny_frames_ends_the_socket(server: Studio, watch_path: str) -> None:
    with contextlib.ExitStack() as opened:
        clients = {
            kind: opened.enter_context(deaf(server.port, f"/ws{watch_path}")) for kind in TINY
        }
        for kind, client in clients.items():
            begin = b"\x01\x80\x00\x00\x00\x00" if kind in ("nothing", "bytes") else b""
            with contextlib.suppress(ConnectionError):
                client.sendall(begin + TINY[kind] * 5_000)
        for client in clients.values():
            with contextlib.suppress(ConnectionError):
                while client.recv(65_536):
                    pass


def test_a_message_of_a_megabyte_is_not_received(server: Studio, watch_path: str) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws{watch_path}", open_timeout=PATIENCE) as client:
        with contextlib.suppress(ConnectionClosed):
            client.send("x" * MB)
        assert closing_code(client) in {1009, None}
