"""Base class of the management commands for one session."""

from __future__ import annotations

from contextlib import AbstractContextManager
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app import commands, context
from sessions_app.commands import Command, R
from sessions_app.errors import SmnbError
from sessions_app.models import Session


class SessionCommand(BaseCommand):
    """A command whose first argument is the id of a session; it acts as the session's owner."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", type=UUID, help="the session's id")

    def find(self, session_id: UUID) -> Session:
        """Returns the session; raises CommandError when there is none."""
        try:
            return Session.objects.select_related("owner").get(pk=session_id)
        except Session.DoesNotExist:
            raise CommandError("There is no such session.") from None

    def run_command(self, command: Command[R], session: Session) -> R:
        """Runs a command as the session's owner; raises CommandError when it is refused."""
        with self.door(session):
            try:
                return commands.run(command, session.owner, session, {})
            except SmnbError as error:
                raise CommandError(error.sentence) from None

    def door(self, session: Session) -> AbstractContextManager[None]:
        """Returns the logging context of what the command does in the session."""
        return context.scope(
            cause="",
            **context.session_fields(session),
            environment="command",
            user=session.owner_id,
            request=context.new_id(),
            operation=type(self).__module__.rpartition(".")[2],
        )
