"""The tunnel under many and long orders of presses, deaths and redeliveries."""

from __future__ import annotations

import pytest
from hypothesis.stateful import invariant

from tests.broadcast.test_tunnel_property import Newsroom, try_orders


class AuditedNewsroom(Newsroom):
    """Audited after each step."""

    @invariant()
    def nothing_leaks(self) -> None:
        self.check()


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_no_order_of_presses_deaths_and_redeliveries_leaks() -> None:
    try_orders(AuditedNewsroom, examples=40, steps=25)
