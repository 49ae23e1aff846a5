"""Sockets against a real web process: who may listen, in which order things arrive, what a gap costs."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.endtoend.studio_process import (
    PASSWORD,
    PATIENCE,
    ROOT,
    Studio,
    eventually,
    free_port,
)

RECORDING = {"kind": "recording", "locator": "demo"}


@contextmanager
def listening(studio: Studio, path: str, **headers: str) -> Iterator[ClientConnection]:
    address = f"ws://127.0.0.1:{studio.port}{path}"
    with connect(
        address, additional_headers=headers, open_timeout=PATIENCE, max_size=2**20
    ) as socket:
        yield socket


def owner_socket(studio: Studio, session: str, query: str = "?format=json") -> Any:
    authorization = {"Authorization": f"Bearer {studio.token}"}
    return listening(studio, f"/ws/sessions/{session}/{query}", **authorization)


def frames(socket: ClientConnection, until: str) -> list[dict[str, Any]]:
    """Read stored frames until one of type ``until`` has come."""
    found: list[dict[str, Any]] = []
    while True:
        frame = json.loads(socket.recv(timeout=PATIENCE))
        if frame["seq"] is not None:
            found.append(frame)
        if frame["type"] == until:
            return found


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def server(studio: Studio, uvicorn: tuple[Studio, int], request: pytest.FixtureRequest) -> Studio:
    """The studio by each web server that it supports."""
    return studio if request.param == "daphne" else uvicorn[0]


@pytest.fixture
def session(studio: Studio) -> Iterator[str]:
    made = studio.create("Sockets", RECORDING, pace=0, model="extractive")
    yield made
    studio.command(made, "stop")
    studio.wait_state(made, "idle")


def test_frames_arrive_in_order_and_without_a_gap(
    studio: Studio, server: Studio, session: str
) -> None:
    with owner_socket(server, session) as socket:
        studio.command(session, "start")
        found = frames(socket, "story.written")
    assert all(after["prev"] == before["seq"] for before, after in itertools.pairwise(found))
    assert {frame["session"] for frame in found} == {session}


def test_the_text_of_a_narration_comes_as_ephemeral_frames(studio: Studio, session: str) -> None:
    with owner_socket(studio, session) as socket:
        studio.command(session, "start")
        frame = None
        while frame is None or frame["type"] != "narration.delta":
            frame = json.loads(socket.recv(timeout=PATIENCE))
    assert frame["seq"] is None
    assert frame["data"]["text"]


def test_what_was_missed_is_answered_by_the_same_frames(
    studio: Studio, server: Studio, session: str
) -> None:
    with owner_socket(server, session) as socket:
        studio.command(session, "start")
        live = frames(socket, "story.written")
    with owner_socket(server, session) as socket:
        socket.send(json.dumps({"after": live[0]["seq"] - 1}))
        again: list[dict[str, Any]] = []
        while len(again) < len(live):
            frame = json.loads(socket.recv(timeout=PATIENCE))
            # The session is on air: a newer event may come before the answer.
            if frame["seq"] is not None and frame["seq"] <= live[-1]["seq"]:
                again.append(frame)
    assert again == live


def test_the_audience_sees_only_what_is_public(studio: Studio, session: str) -> None:
    shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
    path = "/ws/watch/" + shown["watch_url"].split("/watch/")[1] + "?format=json"
    with listening(studio, path, Origin="https://elsewhere.example") as socket:
        studio.command(session, "start")
        found = frames(socket, "story.finished")
    assert {frame["type"] for frame in found} <= {
        "broadcast.state",
        "sound.ready",
        "story.aired",
        "story.finished",
        "story.released",
    }
    assert "figures" not in json.dumps(found)
    # The model of a story is disclosed to the audience; what it cost and what it was asked is not.
    assert not {"cost", "note", "instructions"} & set(re.findall(r'"(\w+)":', json.dumps(found)))


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Writes a key and its certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate = made.add_extension(address, critical=False).sign(key, hashes.SHA256())
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return folder / "key.pem", folder / "certificate.pem"


def test_frames_arrive_over_tls_too(studio: Studio, session: str, tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path)
    port = free_port()
    where = f"ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    command = [sys.executable, "-m", "daphne", "-v", "0", "-e", where, "smnb.asgi:application"]
    with subprocess.Popen(command, cwd=ROOT, env=studio.env) as web:

        def opened() -> ClientConnection | None:
            try:
                return connect(
                    f"wss://127.0.0.1:{port}/ws/sessions/{session}/?format=json",
                    ssl=ssl.create_default_context(cafile=certificate),
                    additional_headers={"Authorization": f"Bearer {studio.token}"},
                )
            except ConnectionError:
                return None

        try:
            with eventually("it answers", opened) as socket:
                studio.command(session, "start")
                found = frames(socket, "story.written")
        finally:
            web.terminate()
    assert all(after["prev"] == before["seq"] for before, after in itertools.pairwise(found))


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:1", "null", "https://127.0.0.1"]
)
def test_a_cookie_socket_from_a_foreign_origin_is_refused(
    server: Studio, session: str, origin: str
) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        listening(server, f"/ws/sessions/{session}/", Origin=origin),
    ):
        pass
    assert refused.value.response.status_code == 403


def closed_with(socket: ClientConnection) -> int:
    """The code with which the studio closes the socket, whatever comes before."""
    try:
        while True:
            socket.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


def test_nobody_listens_without_signing_in(studio: Studio, session: str) -> None:
    with listening(studio, f"/ws/sessions/{session}/", Origin=studio.url) as socket:
        assert closed_with(socket) == 4401


def test_a_session_that_is_not_ones_own_does_not_exist(studio: Studio) -> None:
    with owner_socket(studio, "00000000-0000-4000-8000-000000000000") as socket:
        assert closed_with(socket) == 4404


@pytest.mark.parametrize("junk", ["", "{", "[]", '{"after": "1"}', '{"after": true}', "x" * 5000])
def test_whoever_sends_anything_else_is_closed(studio: Studio, session: str, junk: str) -> None:
    with owner_socket(studio, session) as socket:
        socket.send(junk)
        assert closed_with(socket) == 4400


def test_a_socket_with_an_unknown_path_is_refused_with_404(server: Studio) -> None:
    logged = len(server.log.read_text())
    unknown = ["/", "/ws/", "/ws/no/", "/ws/sessions/1/", "/ws/watch/a/b/", "/ws/%00%0A%E2%82%AC/"]
    for path in unknown:
        with pytest.raises(InvalidStatus) as refused, listening(server, path):
            pass
        assert refused.value.response.status_code == 404, path
    # Daphne would note an error of the application within a second.
    time.sleep(1.5)
    assert "Traceback" not in server.log.read_text()[logged:]


@pytest.mark.parametrize("name", ["Sec-WebSocket-Protocol", "Daphne-Root-Path", "Cookie"])
@pytest.mark.parametrize("value", ["\xfc", "/other"])
def test_any_value_of_a_header_opens_the_socket(studio: Studio, name: str, value: str) -> None:
    with listening(studio, "/ws/watch/none/", **{name: value}) as socket:
        assert closed_with(socket) == 4404


def test_closing_the_watch_page_closes_its_sockets(
    studio: Studio, server: Studio, session: str
) -> None:
    shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
    path = "/ws/watch/" + shown["watch_url"].split("/watch/")[1]
    with listening(server, path) as socket:
        studio.call("PATCH", f"/api/sessions/{session}", {"visible": False})
        assert closed_with(socket) == 4404
    assert studio.call("GET", path.replace("/ws", "")).status == 404


def test_a_dead_redis_costs_the_viewers_a_moment_and_nothing_else(
    studio: Studio, session: str
) -> None:
    with owner_socket(studio, session) as socket:
        server = [pid for pid, line in studio.children().items() if "redis-server" in line]
        os.kill(server[0], signal.SIGKILL)
        assert studio.command(session, "start").status == 202
        found = frames(socket, "story.written")
    assert all(after["prev"] == before["seq"] for before, after in itertools.pairwise(found))
    eventually("healthy again", lambda: studio.call("GET", "/healthz").status == 200)


def test_the_password_of_the_first_run_opens_the_studio(studio: Studio) -> None:
    assert studio.call("GET", "/login/").status == 200
    assert PASSWORD not in studio.log.read_text()
