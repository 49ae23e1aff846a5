"""What never stands in a file that people download: secrets, tokens, and places on this machine."""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from pydantic import SecretStr

HIDDEN = "[hidden]"
_SHAPES = (
    r"sk-ant-[\w-]+",
    r"smnb_[\w-]{20,}",
    r"(?<=[Bb]earer )[\w.~+/=-]{8,}",
    r"(?<=://)[^/\s:@\"\\]*:[^@\s\"\\]+(?=@)",
    r"(?<=/watch/)[\w-]{20,}",
)


def clean(text: str) -> str:
    """The text without secrets of ours or of known shapes, and with paths cut to what is ours."""
    env = settings.SMNB
    if not _made or _made[0] is not env:
        _made[:] = [env, *_patterns(_secrets(), str(env.data_dir))]
    return str(_made[2].sub("", _made[1].sub(HIDDEN, text)))


_made: list[Any] = []  # the environment they were made for, and the two patterns


def _secrets() -> tuple[str, ...]:
    env = settings.SMNB
    sealed = (getattr(env, name) for name in type(env).model_fields)
    values = [each.get_secret_value() for each in sealed if isinstance(each, SecretStr)]
    passwords = [urlsplit(url).password or "" for url in (env.database_url, env.redis_url)]
    values += [settings.SECRET_KEY, *settings.FIELD_KEYS.split(","), *passwords]
    return tuple(sorted({each for each in values if len(each) >= 6}, key=len, reverse=True))


@cache
def _patterns(secrets: tuple[str, ...], data_dir: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    # A line is JSON already: there a quote or a backslash in a secret looks otherwise.
    known = {form for each in secrets for form in (each, json.dumps(each)[1:-1])}
    hidden = "|".join(
        [*(re.escape(each) for each in sorted(known, key=len, reverse=True)), *_SHAPES]
    )
    ours = [data_dir, str(settings.BASE_DIR), sys.prefix, sys.base_prefix, str(Path.home())]
    folders = sorted({each.rstrip("/") for each in ours if len(each) > 1}, key=len, reverse=True)
    return re.compile(hidden), re.compile("|".join(re.escape(each) + "/?" for each in folders))
