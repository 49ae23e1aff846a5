"""What never stands in a file that people download: secrets, tokens, and places on this machine.

What error pages leave out, for developers too.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter
from pydantic import SecretStr

HIDDEN = "[hidden]"

# What a secret looks like, each after a text without which there is none: that is quick to find.
_SHAPES = {
    "sk-ant-": r"sk-ant-[\w-]+",
    "smnb_": r"smnb_[\w-]{20,}",
    "earer ": r"(?<=[Bb]earer )[\w.~+/=-]{8,}",
    "://": r"(?<=://)[^/\s:@\"\\]*:[^@\s\"\\]+(?=@)",
    "/watch/": r"(?<=/watch/)[\w-]{20,}",
}


@dataclass(frozen=True, slots=True)
class _Cut:
    """Replaces what a pattern finds; looked for only where one of the marks stands."""

    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    by: str

    def out_of(self, text: str) -> str:
        return self.pattern.sub(self.by, text) if any(map(text.__contains__, self.marks)) else text


def redact(text: str) -> str:
    """The text without secrets of ours or of known shapes, and with paths cut to what is ours."""
    env = settings.SMNB
    if not _made or _made[0] is not env:
        _made[:] = [env, *_cuts(_secrets(), str(env.data_dir))]
    for cut in _made[1:]:
        text = cut.out_of(text)
    return text


_made: list[Any] = []  # the environment they were made for, and the cuts


def _secrets() -> tuple[str, ...]:
    env = settings.SMNB
    sealed = (getattr(env, name) for name in type(env).model_fields)
    values = [each.get_secret_value() for each in sealed if isinstance(each, SecretStr)]
    passwords = [urlsplit(url).password or "" for url in (env.database_url, env.redis_url)]
    values += [settings.SECRET_KEY, *settings.FIELD_KEYS.split(","), *passwords]
    return tuple(sorted({each for each in values if len(each) >= 6}, key=len, reverse=True))


@cache
def _cuts(secrets: tuple[str, ...], data_dir: str) -> tuple[_Cut, _Cut]:
    # A line is JSON already: there a quote or a backslash in a secret looks otherwise.
    known = _longest({form for each in secrets for form in (each, json.dumps(each)[1:-1])})
    hidden = "|".join([*map(re.escape, known), *_SHAPES.values()])
    ours = [data_dir, str(settings.BASE_DIR), sys.prefix, sys.base_prefix, str(Path.home())]
    folders = _longest({each.rstrip("/") for each in ours if len(each) > 1})
    places = "|".join(f"{re.escape(each)}/?" for each in folders)
    return (
        _Cut((*known, *_SHAPES), re.compile(hidden), HIDDEN),
        _Cut(tuple(folders), re.compile(places), ""),
    )


def _longest(texts: Iterable[str]) -> list[str]:
    return sorted(texts, key=len, reverse=True)


class RedactingFilter(SafeExceptionReporterFilter):
    """Hides what is marked as sensitive also with ``DEBUG``: keys are real there as well."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True
