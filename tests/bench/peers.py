"""Ours beside other software on the same work; each of it is installed into a folder of its own.

Only with ``make bench PEERS=1``. Arize Phoenix and MLflow book the calls of one session with their
own client and answer for its tokens and cost over HTTP. A channel layer of Redis sends frames to
1,000 viewers. A plain loop of feedparser reads 500 feeds.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

from smnb.runner import redis_server
from tests.bench.fanout import PATIENCE as LONGEST
from tests.bench.fanout import Outcome, Target, plain, watched, writing
from tests.bench.figure import Figure, percentile
from tests.bench.handshakes import raise_open_files
from tests.bench.idle import pss_of_family
from tests.endtoend.studio_process import ROOT, eventually, free_port, running

CALLS, READS, RUNS = 1_000, 50, 3
FEEDS, ITEMS = 500, 20
INPUT, OUTPUT = 1_000, 200  # tokens of each call
MODEL = "claude-sonnet-4-5"
FOLDER = ROOT / ".peers"
PATIENCE = 120

# Each client prints the moment of its first call and of the last one that its server took.
OURS = f"""
import sys, time, django
django.setup()
from django.db import transaction
from sessions_app.background import steps
from sessions_app.models import Session
from stories.usage.ledger import Purpose, SessionLedger
from stories.usage.types import Close, Counts
session = Session.objects.get(pk=sys.argv[1])
with transaction.atomic():  # so that no worker claims it
    claim = steps.claim(steps.enqueue(session, "narrate", session.pk.int % 10**9).pk)
ledger = SessionLedger(claim, Purpose(source="narration"))
begun = time.time()
for _ in range({CALLS}):
    attempt = ledger.reserve(
        model="{MODEL}", operation="narrate", max_tokens=800, input_upper=2000
    )
    attempt.close(Close(state="final", counts=Counts(input={INPUT}, output={OUTPUT}), model="{MODEL}"))
print(begun, time.time())
"""
PHOENIX = f"""
import sys, time
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
exporter = OTLPSpanExporter(sys.argv[1] + "/v1/traces")
provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size={CALLS * 2}))
tracer = provider.get_tracer("bench")
attributes = {{
    "openinference.span.kind": "LLM",
    "session.id": sys.argv[2],
    "llm.model_name": "{MODEL}",
    "llm.provider": "anthropic",
    "llm.token_count.prompt": {INPUT},
    "llm.token_count.completion": {OUTPUT},
    "llm.token_count.total": {INPUT + OUTPUT},
}}
begun = time.time()
for _ in range({CALLS}):
    with tracer.start_as_current_span("narrate") as span:
        span.set_attributes(attributes)
provider.force_flush()
print(begun, time.time())
"""
MLFLOW = f"""
import sys, time
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("bench")
begun = time.time()
for _ in range({CALLS}):
    with mlflow.start_span("narrate", span_type="LLM") as span:
        mlflow.update_current_trace(metadata={{"mlflow.trace.session": sys.argv[2]}})
        span.set_attribute("mlflow.llm.model", "{MODEL}")
        span.set_attribute(
            "mlflow.chat.tokenUsage",
            {{"input_tokens": {INPUT}, "output_tokens": {OUTPUT}, "total_tokens": {INPUT + OUTPUT}}},
        )
        span.set_attribute(
            "mlflow.llm.cost", {{"input_cost": 0.003, "output_cost": 0.003, "total_cost": 0.006}}
        )
mlflow.flush_trace_async_logging(terminate=True)
print(begun, time.time())
"""
# Each prints the number of posts, the seconds, and the peak of its memory in kB.
PLAIN_FEEDS = """
import resource, sys, time
from urllib.request import urlopen
import feedparser
begun, posts = time.time(), 0
for number in range(int(sys.argv[2])):
    with urlopen(f"{sys.argv[1]}/{number}", timeout=10) as answer:
        posts += len(feedparser.parse(answer.read()).entries)
print(posts, time.time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
OUR_FEEDS = """
import resource, sys, time, django
django.setup()
from stories.sources.registry import adapter
source = adapter("rss")
begun, posts = time.time(), 0
for number in range(int(sys.argv[2])):
    posts += len(source.fetch(f"{sys.argv[1]}/{number}", "", {}).posts)
print(posts, time.time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
PHOENIX_QUERY = """{ projects { edges { node { sessions(first: 50) { edges { node {
    sessionId tokenUsage { total } costSummary { total { cost } } } } } } } } }"""


@dataclass
class Books:
    """What books calls: how long it needs to start, its first process, and how it is asked."""

    name: str
    started: float
    pid: int
    client: list[str]
    tokens_and_cost: Callable[[str], tuple[int, float]]
    env: dict[str, str]
    session: Callable[[str], str] = str
    """Makes a session of that name, if the software needs one; returns its id."""


def measure(folder: Path) -> Iterator[Figure]:
    yield from _books(folder)
    yield from _frames(folder)
    yield from _feeds(folder)


def _books(folder: Path) -> Iterator[Figure]:
    """Tokens and cost of a session: our own figures, then each as a multiple of the better peer."""
    measured = {
        name: _booked(start, folder / name)
        for name, start in {"SMNB": _ours, "Phoenix": _phoenix, "MLflow": _mlflow}.items()
    }
    for name, values in measured.items():
        for what, value in values.items():
            yield Figure(f"{name}: {what}", value, float("inf"), "")
    peers = [measured["Phoenix"], measured["MLflow"]]
    ours = measured["SMNB"]
    read, rate, memory, start, late = ours
    quickest = min(peer[read] for peer in peers)
    yield Figure(f"{read}, times the quicker peer", ours[read] / quickest, 1 / 4, "x")
    most = max(peer[rate] for peer in peers)
    yield Figure(f"{rate}: the better peer books, times ours", most / ours[rate], 1 / 2, "x")
    for what in (memory, start):
        least = min(peer[what] for peer in peers)
        yield Figure(f"{what}, times the better peer", ours[what] / least, 1, "x")
    yield Figure(f"SMNB: {late}", ours[late], 100, "ms")


def _booked(start: Callable[[Path], Any], folder: Path) -> dict[str, float]:
    folder.mkdir()
    rates, lates, reads = [], [], []
    with start(folder) as books:
        for run in range(RUNS):
            session = books.session(f"session-{run}")
            log = (folder / "client.log").open("ab")
            done = subprocess.run(
                [*books.client, session],
                cwd=ROOT if books.name == "SMNB" else folder,
                env=books.env,
                check=True,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            log.close()
            begun, ended = map(float, done.stdout.split()[-2:])
            deadline = time.time() + PATIENCE
            while books.tokens_and_cost(session)[0] < CALLS * (INPUT + OUTPUT):
                assert time.time() < deadline, f"{books.name} lost calls"
                time.sleep(0.02)
            lates.append(1000 * max(0.0, time.time() - ended))
            rates.append(CALLS / (time.time() - begun))
            for _ in range(READS):
                asked = time.perf_counter()
                tokens, cost = books.tokens_and_cost(session)
                reads.append(1000 * (time.perf_counter() - asked))
                assert (tokens, round(cost, 6)) == (CALLS * (INPUT + OUTPUT), CALLS * 0.006)
        memory = pss_of_family(books.pid)
    return {
        "ms to read tokens and cost of a session (p50)": median(reads),
        "calls booked a second": median(rates),
        "MB of memory (PSS)": memory,
        "s to start": books.started,
        "ms from the last call until it is counted": median(lates),
    }


@contextmanager
def _ours(folder: Path) -> Iterator[Books]:
    begun = time.time()
    with running(folder / "var") as studio:
        started = time.time() - begun

        def read(session: str) -> tuple[int, float]:
            stats = studio.stats(session)
            return stats["total_tokens"], float(stats["total_cost"])

        env = {**studio.env, "DJANGO_SETTINGS_MODULE": "smnb.settings"}
        client = [sys.executable, "-c", OURS]
        yield Books("SMNB", started, studio.process.pid, client, read, env, studio.create)


@contextmanager
def _phoenix(folder: Path) -> Iterator[Books]:
    python = installed("phoenix", "arize-phoenix==20.26.1")
    port = free_port()
    env = {
        **os.environ,
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    address = f"http://127.0.0.1:{port}"

    def read(session: str) -> tuple[int, float]:
        answer = _posted(f"{address}/graphql", {"query": PHOENIX_QUERY})
        projects = (answer["data"] or {"projects": {"edges": []}})["projects"]["edges"]
        for project in projects:
            for edge in project["node"]["sessions"]["edges"]:
                if (node := edge["node"])["sessionId"] == session:
                    cost = node["costSummary"]["total"]["cost"]
                    return int(node["tokenUsage"]["total"]), float(cost or 0)
        return 0, 0.0

    command = [str(python.parent / "phoenix"), "serve"]
    with _serving(command, env, f"{address}/healthz", folder) as (pid, started):
        client = [str(python), "-c", PHOENIX, address]
        yield Books("Phoenix", started, pid, client, read, env)


@contextmanager
def _mlflow(folder: Path) -> Iterator[Books]:
    python = installed("mlflow", "mlflow==3.17.2")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    env = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Its client discards what does not fit into the queue.
        "MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE": str(2 * CALLS),
    }
    store = f"--backend-store-uri=sqlite:///{folder}/mlflow.db"
    options = ["--host=127.0.0.1", f"--port={port}", store]

    def total(session: str, view: str, metric: str) -> float:
        query = {
            "experiment_ids": ["1"],
            "view_type": view,
            "metric_name": metric,
            "aggregations": [{"aggregation_type": "SUM"}],
            "filters": [f"trace.metadata.`mlflow.trace.session` = '{session}'"],
        }
        answer = _posted(f"{address}/api/3.0/mlflow/traces/metrics", query)
        points = answer.get("data_points", [])
        return float(points[0]["values"]["SUM"]) if points else 0.0

    def read(session: str) -> tuple[int, float]:
        tokens = total(session, "TRACES", "total_tokens")
        return int(tokens), total(session, "SPANS", "total_cost")

    command = [str(python.parent / "mlflow"), "server", *options]
    with _serving(command, env, f"{address}/health", folder) as (pid, started):
        client = [str(python), "-c", MLFLOW, address]
        yield Books("MLflow", started, pid, client, read, env)


@contextmanager
def _serving(
    command: list[str], env: dict[str, str], health: str, folder: Path
) -> Iterator[tuple[int, float]]:
    """A server with its log in the folder; gives its process id and the seconds it took to start."""
    begun = time.time()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        # They take 20 s on an idle machine and minutes on a busy one.
        eventually(f"{command[0]} answers", lambda: _answers(health), 5 * PATIENCE)
        yield process.pid, time.time() - begun
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def _posted(address: str, body: object) -> Any:
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(address, json.dumps(body).encode(), headers), timeout=PATIENCE) as answer:
        return json.load(answer)


def installed(name: str, *packages: str) -> Path:
    """Returns the Python of an environment of its own with the packages; makes it the first time."""
    python = FOLDER / name / "bin" / "python"
    uv = Path(sys.executable).parent / "uv"
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", python.parent.parent], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return python


def _frames(folder: Path) -> Iterator[Figure]:
    """Frames to 1,000 viewers: plain websockets, ours by daphne, and the channel layer of Redis."""
    raise_open_files()
    with running(folder / "frames") as studio, ExitStack() as stack:
        session = studio.create("Bench")
        events = stack.enter_context(writing(studio, session))
        [daphne] = [pid for pid, line in studio.children().items() if "daphne" in line]
        token = f"Authorization: Bearer {studio.token}\r\n"
        path = f"/ws/sessions/{session}/?format=json"
        redis = redis_server.urls("", studio.data).hub
        servers = {
            "plain websockets": stack.enter_context(plain()),
            "SMNB by daphne": Target([studio.port], path, token, [daphne], events),
        }
        servers["channels-redis"] = stack.enter_context(_channel_layer(redis))
        found: dict[str, Outcome] = {}
        for name, target in servers.items():
            try:
                found[name] = asyncio.run(watched(target))
            except TimeoutError:
                late = f"{name}: seconds in which some viewer missed a frame"
                yield Figure(late, float(LONGEST), float("inf"), "s")
    for name, outcome in found.items():
        for share in (0.5, 0.99):
            delay = percentile(outcome.delays, share)
            yield Figure(f"{name}: delay, p{100 * share:g}", delay, float("inf"), "ms")
        yield Figure(f"{name}: frames a second", outcome.per_second, float("inf"), "")
        yield Figure(f"{name}: memory of a viewer", outcome.bytes_each / 1000, float("inf"), "kB")


@contextmanager
def _channel_layer(redis: str) -> Iterator[Target]:
    """A project of Django, daphne and a channel layer whose consumers pass on what their group gets."""
    python = installed(
        "channels", "channels[daphne]==4.3.2", "channels-redis==4.3.0", "django>=5.2,<5.3"
    )
    port = free_port()
    env = {**os.environ, "REDIS": redis}
    app = ROOT / "tests" / "bench" / "channel_layer.py"
    options = [
        "-b",
        "127.0.0.1",
        "-p",
        str(port),
        "--ping-interval",
        "0",
        "channel_layer:application",
    ]
    command = [str(python.parent / "daphne"), "-v", "0", *options]
    pipe = subprocess.PIPE
    server = subprocess.Popen(command, cwd=app.parent, env=env, stderr=subprocess.DEVNULL)
    sender = subprocess.Popen([str(python), str(app)], env=env, text=True, stdin=pipe, stdout=pipe)
    try:
        eventually("the channel layer answers", lambda: _connects(port))
        yield Target([port], "/", "", [server.pid], sender)
    finally:
        for process in (sender, server):
            process.terminate()
            process.wait(PATIENCE)


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _feeds(folder: Path) -> Iterator[Figure]:
    """Feeds read a second in one process, and its memory: ours checks, cleans and limits them too."""
    with feed_server() as address:
        env = {
            **os.environ,
            "SMNB_DATA_DIR": str(folder / "feeds"),
            "SMNB_ALLOW_PRIVATE_FEEDS": "1",
        }
        env["DJANGO_SETTINGS_MODULE"] = "smnb.settings"
        found: dict[str, tuple[float, float]] = {}
        for name, script in {"feedparser": PLAIN_FEEDS, "SMNB": OUR_FEEDS}.items():
            runs = [
                subprocess.run(
                    [sys.executable, "-c", script, address, str(FEEDS)],
                    cwd=ROOT,
                    env=env,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.split()
                for _ in range(RUNS)
            ]
            assert {int(posts) for posts, *_ in runs} == {FEEDS * ITEMS}
            found[name] = (
                median(FEEDS / float(seconds) for _, seconds, _ in runs),
                median(int(peak) / 1024 for *_, peak in runs),
            )
            yield Figure(f"{name}: feeds read a second", found[name][0], float("inf"), "")
            yield Figure(f"{name}: MB at most, {FEEDS} feeds", found[name][1], float("inf"), "")
    share = found["feedparser"][0] / found["SMNB"][0]
    yield Figure("feedparser alone reads, times as many feeds", share, 3, "x")


@contextmanager
def feed_server() -> Iterator[str]:
    """A web site with a feed at every path, in a process of its own; gives its address."""
    command = [sys.executable, "-m", "tests.bench.peers"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


class FeedSite(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        posts = "".join(
            f"<item><title>Harbour report {self.path} number {number}</title>"
            f"<link>http://127.0.0.1{self.path}/{number}</link><guid>{self.path}/{number}</guid>"
            f"<pubDate>Sun, 29 Nov 2026 08:{number:02}:00 GMT</pubDate>"
            f"<description>{'The tide came in at the old pier. ' * 10}</description></item>"
            for number in range(ITEMS)
        )
        body = f"<rss version='2.0'><channel><title>{self.path}</title>{posts}</channel></rss>".encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/rss+xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), FeedSite) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
