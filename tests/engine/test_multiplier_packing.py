"""Several products by one multiplier: right for all codes, and as many as the ports allow."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.engine.packing import MULTIPLIERS, Factors, Multiplier, Packing, packings
from hwnorm.errors import InputError

#: Products of one multiplication, by device and bits of weights and activations.
LANES = {
    ("xcup", 4, 8): 3,
    ("xcup", 4, 6): 4,
    ("xcup", 4, 4): 6,
    ("xcup", 8, 8): 2,
    ("xcup", 8, 6): 2,
    ("ecp5", 4, 8): 2,
    ("ecp5", 4, 6): 2,
    ("ecp5", 4, 4): 4,
    ("ecp5", 8, 8): 1,
    ("ecp5", 8, 6): 1,
}


class Unchecked(Packing):
    """Whatever its ranges say."""

    def __post_init__(self) -> None:
        pass


def combinations(packing: Packing) -> int:
    return math.prod((f.most - f.least + 1) ** f.count for f in (packing.wide, packing.narrow))


@pytest.mark.parametrize("case", LANES, ids=str)
def test_every_packing_is_right_for_all_codes(case):
    device, weights, activations = case
    found = packings(MULTIPLIERS[device], weights, activations)
    assert {packing.lanes for packing in found} == {LANES[case]}
    for packing in found:
        assert packing.wrong() == 0


@given(
    port=st.integers(6, 16),
    narrow=st.integers(4, 6),
    weights=st.integers(2, 4),
    activations=st.integers(2, 4),
)
def test_what_the_ranges_allow_is_right(port, narrow, weights, activations):
    """Whatever the ports."""
    for packing in packings(Multiplier(port, narrow), weights, activations):
        if combinations(packing) <= 1 << 16:
            assert packing.wrong() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gap": 10}, "products from -896 to 896 in 10 bits"),
        ({"gap": 12}, "the wide port has 27 bits, and sums from"),
        ({"narrow": Factors.activations(2, 8)}, "the narrow port has 18 bits"),
        ({"wide": Factors(3, 4, -8, 7)}, "products from -1016 to 1024 in 11 bits"),
    ],
)
def test_what_does_not_fit_is_refused_and_would_be_wrong(changes, message):
    given = {"multiplier": MULTIPLIERS["xcup"], "gap": 11}
    given |= {"wide": Factors.weights(3, 4), "narrow": Factors.activations(1, 8)} | changes
    with pytest.raises(InputError, match=message):
        Packing(**given)
    if "port" not in message:
        assert Unchecked(**given).wrong() > 0
