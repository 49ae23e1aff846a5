"""Every expression of the product with long texts made from its own parts."""

from __future__ import annotations

import pytest

from tests.smnb.expressions import OWN_TEXT, all_expressions, slow_text


@pytest.mark.long
def test_every_expression_reads_a_hundred_kilobytes_in_proportion() -> None:
    assert [
        f"{each.place} with {slow!r}"
        for each in all_expressions()
        if not each.place.startswith(OWN_TEXT) and (slow := slow_text(each, 10_000))
    ] == []
