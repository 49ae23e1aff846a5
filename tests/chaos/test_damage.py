"""Damages to every table and column; tests/smnb/test_damage.py does a few of them."""

from __future__ import annotations

import pytest

from sessions_app import audits
from tests.chaos.damage import HARMLESS, a_past, damage
from tests.conftest import MakeSession

LEAST_FOUND = 0.99


@pytest.mark.django_db
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1])
@pytest.mark.long
def test_damages_are_found_or_harmless(make_session: MakeSession, seed: int) -> None:
    a_past(make_session)
    assert "\n".join(finding.detail for finding in audits.run()) == ""
    damages = damage((), seed)
    counted = f"{damages.done} damages, {damages.harmless} of them in harmless columns"
    print(f"\nseed {seed}: {counted}, {len(damages.missed)} missed", *damages.missed, sep="\n")
    assert damages.done > 400
    share = 1 - len(damages.missed) / damages.done
    assert share >= LEAST_FOUND, "\n".join([counted, *damages.missed])


def test_every_harmless_column_has_its_reason() -> None:
    assert [name for name, reason in HARMLESS.items() if len(reason) < 20] == []
