"""``rotate_keys``: encrypts all saved keys again with the first of ``SMNB_FIELD_KEYS``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app import credentials


class Command(BaseCommand):
    help = (
        "Encrypt all saved keys again with the first of SMNB_FIELD_KEYS. Put a new secret before "
        "the old one, restart, run this command, then remove the old secret. Safe to repeat."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        rotation = credentials.rotate()
        self.stdout.write(f"{rotation.resealed} keys encrypted again")
        if rotation.unreadable:
            raise CommandError(
                f"{rotation.unreadable} keys cannot be decrypted with any of the secrets. Put the old "
                "secret back, or ask their owners to enter them again."
            )
