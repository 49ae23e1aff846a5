"""The endless MP3 over a raw socket, as a smart speaker asks for it, from both web servers."""

from __future__ import annotations

import re
import socket
from typing import BinaryIO

import pytest

from tests.broadcast.stream.listening import samples
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.slow

RECORDING = {"kind": "recording", "locator": "demo"}


def tune_in(port: int, path: str) -> tuple[BinaryIO, dict[str, str]]:
    """An open stream with titles; returns it with the headers of the answer."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(f"GET {path} HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n".encode())
    file = connection.makefile("rb")
    connection.close()
    assert b" 200 " in file.readline()
    headers = {}
    while line := file.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return file, headers


def play(file: BinaryIO, seconds: int) -> tuple[bytes, list[str]]:
    """Reads so much of the sound; returns it with the titles that came with it."""
    sound, titles = b"", []
    for _ in range(seconds // 2):
        sound += file.read(16_000)
        block = file.read(16 * file.read(1)[0])
        titles += re.findall(r"StreamTitle='(.*?)';StreamUrl='(?:.*?)/cover.png';", block.decode())
    return sound, titles


def test_speakers_hear_one_stream_from_both_servers_until_the_link_is_revoked(
    studio: Studio, uvicorn: tuple[Studio, int]
) -> None:
    other = uvicorn[0]
    session = studio.create("Harbour radio", RECORDING, model="extractive")
    shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
    path = "/watch/" + str(shown["watch_url"]).split("/watch/")[1]
    assert studio.call("GET", f"{path}stream.m3u8").body.startswith("#EXTM3U")
    first, headers = tune_in(studio.port, f"{path}stream.mp3")
    second, _ = tune_in(other.port, f"{path}stream.mp3")
    assert headers["content-type"] == "audio/mpeg"
    assert headers["icy-name"] == "Harbour radio"
    assert headers["icy-description"] == "Written and read by software"
    assert (headers["icy-metaint"], headers["icy-br"]) == ("16000", "64")
    assert headers["referrer-policy"] == "no-referrer"
    sound, titles = play(first, 14)
    assert titles[0].startswith("Harbour radio")
    again, _ = play(second, 14)
    # Both begin with the slot before the live one.
    slots = [{data[:48_000], data[48_000:96_000]} for data in (sound, again)]
    assert slots[0] & slots[1]
    decoded = samples(sound)
    assert abs(len(decoded) / 24_000 - 14) < 0.1
    assert len(set(decoded[: 24_000 * 2])) > 1000
    folder = studio.data / "streams" / session
    names = [file.name.split("-")[0] for file in folder.glob("[0-9]*.mp3")]
    assert len(names) == len(set(names))
    studio.call("PATCH", f"/api/sessions/{session}", {"visible": False})
    # The rest of the slots that were sent already, and then the end.
    for file in (first, second):
        assert len(file.read()) < 48_000 * 3
    gone = studio.call("GET", f"{path}stream.m3u8")
    assert gone.status == 404
    eventually("the files are removed", lambda: not folder.exists())
