"""What another process needs to find the world of a test."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection


def database_url() -> str:
    """The database of this test, as another process finds it."""
    name = str(settings.DATABASES["default"]["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{connection.settings_dict['NAME']}"
    parts = urlsplit(os.environ["DATABASE_URL"])
    assert name == connection.settings_dict["NAME"]
    return parts._replace(path=f"/{name}").geturl()
