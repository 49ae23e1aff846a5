"""The environment variables of the product, read once, with their defaults and bounds.

An error names the variable with the invalid value, and never shows the value.
"""

from __future__ import annotations

import os
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class Environment(BaseSettings):
    """The environment; the descriptions are shown in the docs. A limit of 0 is off."""

    # hide_input_in_errors, because an invalid value may be a misplaced secret.
    model_config = SettingsConfigDict(
        extra="ignore", hide_input_in_errors=True, env_ignore_empty=True, populate_by_name=True
    )

    port: int = Field(
        8000,
        alias="PORT",
        ge=1,
        le=65535,
        description="Port on which the studio listens, on 127.0.0.1.",
    )
    public_url: str = Field(
        "",
        alias="PUBLIC_URL",
        description="Address that browsers use. Unset: http://localhost:PORT. With https://, cookies "
        "are secure and a proxy's X-Forwarded-Proto header is trusted.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        alias="SECRET_KEY",
        description="Signs login sessions. Unset: generated once and stored in the data folder, "
        "readable only by its owner.",
    )
    field_keys: SecretStr = Field(
        SecretStr(""),
        alias="SMNB_FIELD_KEYS",
        description="Secrets that encrypt stored API keys, newest first, separated by commas. Unset: "
        "generated once and stored in the data folder, readable only by its owner.",
    )
    trusted_proxies: str = Field(
        "",
        alias="SMNB_TRUSTED_PROXIES",
        description="Addresses or networks of proxies, separated by commas, for instance 127.0.0.1. Of "
        "their requests X-Forwarded-For names the client, for sign-in locks and limits. Unset: none.",
    )
    debug: bool = Field(
        False, alias="DEBUG", description="Enables Django's debug pages. Never use it in public."
    )
    allowed_hosts: str = Field(
        "",
        alias="ALLOWED_HOSTS",
        description="Additional host names, separated by commas. The host of PUBLIC_URL, localhost and "
        "127.0.0.1 are always allowed.",
    )
    database_url: str = Field(
        "",
        alias="DATABASE_URL",
        description="postgresql://user:password@host/name or sqlite:///path. Unset: SQLite in the data "
        "folder.",
    )
    database_pool: int = Field(
        0,
        alias="SMNB_DATABASE_POOL",
        ge=0,
        le=200,
        description="Connections to PostgreSQL that a process keeps for its requests, at most. For web "
        "processes; workers need none. 0 = one is opened for each request.",
    )
    redis_url: str = Field(
        "",
        alias="REDIS_URL",
        description="redis://:password@host:6379/0. Databases 0, 2 and 3 are used, counted from the "
        "number given. Unset: the studio starts its own Redis.",
    )
    data_dir: Path = Field(
        ROOT / "var",
        alias="SMNB_DATA_DIR",
        description="Folder for the database, secrets, sounds, artifacts and static files. One studio "
        "per folder.",
    )
    owner: str = Field(
        "studio",
        alias="SMNB_OWNER",
        min_length=1,
        max_length=150,
        description="User name of the first user, created by make run.",
    )
    owner_password: SecretStr = Field(
        SecretStr(""),
        alias="SMNB_OWNER_PASSWORD",
        description="Password of the first user. Unset: generated and printed once.",
    )
    demo: bool = Field(
        True, alias="SMNB_DEMO", description="Creates the demo session on the first run."
    )
    poll_seconds: float = Field(
        30.0,
        alias="SMNB_POLL_SECONDS",
        gt=0,
        le=86_400,
        description="Seconds between two reads of a source; fractions are allowed.",
    )
    host_slots: int = Field(
        4,
        alias="SMNB_HOST_SLOTS",
        ge=1,
        le=64,
        description="Number of stories narrated at the same time.",
    )
    silent_seconds: float = Field(
        60.0,
        alias="SMNB_SILENT_SECONDS",
        ge=20,
        le=3_600,
        # Longer than a worker waits for a Redis that hangs (2 s to connect, 10 s to read), and than an
        # idle one sleeps (10 s).
        description="Seconds after which make run replaces a process whose main loop gives no sign of "
        "life.",
    )
    allow_private_feeds: bool = Field(
        False,
        alias="SMNB_ALLOW_PRIVATE_FEEDS",
        description="Allows feeds at private addresses and on any port.",
    )
    speech: Literal["auto", "off", "espeak"] = Field(
        "auto",
        alias="SMNB_SPEECH",
        description="Speech engine for stories of visible sessions: auto uses what make audio "
        "installed, off disables speech, espeak selects espeak-ng.",
    )
    log: Literal["warning", "info"] = Field(
        "warning",
        alias="SMNB_LOG",
        description="What the terminal of make run shows of the log: warnings and errors, or all of "
        "it (info). The file studio.log in the data folder has all of it.",
    )
    log_file_mb: int = Field(
        20,
        alias="SMNB_LOG_FILE_MB",
        ge=1,
        le=1000,
        description="Maximum size in MB of a session's log file for one day and environment.",
    )
    otel_endpoint: str = Field(
        "",
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Collector that receives traces (OTLP over HTTP) once make otel has installed the "
        "extra. Unset: no traces. OpenTelemetry's other OTEL_ variables apply too.",
    )
    metrics_token: SecretStr = Field(
        SecretStr(""),
        alias="SMNB_METRICS_TOKEN",
        description="Bearer token for /metrics. Unset: only requests from this machine may read it.",
    )
    limit_reads: int = Field(
        3000,
        alias="SMNB_LIMIT_READS",
        ge=0,
        description="API reads per user and minute; 0 = no limit.",
    )
    limit_writes: int = Field(
        60,
        alias="SMNB_LIMIT_WRITES",
        ge=0,
        description="API changes per user and minute; 0 = no limit.",
    )
    limit_go_live: int = Field(
        30,
        alias="SMNB_LIMIT_GO_LIVE",
        ge=0,
        description="Go Live requests per user and minute; 0 = no limit.",
    )
    socket_seconds: float = Field(
        43_200.0,
        alias="SMNB_SOCKET_SECONDS",
        ge=1,
        le=43_200,
        description="Longest life of a socket in seconds, give or take 15 s; the page connects again, and "
        "misses nothing. A proxy that cuts long connections needs less.",
    )
    limit_public_sockets: int = Field(
        30,
        alias="SMNB_LIMIT_PUBLIC_SOCKETS",
        ge=0,
        description="Watch-page sockets, and listeners of the endless MP3, per client address, in each "
        "web process; 0 = no limit.",
    )
    limit_replays: int = Field(
        100,
        alias="SMNB_LIMIT_REPLAYS",
        ge=0,
        description="Replays playing at the same time, in each web process; 0 = no limit.",
    )
    limit_feeds: int = Field(
        20,
        alias="SMNB_LIMIT_FEEDS",
        ge=0,
        description="Sources that a user may add per hour; 0 = no limit.",
    )
    limit_upload_mb: int = Field(
        50,
        alias="SMNB_LIMIT_UPLOAD_MB",
        ge=0,
        description="Maximum size in MB of a file uploaded to a session; 0 = no limit.",
    )
    limit_sources: int = Field(
        100,
        alias="SMNB_LIMIT_SOURCES",
        ge=0,
        description="Sources per session; 0 = no limit.",
    )
    limit_drafts: int = Field(
        3,
        alias="SMNB_LIMIT_DRAFTS",
        ge=0,
        description="Open drafts per session; 0 = no limit.",
    )
    limit_questions: int = Field(
        5,
        alias="SMNB_LIMIT_QUESTIONS",
        ge=0,
        description="Open questions to the producer per session; 0 = no limit.",
    )
    limit_slots: int = Field(
        20,
        alias="SMNB_LIMIT_SLOTS",
        ge=0,
        description="Scheduled time slots per session; 0 = no limit.",
    )
    limit_tokens: int = Field(
        50,
        alias="SMNB_LIMIT_TOKENS",
        ge=0,
        description="API tokens per user; 0 = no limit.",
    )
    anthropic_api_key: SecretStr = Field(
        SecretStr(""),
        alias="ANTHROPIC_API_KEY",
        description="Key for the Anthropic API. Unset: stories are extracted from the text of their "
        "posts.",
    )
    anthropic_base_url: str = Field(
        "",
        alias="ANTHROPIC_BASE_URL",
        description="Alternative address of the Anthropic API. Unset: Anthropic's own.",
    )
    reddit_client_id: str = Field(
        "",
        alias="REDDIT_CLIENT_ID",
        description="Client id for the Reddit API. Unset: subreddits are read from their public RSS "
        "feeds.",
    )
    reddit_client_secret: SecretStr = Field(
        SecretStr(""),
        alias="REDDIT_CLIENT_SECRET",
        description="Secret that belongs to REDDIT_CLIENT_ID.",
    )
    reddit_user_agent: str = Field(
        "smnb/0.1 (self-hosted newsroom)",
        alias="REDDIT_USER_AGENT",
        description="User agent sent to Reddit and to feeds.",
    )
    reddit_url: str = Field(
        "https://www.reddit.com",
        alias="REDDIT_URL",
        description="Address of Reddit, also used for its RSS feeds.",
    )
    reddit_oauth_url: str = Field(
        "https://oauth.reddit.com",
        alias="REDDIT_OAUTH_URL",
        description="Address of the Reddit API.",
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # A relative folder belongs to the project and not to the directory of the caller.
        return (ROOT / value).resolve()

    @field_validator("public_url", "reddit_url", "reddit_oauth_url", "anthropic_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.netloc):
            raise ValueError("must be an http(s) address such as http://localhost:8000")
        # Paths are appended with a slash of their own.
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for each in filter(None, map(str.strip, value.split(","))):
            try:
                ip_network(each, strict=False)
            except ValueError:
                raise ValueError("must be addresses or networks such as 127.0.0.1") from None
        return value

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        """The networks whose X-Forwarded-For is believed."""
        named = filter(None, map(str.strip, self.trusted_proxies.split(",")))
        return [ip_network(each, strict=False) for each in named]

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may send requests: PUBLIC_URL, and 127.0.0.1 beside localhost."""
        parts = urlsplit(self.public_url or f"http://localhost:{self.port}")
        origins = [f"{parts.scheme}://{parts.netloc}"]
        # Both names reach the same studio, but to a browser they are different origins.
        if parts.hostname == "localhost":
            port = f":{parts.port}" if parts.port else ""
            origins.append(f"{parts.scheme}://127.0.0.1{port}")
        return origins

    @property
    def hosts(self) -> list[str]:
        """The host names that requests may have."""
        named = [name.strip() for name in self.allowed_hosts.split(",") if name.strip()]
        own = [urlsplit(origin).hostname or "" for origin in self.origins]
        return sorted({*named, *own, "localhost", "127.0.0.1"})


def read_environment() -> Environment:
    """Reads the environment; raises ImproperlyConfigured that names each invalid variable."""
    try:
        return Environment()
    except ValidationError as error:
        wrong = [f"{item['loc'][0]}: {item['msg']}" for item in error.errors(include_input=False)]
        raise ImproperlyConfigured("Environment: " + "; ".join(wrong)) from None


def stored_secret(given: SecretStr, path: Path) -> str:
    """Returns the given secret, or one that is generated once in the data folder (mode 0600)."""
    if value := given.get_secret_value():
        return value
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # O_EXCL: of several processes that start at once one generates the secret, and all use it.
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


def make_private(folder: Path, *files: Path) -> list[str]:
    """Makes the data folder and its files private to this user; returns a sentence per change.

    A folder that others may only pass through (0711) stays so: nginx reads static files below it.
    """
    os.umask(0o077)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    inside = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    sentences = []
    for path, mode, open_to_others in (
        (folder, 0o700, 0o066),
        *((path, 0o600, 0o077) for path in {*inside, *files} if path.exists()),
    ):
        if path.stat().st_mode & open_to_others:
            try:
                path.chmod(mode)
                sentences.append(
                    f"Other users of this machine could read {path}; now only you can."
                )
            except OSError:
                sentences.append(
                    f"Other users of this machine can read {path}, and it belongs to another user. "
                    f"Run: chmod {mode:o} {path}"
                )
    return sentences
