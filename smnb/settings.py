"""Django settings; everything that differs between installations comes from ``smnb.env``."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from smnb.env import ROOT, make_private, read_environment, stored_secret
from smnb.logging import logging_config
from smnb.runner.redis_server import urls as redis_urls

# Loading makes many objects and little garbage, and the collector takes a tenth of it. The last app
# switches the collector on again.
gc.disable()

# IMMEDIATE takes the write lock at BEGIN, so that a transaction that reads before it writes waits
# instead of failing. FULL, as the ledger must survive a power cut. Pages that many transactions change
# are copied into the database after 16 MB of log instead of 4, and so less often.
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; "
    "PRAGMA journal_size_limit=67108864; PRAGMA wal_autocheckpoint=4000;"
)


def sqlite(path: Path) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            # Seconds that a transaction waits for the write lock before it fails as "locked".
            "timeout": 20,
            "init_command": SQLITE_PRAGMAS,
        },
        # Opening one reads the whole schema, which takes longer than most requests. The threads that
        # keep one are few (smnb/asgi.py).
        "CONN_MAX_AGE": None,
        # A file, so that threads and processes which a test starts can open the database too.
        "TEST": {"NAME": str(path.with_name("test.sqlite3"))},
    }


def postgresql(url: str, pool: int = 0) -> dict[str, object]:
    """``pool`` is how many connections a process holds at most; without one it opens them as needed."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    # In milliseconds. A query or a forgotten transaction must not hold locks for longer.
    timeouts = "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=10000"
    # A request that gets none within ten seconds fails, instead of waiting behind all others.
    held = {"min_size": 1, "max_size": pool, "timeout": 10, "max_idle": 300} if pool else False
    # A server that cannot be reached and refuses nothing: by default libpq waits for minutes, in which a
    # sweeper would give no sign of life.
    query.setdefault("connect_timeout", "15")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        # Under ASGI requests run in changing threads, so connections left open would add up. The end of
        # a request returns its connection to the pool.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        # Other parameters of the address, such as sslmode, are passed on to libpq.
        "OPTIONS": {"options": timeouts, "pool": held, **query},
    }


def database(url: str, data_dir: Path, pool: int = 0) -> dict[str, object]:
    """Returns the settings for sqlite:///path or postgresql://…; empty is SQLite in the data folder."""
    scheme = urlsplit(url).scheme
    if not url:
        return sqlite(data_dir / "smnb.sqlite3")
    if scheme == "sqlite":
        return sqlite(Path(unquote(url.removeprefix("sqlite:///"))))
    if scheme in {"postgres", "postgresql"}:
        return postgresql(url, pool)
    raise ImproperlyConfigured("DATABASE_URL: must begin with sqlite:/// or postgresql://")


def files_of(settings: dict[str, object]) -> list[Path]:
    """Returns the files in which a database is stored; none for PostgreSQL."""
    if settings["ENGINE"] != "django.db.backends.sqlite3":
        return []
    return [Path(f"{settings['NAME']}{suffix}") for suffix in ("", "-wal", "-shm")]


SMNB = read_environment()
BASE_DIR = ROOT
DATA_DIR: Path = SMNB.data_dir
DATABASES = {"default": database(SMNB.database_url, DATA_DIR, SMNB.database_pool)}
for sentence in make_private(DATA_DIR, *files_of(DATABASES["default"])):
    print(sentence, file=sys.stderr)  # noqa: T201 - no log is set up yet

SECRET_KEY = stored_secret(SMNB.secret_key, DATA_DIR / "secret_key")
# Not derived from SECRET_KEY, so that one of them can be changed without the other.
FIELD_KEYS = stored_secret(SMNB.field_keys, DATA_DIR / "field_keys")
DEBUG = SMNB.debug
ALLOWED_HOSTS = SMNB.hosts
PUBLIC_URL = SMNB.origins[0]
CSRF_TRUSTED_ORIGINS = SMNB.origins
SECURE = PUBLIC_URL.startswith("https://")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "csp",
    "axes",
    "sessions_app",
    "stories",
    "broadcast",
    "smnb",
]
MIDDLEWARE = [
    # First, so that every other middleware and its log lines have the request's id.
    "sessions_app.web.middleware.ContextMiddleware",
    # Above the static files, so that they get the security headers too.
    "django.middleware.security.SecurityMiddleware",
    "sessions_app.web.middleware.StaticFiles",
    # Below the static files, above everything that changes a page.
    "sessions_app.web.middleware.CompressedPages",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "sessions_app.web.middleware.NotFoundPages",
]
ROOT_URLCONF = "smnb.urls"
ASGI_APPLICATION = "smnb.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "smnb.templates.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
            "libraries": {"lucide": "smnb.templates"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "smnb.templates.areas",
                "smnb.health.down",
                "sessions_app.preferences.appearance",
            ],
        },
    }
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS = redis_urls(SMNB.redis_url, DATA_DIR)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS.cache,
        "KEY_PREFIX": "smnb",
        # Short, as requests wait for it.
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 1},
    }
}
# The hub delivers live frames; a channel layer would deliver them a second time (smnb.E002).
CHANNEL_LAYERS: dict[str, object] = {}

CELERY_BROKER_URL = REDIS.broker
# A message of a killed worker is delivered again after the visibility timeout, which therefore has
# to be longer than the longest task. By default kombu looks for such messages so rarely that a
# timeout of 5 s took 100 s; the two unacked_restore options make it look often.
CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {
    "visibility_timeout": 180,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
# Celery documents three places for this value, and the shortest one of them applies.
CELERY_VISIBILITY_TIMEOUT = 180
# Late acknowledgement alone loses the task when only a child of the worker is killed.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# Results are rows of the database; Celery's are not stored.
CELERY_TASK_IGNORE_RESULT = True
# A task that exceeds its time is not delivered again; the lease of its step expires instead.
CELERY_TASK_SOFT_TIME_LIMIT = 75
CELERY_TASK_TIME_LIMIT = 90
CELERY_TASK_ACKS_ON_TIMEOUT = True
CELERY_TASK_DEFAULT_QUEUE = "control"
# A request must not hang while Redis is down: the sweeper sends the message later.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.2}
# Each process holds one message, so that a long narration does not delay the message behind it.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# With --autoscale.
CELERY_WORKER_AUTOSCALER = "smnb.celery:OnDemand"
CELERY_WORKER_POOL = "smnb.celery:PromptTaskPool"
# A child is replaced from time to time, so that a slow leak of a library never adds up.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 200
# After a lost connection the message is delivered again, so its first run has to end.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
# By default a worker gives up for good after 100 attempts to connect.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TIMEZONE = "UTC"

AUTHENTICATION_BACKENDS = [
    # First, as it refuses a locked user name before the password is checked.
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# After five wrong passwords a user name is locked, but only for the same address, and for longer after
# each further one: see SignInLock.
AXES_HANDLER = "sessions_app.rate_limits.SignInLock"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 1  # hour for which a failure counts; longer than the longest lock
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "sessions_app.rate_limits.client_address"
AXES_LOCKOUT_CALLABLE = "broadcast.studio.account.views.locked"
AXES_RESET_ON_SUCCESS = True
# A stranger who keeps trying at the same address does not prolong the lock.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_VERBOSE = False
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "sessions_app.web.middleware.VersionedFiles"},
}
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
# Readable by nginx, unlike all other files of the data folder.
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o644, 0o755
STATIC_ROOT.chmod(0o755)
# Found through the finders, so a clone needs no collectstatic; deploy/ collects and caches.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MIMETYPES = {".webmanifest": "application/manifest+json"}
# Names with a hash of the content, as fonts have: browsers may store these for years.
WHITENOISE_IMMUTABLE_FILE_TEST = r"\.[0-9a-f]{8}\.woff2$"

# Everything is refused that is not listed: no inline script or style, no other origin, no frames.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "connect-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "style-src": ["'self'"],
        "font-src": ["'self'"],
        "manifest-src": ["'self'"],
        "media-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = SECURE
# Health checks of a proxy or a container use plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
# Without a proxy that sets this header a client could set it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SESSION_COOKIE_SECURE = SECURE
CSRF_COOKIE_SECURE = SECURE
# Not "Strict": a link from a mail or a chat has to open the page signed in.
SESSION_COOKIE_SAMESITE = "Lax"
DEFAULT_EXCEPTION_REPORTER_FILTER = "sessions_app.session_logs.redaction.RedactingFilter"
CSRF_FAILURE_VIEW = "django.views.csrf.csrf_failure"

LOGGING = logging_config()
LOGGING_CONFIG = "logging.config.dictConfig"
# HSTS for subdomains and the preload list are for the operator of the domain to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
NINJA_PAGINATION_MAX_LIMIT = 500
