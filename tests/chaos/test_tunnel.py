"""The tunnel under many and long orders of presses, deaths and redeliveries."""

from __future__ import annotations

import pytest

from tests.broadcast.test_tunnel_property import try_orders


@pytest.mark.django_db(transaction=True)
def test_no_order_of_presses_deaths_and_redeliveries_leaks() -> None:
    try_orders(examples=40, steps=25)
