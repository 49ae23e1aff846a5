"""Starts what deploy/ describes: PostgreSQL, Redis, two web processes, workers by queue, two sweepers, nginx.

The commands are those of the systemd units, with other ports and folders. Like systemd, it starts a
process that ended again after 2 s. Without nginx a relay of this process takes the connections.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from smnb.runner import redis_server
from tests.endtoend.studio_process import (
    PATIENCE,
    ROOT,
    Studio,
    environment,
    eventually,
    free_port,
)
from tests.provision.postgres import postgres

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
RESTART_SECONDS = 2.0


@dataclass(eq=False)
class Service:
    """One process of the deployment, which is restarted when it ends."""

    name: str
    command: list[str]
    env: dict[str, str]
    log: Path
    stop_seconds: float = 30.0
    wanted: bool = True
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def stop(self) -> None:
        """Ends the process as systemd does: SIGTERM to the main process, and time to finish."""
        self.wanted = False
        self.process.terminate()
        try:
            self.process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wanted = True


@dataclass
class Deployment:
    """The running processes by name, and the studio as its audience reaches it."""

    studio: Studio
    services: dict[str, Service]
    web_ports: list[int]

    def answers(self, port: int) -> bool:
        """Whether one web process answers, whatever is in front of it."""
        try:
            return Studio.call(
                Studio(port, self.studio.data, {}, self.studio.process, self.studio.log),
                "GET",
                "/healthz",
            ).status in {200, 503}
        except OSError:
            return False

    def roll(self) -> None:
        """Restarts everything of ours, one process after another, as an upgrade does."""
        for name, service in self.services.items():
            if not name.startswith(("web", "worker", "sweeper")):
                continue
            service.restart()
            if name.startswith("web"):
                port = self.web_ports[int(name[-1]) - 1]
                eventually(f"{name} answers", lambda port=port: self.answers(port))  # type: ignore[misc]


def unit_command(unit: str, instance: str, ports: list[int]) -> list[list[str]]:
    """The commands of a systemd unit with what systemd puts in, our Python and our ports."""
    text = (
        (UNITS / unit).read_text().replace("\\\n", " ").replace("%%", "%").replace("%i", instance)
    )
    commands = []
    for line in re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE):
        words = shlex.split(line.replace("${SMNB_HOST_SLOTS}", "2"))
        program = Path(words[0]).name
        start = [sys.executable] if program == "python" else [sys.executable, "-m", program]
        for number, port in enumerate(ports, 1):
            words = [word.replace(f"port=800{number}", f"port={port}") for word in words]
        commands.append([*start, *words[1:]])
    return commands


def stop_seconds(unit: str) -> float:
    found = re.search(r"^TimeoutStopSec=(\d+)$", (UNITS / unit).read_text(), re.MULTILINE)
    return float(found[1]) if found else 90.0


def instances() -> list[tuple[str, str, str]]:
    """Name, unit and instance of each process that smnb.target wants."""
    wanted = re.findall(r"(smnb-([a-z-]+)(@?)(\d?))\.service", (UNITS / "smnb.target").read_text())
    return [
        (f"{name}{number}", f"smnb-{name}{at}.service", number) for _, name, at, number in wanted
    ]


def redis_command(folder: Path, port: int, password: str) -> list[str]:
    return [
        *(str(redis_server.find_binary()), str(DEPLOY / "redis.conf"), "--port", str(port)),
        *("--bind", "127.0.0.1", "--dir", str(folder), "--requirepass", password),
    ]


def nginx_command(folder: Path, port: int, web_ports: list[int], data: Path) -> list[str] | None:
    """Writes deploy/nginx with our ports and without TLS; None where there is no nginx."""
    binary = shutil.which("nginx")
    if binary is None:
        return None
    site = (DEPLOY / "nginx" / "smnb.conf").read_text()
    site = re.sub(r"server \{\n    listen 80 default_server;.*?\n\}\n", "", site, flags=re.DOTALL)
    site = site.replace("listen 443 ssl default_server;", f"listen 127.0.0.1:{port};")
    site = re.sub(r"^ *ssl_.*\n", "", site, flags=re.MULTILINE)
    site = site.replace("/var/lib/smnb/static/", f"{data}/static/")
    upstream = (DEPLOY / "nginx" / "upstream-systemd.conf").read_text()
    for number, web in enumerate(web_ports, 1):
        upstream = upstream.replace(f"127.0.0.1:800{number};", f"127.0.0.1:{web};")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log warn;\n"
        "events { worker_connections 4096; }\n"
        f"http {{\naccess_log off;\n{temporary}{upstream}{site}}}\n"
    )
    return [binary, "-p", str(folder), "-c", str(conf), "-e", f"{folder}/nginx.log"]


@contextmanager
def relay(port: int, web_ports: list[int]) -> Iterator[None]:
    """Passes each connection on to the next web process that accepts it, in a thread."""
    loop = asyncio.new_event_loop()
    order = list(web_ports)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in web_ports:
            order.append(order.pop(0))
            try:
                web = await asyncio.open_connection("127.0.0.1", order[-1])
            except OSError:
                continue
            await asyncio.gather(copy(reader, web[1]), copy(web[0], writer))
            return
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(accept, "127.0.0.1", port, backlog=2048)
        await server.serve_forever()

    def run() -> None:
        task = loop.create_task(serve())
        loop.call_soon(started.set)
        stopping.append(task)
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    started, stopping = threading.Event(), list[asyncio.Task[None]]()
    thread = threading.Thread(target=run, name="relay", daemon=True)
    thread.start()
    started.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stopping[0].cancel)
        thread.join(10)


@contextmanager
def watched(services: dict[str, Service]) -> Iterator[None]:
    """Starts the processes that end again, as ``Restart=always`` does."""
    over = threading.Event()

    def watch() -> None:
        ended: dict[str, float] = {}
        while not over.wait(0.1):
            for name, service in services.items():
                if not service.wanted or service.process.poll() is None:
                    ended.pop(name, None)
                elif time.monotonic() - ended.setdefault(name, time.monotonic()) > RESTART_SECONDS:
                    service.start()

    thread = threading.Thread(target=watch, name="restarts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def deployed(folder: Path, **more: str) -> Iterator[Deployment]:
    """The whole deployment; everything ends with it."""
    data = folder / "var"
    data.mkdir(mode=0o711)
    port, redis_port, *web_ports = (free_port() for _ in range(4))
    password = "a-password-of-redis"
    log = folder / "deployment.log"
    log.touch()
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        env = environment(
            data,
            port,
            DATABASE_URL=database.url,
            REDIS_URL=f"redis://:{password}@127.0.0.1:{redis_port}/0",
            **more,
        )
        services = {
            "redis": Service("redis", redis_command(folder, redis_port, password), env, log)
        }
        services["redis"].start()
        for command in unit_command("smnb-prepare.service", "", [])[:2]:
            subprocess.run(command, cwd=ROOT, env=env, check=True, timeout=PATIENCE)
        owner = [sys.executable, "manage.py", "createsuperuser", "--noinput", "--username=studio"]
        first = {
            "DJANGO_SUPERUSER_PASSWORD": env["SMNB_OWNER_PASSWORD"],
            "DJANGO_SUPERUSER_EMAIL": "studio@studio.example",
        }
        subprocess.run(owner, cwd=ROOT, env={**env, **first}, check=True, timeout=PATIENCE)
        for name, unit, number in instances():
            [command] = unit_command(unit, number, web_ports)
            settings = dict(
                re.findall(r"^Environment=(\w+)=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)
            )
            services[name] = Service(name, command, {**settings, **env}, log, stop_seconds(unit))
            services[name].start()
        nginx = nginx_command(folder, port, web_ports, data)
        if nginx is None:
            stack.enter_context(relay(port, web_ports))
        else:
            services["nginx"] = Service("nginx", nginx, dict(os.environ), log)
            services["nginx"].start()
        stack.callback(_stop_all, services)
        stack.enter_context(watched(services))
        studio = Studio(port, data, env, services["web1"].process, log, root=os.getpid())
        found = Deployment(studio, services, web_ports)
        for web in web_ports:
            eventually(f"web on {web} answers", lambda web=web: found.answers(web))  # type: ignore[misc]
        eventually("healthy", lambda: studio.call("GET", "/healthz").status == 200)
        yield found


def _stop_all(services: dict[str, Service]) -> None:
    for service in services.values():
        service.wanted = False
        service.process.terminate()
    for service in services.values():
        service.stop()
