"""Records the audio stream of a session on air while its worker and its web process are killed.

One listener follows the HLS playlist as a player does, another one reads the endless MP3 from a raw
socket. Nothing may be missing, twice, out of order or silent.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from broadcast.speech.engines import without_tag
from tests.broadcast.stream.listening import envelope, longest_silence, measured, samples
from tests.chaos.kills import LINES, parent_of
from tests.endtoend.studio_process import Studio, migrated, running
from tests.standins.feeds import FeedStandIn

SEGMENT = re.compile(r"(\d+)-[0-9a-f]{12}\.mp3")
STORY = re.compile(r'#EXT-X-DATERANGE:ID="(story-\d+)".*?X-TITLE="([^"]*)"')
CUE = re.compile(r"^00:00:([\d.]+) --> 00:00:([\d.]+)\n((?:.+\n?)+)", re.MULTILINE)
BYTES_A_SECOND, SLOT_SECONDS = 8_000, 6
VICTIMS = ("control", "pool child", "web")
# The supervisor pauses for longer after each death of a process that was young.
EVERY = 40.0


@dataclass(eq=False)
class Hls(threading.Thread):
    """A player of the playlist: it asks every two seconds and loads what is new."""

    port: int
    path: str
    ended: threading.Event
    segments: dict[int, bytes] = field(default_factory=dict)
    stories: dict[str, str] = field(default_factory=dict)
    # Captions by their begin, each with its end.
    cues: dict[float, tuple[float, str]] = field(default_factory=dict)
    failures: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        while not self.ended.wait(2):
            try:
                self.follow()
            except (OSError, http.client.HTTPException):
                self.failures += 1

    def get(self, name: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request("GET", self.path + name)
            response = connection.getresponse()
            data = response.read()
            if response.status != 200:
                raise http.client.HTTPException(str(response.status))
            return data
        finally:
            connection.close()

    def follow(self) -> None:
        text = self.get("stream/audio.m3u8").decode()
        for line in text.splitlines():
            if (segment := SEGMENT.fullmatch(line)) and int(segment[1]) not in self.segments:
                sound, words = (self.get(f"stream/{line[:-3]}{kind}") for kind in ("mp3", "vtt"))
                slot = int(segment[1])
                self.segments[slot] = without_tag(sound)
                for begin, end, text in CUE.findall(words.decode()):
                    # One that began in an earlier segment begins at 0 here.
                    if float(begin):
                        begins, ends = (slot * SLOT_SECONDS + float(at) for at in (begin, end))
                        self.cues[begins] = (ends, text)
            elif story := STORY.match(line):
                self.stories[story[1]] = story[2]


@dataclass(eq=False)
class Radio(threading.Thread):
    """A smart speaker: one socket, opened again when it breaks; it notes how much it has to play."""

    port: int
    path: str
    ended: threading.Event
    lowest: float = 0.0
    received: int = 0
    titles: list[str] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        began = 0.0
        while not self.ended.is_set():
            with (
                suppress(OSError, ValueError),
                socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection,
            ):
                request = f"GET {self.path}stream.mp3 HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n"
                connection.sendall(request.encode())
                file = connection.makefile("rb")
                head = {}
                if b" 200 " not in file.readline():
                    raise ValueError("refused")
                while line := file.readline().strip():
                    name, _, value = line.decode().partition(": ")
                    head[name.lower()] = value
                interval = int(head["icy-metaint"])
                self.connections += 1
                began = began or time.monotonic()
                while not self.ended.is_set():
                    for _ in range(interval // 1000):
                        if len(file.read(1000)) < 1000:
                            raise ValueError("ended")
                        self.received += 1000
                        left = self.received / BYTES_A_SECOND - (time.monotonic() - began)
                        self.lowest = min(self.lowest, left)
                    block = file.read(16 * file.read(1)[0])
                    if title := re.search(rb"StreamTitle='(.*?)';", block):
                        self.titles.append(title[1].decode())
            time.sleep(0.3)


def kill(studio: Studio, kind: str, chance: random.Random) -> bool:
    """Kills a process of the kind, or a child of a worker; returns whether one runs."""
    children = studio.children()
    line = LINES["control" if kind == "pool child" else kind]
    own = [p for p, text in children.items() if line in text and parent_of(p) == studio.process.pid]
    found = [p for p in children if parent_of(p) in own] if kind == "pool child" else own
    for pid in chance.sample(sorted(found), min(1, len(found))):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def record(seconds: int, seed: int, folder: Path) -> tuple[list[tuple[str, object]], list[str]]:
    """Records for so long; returns the figures and what is wrong."""
    chance, ended, killed = random.Random(seed), threading.Event(), []
    with FeedStandIn() as feeds, running(migrated(folder / "var")) as studio:
        source = {"kind": "rss", "locator": feeds.publish_distinct("radio", 90)}
        session = studio.create("Radio", source, model="extractive", pace=220)
        shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
        path = "/watch/" + str(shown["watch_url"]).split("/watch/")[1]
        assert studio.command(session, "start").status == 202
        studio.wait_stories(session, 2)
        hls, radio = Hls(studio.port, path, ended), Radio(studio.port, path, ended)
        hls.start()
        radio.start()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(EVERY, left))
            if left > EVERY:
                kind = chance.choice(VICTIMS)
                killed += [kind] if kill(studio, kind, chance) else []
        ended.set()
        hls.join(20)
        radio.join(20)
        aired = [
            str(event["data"]["story"]["title"])
            # The newest comes first.
            for event in reversed(studio.items(session, "events"))
            if event["type"] == "story.aired"
        ]
    return judge(hls, radio, aired, killed)


def furthest_caption(
    cues: dict[float, tuple[float, str]], loudness: list[float], first: float
) -> float:
    """How far a caption that begins a sentence is from where the voice begins after its pause.

    The loudness is that of the recording, twenty times a second, and begins at ``first``. Before the
    first sentence of a story there may be another sound and no pause. Of a sentence that begins where
    the recording ends, the voice may come after it.
    """
    last = first + len(loudness) / 20 - 0.5
    quiet = [value < 60 for value in loudness]
    onsets = [
        first + at / 20 for at in range(3, len(quiet)) if not quiet[at] and all(quiet[at - 3 : at])
    ]
    sentences = [
        begin
        for before, begin in pairwise(sorted(cues))
        if begin - cues[before][0] < 0.5 and cues[before][1].strip()[-1:] in ".!?" and begin < last
    ]
    return round(max(min(abs(begin - onset) for onset in onsets) for begin in sentences), 2)


def judge(
    hls: Hls, radio: Radio, aired: list[str], killed: list[str]
) -> tuple[list[tuple[str, object]], list[str]]:
    slots = sorted(hls.segments)
    missing = sorted(set(range(slots[0], slots[-1] + 1)) - set(slots))
    sound = samples(b"".join(hls.segments[slot] for slot in slots))
    loud = envelope(sound)
    silence, (loudness, peak) = longest_silence(loud), measured(sound)
    # A missing segment would move all that follow it.
    furthest = furthest_caption(hls.cues, loud, slots[0] * SLOT_SECONDS) if not missing else 0.0
    heard = [hls.stories[key] for key in sorted(hls.stories)]
    first = aired.index(heard[0]) if heard and heard[0] in aired else 0
    figures: list[tuple[str, object]] = [
        ("killed", ", ".join(killed)),
        ("segments", len(slots)),
        ("stories heard", len(heard)),
        ("longest silence, s", silence),
        ("loudness, LUFS", loudness),
        ("true peak", peak),
        ("captions", len(hls.cues)),
        ("furthest caption from its words, s", furthest),
        ("failed requests of the player", hls.failures),
        ("connections of the speaker", radio.connections),
        ("its shortest buffer, s", round(radio.lowest, 2)),
        ("titles in it", len(radio.titles)),
    ]
    faults = []
    if missing:
        faults.append(f"segments are missing: {missing}")
    if silence >= 2:
        faults.append(f"{silence} s of silence")
    if heard != aired[first : first + len(heard)] or not heard:
        faults.append(f"heard {heard} of {aired}")
    if len(aired) - first - len(heard) > 6:
        faults.append(f"the stream is behind by {len(aired) - first - len(heard)} stories")
    if furthest > 0.5:
        faults.append(f"a caption is {furthest} s from its words")
    if radio.lowest < -2:
        faults.append(f"the speaker had nothing to play for {-radio.lowest:.1f} s")
    if not -17 <= loudness <= -15 or peak > 0.891:
        faults.append(f"{loudness} LUFS with a peak of {peak}")
    return figures, faults
