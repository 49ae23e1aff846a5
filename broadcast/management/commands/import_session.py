"""``import_session ZIP [--owner USERNAME]``: bring in what ``export_session`` has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from broadcast.transfer import importer
from sessions_app import context
from sessions_app.errors import SmnbError


class Command(BaseCommand):
    help = "Bring an exported session (ZIP) in as a new one; a second time it is the same one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("zip", type=Path)
        parser.add_argument("--owner", metavar="USERNAME", help="whose it becomes (the first user)")

    def handle(self, *args: Any, **options: Any) -> None:
        people = User.objects.order_by("pk")
        owner = (people.filter(username=options["owner"]) if options["owner"] else people).first()
        if owner is None:
            raise CommandError("There is no such user.")
        with context.scope(command="import_session"):
            try:
                brought = importer.import_file(options["zip"], owner)
            except SmnbError as error:
                raise CommandError(error.sentence) from None
            except OSError as error:
                raise CommandError(f"{options['zip'].name}: {error.strerror}.") from None
        note = "" if brought.new else " (it was here already)"
        self.stdout.write(f"{brought.session.pk}{note}")
