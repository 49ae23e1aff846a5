"""Removes secrets, tokens and paths of this machine from text that users can download.

Also hides sensitive values on Django's error pages.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter
from pydantic import SecretStr

HIDDEN = "[hidden]"

# What a secret looks like. The key is a text that each match contains: looking for it first is fast.
# Anyone can send texts, so no match reads beyond the beginning of the next one: a user name and a
# password in an address end at its path.
_PATTERNS = {
    "sk-ant-": r"sk-ant-[\w-]+",
    "smnb_": r"smnb_[\w-]{20,}",
    "earer ": r"(?<=[Bb]earer )[\w.~+/=-]{8,}",
    "://": r"(?<=://)[^/\s:@\"\\]*:[^/@\s\"\\]+(?=@)",
    "/watch/": r"(?<=/watch/)[\w-]{20,}",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    """Replaces the matches of a pattern; texts without one of the markers are left as they are."""

    markers: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str

    def apply(self, text: str) -> str:
        if any(marker in text for marker in self.markers):
            return self.pattern.sub(self.replacement, text)
        return text


# The environment that the cached rules belong to (tests replace it), and the rules.
_cached: tuple[object, tuple[_Rule, ...]] = (None, ())


def redact(text: str) -> str:
    """Returns the text without known secrets and tokens, and with paths relative to our folders."""
    global _cached  # noqa: PLW0603 - one tuple, replaced at once, needs no lock between threads
    env = settings.SMNB
    owner, rules = _cached
    if owner is not env:
        rules = _rules(_secrets(), str(env.data_dir))
        _cached = (env, rules)
    for rule in rules:
        text = rule.apply(text)
    return text


def _secrets() -> tuple[str, ...]:
    """Returns the secrets of this installation, longest first."""
    env = settings.SMNB
    fields = (getattr(env, name) for name in type(env).model_fields)
    values = [field.get_secret_value() for field in fields if isinstance(field, SecretStr)]
    passwords = [urlsplit(url).password or "" for url in (env.database_url, env.redis_url)]
    values += [settings.SECRET_KEY, *settings.FIELD_KEYS.split(","), *passwords]
    # A very short password would hide ordinary words.
    return tuple(sorted({value for value in values if len(value) >= 6}, key=len, reverse=True))


@cache
def _rules(secrets: tuple[str, ...], data_dir: str) -> tuple[_Rule, ...]:
    """Compiles one rule for secrets and one for paths; longer alternatives match first."""
    # A line is JSON already, in which quotes and backslashes of a secret are escaped.
    forms = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
    known = sorted(forms, key=len, reverse=True)
    hidden = "|".join([*map(re.escape, known), *_PATTERNS.values()])
    ours = [data_dir, str(settings.BASE_DIR), sys.prefix, sys.base_prefix, str(Path.home())]
    folders = sorted({path.rstrip("/") for path in ours if len(path) > 1}, key=len, reverse=True)
    paths = "|".join(f"{re.escape(folder)}/?" for folder in folders)
    return (
        _Rule((*known, *_PATTERNS), re.compile(hidden), HIDDEN),
        _Rule(tuple(folders), re.compile(paths), ""),
    )


class RedactingFilter(SafeExceptionReporterFilter):
    """Hides sensitive values on error pages also with ``DEBUG``, where the keys are real too."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True
