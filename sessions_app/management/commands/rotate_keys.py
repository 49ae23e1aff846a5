"""``rotate_keys``: seal all saved keys anew with the first of ``SMNB_FIELD_KEYS``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app import encryption


class Command(BaseCommand):
    help = (
        "Seal all saved keys anew with the first of SMNB_FIELD_KEYS. Put a new secret before the "
        "old one, restart, run this, then take the old one away. Safe to repeat."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        found = encryption.rotate()
        self.stdout.write(f"{found.resealed} keys sealed anew")
        if found.unreadable:
            raise CommandError(
                f"{found.unreadable} keys are opened by none of the secrets. Put the old secret "
                "back, or have their owners enter them again."
            )
