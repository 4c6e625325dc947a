"""Differences of paired accuracies: published figures, and the laws that they keep."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from hwnorm.network.paired import PairedAccuracy, PairedCosine, p_text

counts = st.integers(0, 3000)
pairs = st.builds(PairedAccuracy, counts, counts, counts, counts).filter(lambda found: found.total > 0)


def test_a_published_example():
    """1, 7, 1, 12 (Bentur et al. 2009) in M. W. Fagerland et al., BMC Med. Res. Methodol. 14, 2014."""
    low, high = PairedAccuracy(1, 7, 1, 12).interval
    assert (round(low, 1), round(high, 1)) == (-50.7, -2.6)


def test_agreement_narrows_the_interval():
    """90 and 88 of 100 right: by networks that err on the same images, and by independent ones."""
    alike, apart = PairedAccuracy(870, 30, 10, 90), PairedAccuracy(792, 108, 88, 12)
    assert alike.difference == apart.difference == pytest.approx(-2.0)
    widths = [high - low for low, high in (alike.interval, apart.interval)]
    assert widths[0] < 0.6 * widths[1]
    assert alike.interval[1] < 0 < apart.interval[1]


@given(pairs)
def test_interval_holds_the_difference_and_turns_with_it(found):
    low, high = found.interval
    assert -100.0 - 1e-9 <= low <= found.difference + 1e-9
    assert found.difference - 1e-9 <= high <= 100.0 + 1e-9
    turned = PairedAccuracy(found.both, found.gained, found.lost, found.neither)
    assert turned.interval == pytest.approx((-high, -low), abs=1e-9)
    assert turned.mcnemar_p == found.mcnemar_p


@given(st.integers(0, 400), st.integers(0, 400))
def test_p_is_the_binomial_tests(lost, gained):
    found = PairedAccuracy(10, lost, gained, 10)
    want = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert found.mcnemar_p == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("cells", [(0.85, 0.04, 0.03, 0.08), (0.5, 0.2, 0.05, 0.25)])
def test_19_of_20_intervals_hold_the_true_difference(cells):
    draw = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(torch.tensor(cells), 2000 * 300, replacement=True, generator=draw).view(
        2000, 300
    )
    true, held = 100 * (cells[2] - cells[1]), 0
    for row in drawn:
        low, high = PairedAccuracy(*torch.bincount(row, minlength=4).tolist()).interval
        held += low <= true <= high
    # Where most pairs agree the method is known to be cautious.
    assert 0.94 <= held / 2000 <= 0.98


def test_pairs_are_counted():
    right = torch.tensor([True, True, False, False, False, True])
    original = torch.tensor([True, False, True, False, True, True])
    assert PairedAccuracy.of(right, original) == PairedAccuracy(both=2, lost=2, gained=1, neither=1)


def test_cosines_differ_by_the_mean_of_the_pairs():
    original = torch.linspace(0.5, 1.0, 50)
    found = PairedCosine.of(original - 0.01, original)
    assert found.difference == pytest.approx(-0.01, abs=1e-6)
    assert found.interval == pytest.approx((-0.01, -0.01), abs=1e-6)
    alone = PairedCosine.of(torch.tensor([0.5]), torch.tensor([1.0]))
    assert math.isclose(alone.difference, -0.5)
    assert alone.interval == (-2.0, 1.5)


def test_p_for_reading():
    assert (p_text(0.0004), p_text(0.01444), p_text(1.0)) == ("< 0.001", "0.014", "1.000")
