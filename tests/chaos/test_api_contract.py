"""Many generated calls of the API by its owner, a stranger and nobody (tests/smnb/api_contract.py)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.broadcast.session_with_history import with_a_past
from tests.conftest import MakeSession
from tests.smnb.api_contract import call_and_compare


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["owner", "stranger", ""])
def test_every_answer_is_declared(
    who: str, owner: User, stranger: User, make_session: MakeSession, settings: Any
) -> None:
    free = {"limit_reads": 0, "limit_writes": 0, "limit_go_live": 0}
    settings.SMNB = settings.SMNB.model_copy(update=free)
    session = with_a_past(make_session("Harbour news"))
    user = {"owner": owner, "stranger": stranger, "": None}[who]
    call_and_compare(user, session, 400)
