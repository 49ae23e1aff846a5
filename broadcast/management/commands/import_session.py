"""``import_session ZIP [--owner USERNAME]``: import what ``export_session`` has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from broadcast.transfer import importer
from sessions_app import context
from sessions_app.errors import SmnbError


class Command(BaseCommand):
    help = "Import an exported session (ZIP) as a new one; importing it again returns the same one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("zip", type=Path)
        parser.add_argument(
            "--owner", metavar="USERNAME", help="the owner (the first user by default)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        users = User.objects.order_by("pk")
        owner = (users.filter(username=options["owner"]) if options["owner"] else users).first()
        if owner is None:
            raise CommandError("There is no such user.")
        with context.scope(command="import_session"):
            try:
                imported = importer.import_file(options["zip"], owner)
            except SmnbError as error:
                raise CommandError(error.sentence) from None
            except OSError as error:
                raise CommandError(f"{options['zip'].name}: {error.strerror}.") from None
        note = "" if imported.new else " (it existed already)"
        self.stdout.write(f"{imported.session.pk}{note}")
