"""``api_token USERNAME``: creates an API token and prints nothing else."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app import api_tokens


class Command(BaseCommand):
    help = "Create an API token for a user and print it. It cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            owner = User.objects.get(username=options["username"], is_active=True)
        except User.DoesNotExist:
            raise CommandError("There is no such active user.") from None
        self.stdout.write(api_tokens.make(owner))
