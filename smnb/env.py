"""The environment, read once: every variable the product knows, its default and its bounds.

A bad value names its variable and never echoes the value.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class Environment(BaseSettings):
    """Names as in the README; ``SMNB_LIMIT_*`` are counts per minute unless said otherwise, 0 = off."""

    model_config = SettingsConfigDict(
        extra="ignore", hide_input_in_errors=True, env_ignore_empty=True, populate_by_name=True
    )

    port: int = Field(
        8000, alias="PORT", ge=1, le=65535, description="Where the studio listens, on 127.0.0.1."
    )
    public_url: str = Field(
        "",
        alias="PUBLIC_URL",
        description="The address in the browser; unset: http://localhost:PORT. With https:// "
        "cookies are secure and a proxy's X-Forwarded-Proto is believed.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        alias="SECRET_KEY",
        description="Signs logins. Unset: made once and kept in the data folder, readable by you "
        "alone.",
    )
    field_keys: SecretStr = Field(
        SecretStr(""),
        alias="SMNB_FIELD_KEYS",
        description="Secrets that seal the keys people keep here, newest first, with commas. "
        "Unset: made once and kept in the data folder, readable by you alone.",
    )
    debug: bool = Field(False, alias="DEBUG", description="Django's debug pages. Never in public.")
    allowed_hosts: str = Field(
        "",
        alias="ALLOWED_HOSTS",
        description="More host names, with commas. That of PUBLIC_URL, localhost and 127.0.0.1 "
        "always work.",
    )
    database_url: str = Field(
        "",
        alias="DATABASE_URL",
        description="postgresql://user:password@host/name or sqlite:///path. Unset: SQLite in the "
        "data folder.",
    )
    redis_url: str = Field(
        "",
        alias="REDIS_URL",
        description="redis://:password@host:6379/0. It uses databases 0, 2 and 3, counted from the "
        "number given. Unset: a Redis of the studio's own.",
    )
    data_dir: Path = Field(
        ROOT / "var",
        alias="SMNB_DATA_DIR",
        description="Database, secrets, sounds, artifacts and static files. One studio per folder.",
    )
    owner: str = Field(
        "studio",
        alias="SMNB_OWNER",
        min_length=1,
        max_length=150,
        description="User name of the first person, made by make run.",
    )
    owner_password: SecretStr = Field(
        SecretStr(""),
        alias="SMNB_OWNER_PASSWORD",
        description="The first person's password. Unset: made and printed once.",
    )
    demo: bool = Field(
        True, alias="SMNB_DEMO", description="Make the demo session on the first run."
    )
    poll_seconds: float = Field(
        30.0,
        alias="SMNB_POLL_SECONDS",
        gt=0,
        le=86_400,
        description="Pause between two readings of a source, in seconds; may be a fraction.",
    )
    host_slots: int = Field(
        4,
        alias="SMNB_HOST_SLOTS",
        ge=1,
        le=64,
        description="How many stories are narrated at the same time.",
    )
    allow_private_feeds: bool = Field(
        False,
        alias="SMNB_ALLOW_PRIVATE_FEEDS",
        description="Let feeds lie at private addresses and any port.",
    )
    speech: Literal["auto", "off", "espeak"] = Field(
        "auto",
        alias="SMNB_SPEECH",
        description="What speaks the stories of visible sessions: auto takes what make audio has "
        "installed, off nothing.",
    )
    log_file_mb: int = Field(
        20,
        alias="SMNB_LOG_FILE_MB",
        ge=1,
        le=1000,
        description="Longest file of log lines a session keeps for one day and kind, in MB.",
    )
    otel_endpoint: str = Field(
        "",
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Where traces go (OTLP over HTTP), with the extra of make otel. Unset: no "
        "traces. OpenTelemetry's other OTEL_ variables count too.",
    )
    limit_reads: int = Field(
        3000,
        alias="SMNB_LIMIT_READS",
        ge=0,
        description="API reads a minute for each person; 0 = off.",
    )
    limit_writes: int = Field(
        60,
        alias="SMNB_LIMIT_WRITES",
        ge=0,
        description="API changes a minute for each person; 0 = off.",
    )
    limit_go_live: int = Field(
        30,
        alias="SMNB_LIMIT_GO_LIVE",
        ge=0,
        description="Go Live requests a minute for each person; 0 = off.",
    )
    limit_public_sockets: int = Field(
        30,
        alias="SMNB_LIMIT_PUBLIC_SOCKETS",
        ge=0,
        description="Sockets of one address on watch pages, in each web process; 0 = off.",
    )
    limit_replays: int = Field(
        100,
        alias="SMNB_LIMIT_REPLAYS",
        ge=0,
        description="Replays that play at the same time in each web process; 0 = off.",
    )
    limit_feeds: int = Field(
        20,
        alias="SMNB_LIMIT_FEEDS",
        ge=0,
        description="Sources a person may add in an hour; 0 = off.",
    )
    limit_upload_mb: int = Field(
        50,
        alias="SMNB_LIMIT_UPLOAD_MB",
        ge=0,
        description="Megabytes of a file that is uploaded to a session; 0 = off.",
    )
    limit_sources: int = Field(
        100,
        alias="SMNB_LIMIT_SOURCES",
        ge=0,
        description="Sources of one session; 0 = off.",
    )
    limit_drafts: int = Field(
        3,
        alias="SMNB_LIMIT_DRAFTS",
        ge=0,
        description="Drafts of one session that are open at a time; 0 = off.",
    )
    limit_questions: int = Field(
        5,
        alias="SMNB_LIMIT_QUESTIONS",
        ge=0,
        description="Questions to the producer that one session may have open; 0 = off.",
    )
    limit_slots: int = Field(
        20,
        alias="SMNB_LIMIT_SLOTS",
        ge=0,
        description="Times on air in the schedule of one session; 0 = off.",
    )
    limit_tokens: int = Field(
        50,
        alias="SMNB_LIMIT_TOKENS",
        ge=0,
        description="API tokens of one person; 0 = off.",
    )
    anthropic_api_key: SecretStr = Field(
        SecretStr(""),
        alias="ANTHROPIC_API_KEY",
        description="The key for models. Without it stories are told in the posts' own words.",
    )
    anthropic_base_url: str = Field(
        "",
        alias="ANTHROPIC_BASE_URL",
        description="Another address of the same API. Unset: Anthropic's own.",
    )
    reddit_client_id: str = Field(
        "",
        alias="REDDIT_CLIENT_ID",
        description="Reddit's API keys. Without them subreddits are read from their public RSS.",
    )
    reddit_client_secret: SecretStr = Field(
        SecretStr(""),
        alias="REDDIT_CLIENT_SECRET",
        description="The secret that belongs to REDDIT_CLIENT_ID.",
    )
    reddit_user_agent: str = Field(
        "smnb/0.1 (self-hosted newsroom)",
        alias="REDDIT_USER_AGENT",
        description="How readers of Reddit and feeds introduce themselves.",
    )
    reddit_url: str = Field(
        "https://www.reddit.com",
        alias="REDDIT_URL",
        description="Reddit's address, also for its RSS.",
    )
    reddit_oauth_url: str = Field(
        "https://oauth.reddit.com",
        alias="REDDIT_OAUTH_URL",
        description="The address of Reddit's API.",
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return (ROOT / value).resolve()

    @field_validator("public_url", "reddit_url", "reddit_oauth_url", "anthropic_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.netloc):
            raise ValueError("must be an http(s) address such as http://localhost:8000")
        return value.rstrip("/")

    @property
    def origins(self) -> list[str]:
        """Origins whose pages may talk to us: PUBLIC_URL, and 127.0.0.1 beside localhost."""
        first = self.public_url or f"http://localhost:{self.port}"
        parts = urlsplit(first)
        found = [f"{parts.scheme}://{parts.netloc}"]
        if parts.hostname == "localhost":
            port = f":{parts.port}" if parts.port else ""
            found.append(f"{parts.scheme}://127.0.0.1{port}")
        return found

    @property
    def hosts(self) -> list[str]:
        named = [name.strip() for name in self.allowed_hosts.split(",") if name.strip()]
        own = [urlsplit(origin).hostname or "" for origin in self.origins]
        return sorted({*named, *own, "localhost", "127.0.0.1"})


def read_environment() -> Environment:
    """Read and check the environment; raises ImproperlyConfigured naming each bad variable."""
    try:
        return Environment()
    except ValidationError as error:
        wrong = [f"{item['loc'][0]}: {item['msg']}" for item in error.errors(include_input=False)]
        raise ImproperlyConfigured("Environment: " + "; ".join(wrong)) from None


def stored_secret(given: SecretStr, path: Path) -> str:
    """The given secret, or one made once in the data folder (mode 0600) that every command reads."""
    if value := given.get_secret_value():
        return value
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()
