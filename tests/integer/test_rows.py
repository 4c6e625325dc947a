"""Weights as codes: scales that multipliers have, errors that make up for each other, and who gets bits."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.integers import rows
from hwnorm.integers.operations import MULTIPLIER_BITS

seeds = st.integers(0, 2**32 - 1)


def problem(seed: int, most_inputs: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, the Gram matrix of correlated inputs (some always the same), and bits."""
    rng = np.random.default_rng(seed)
    outputs, inputs = int(rng.integers(1, 12)), int(rng.integers(2, most_inputs))
    mixed = rng.standard_normal((4 * inputs, inputs)) @ rng.standard_normal((inputs, inputs))
    x = mixed * np.exp(rng.normal(size=inputs))
    x[:, rng.random(inputs) < 0.1] = 3.0
    x -= x.mean(0)
    weight = rng.standard_normal((outputs, inputs)) * np.exp(rng.normal(size=(outputs, 1)))
    return weight, x.T @ x, rng.choice(np.array([4, 8], dtype=np.uint8), size=outputs)


@given(seeds, st.integers(-20, 20))
def test_multipliers_have_their_scales_exactly(seed, power):
    """scale = multiplier 2^-shift unit in rational numbers; each the nearest, the largest with all bits."""
    rng = np.random.default_rng(seed)
    wanted, unit = np.exp(rng.uniform(-6, 6, size=8)), 2.0**power
    found = rows.Multipliers.of(wanted, unit)
    most = (1 << (MULTIPLIER_BITS - 1)) - 1
    assert found.multiplier.min() >= 1
    assert most // 2 <= found.multiplier.max() <= most
    step = Fraction(2) ** -found.shift * Fraction(unit)
    for m, scale, aim in zip(found.multiplier.tolist(), found.scales.tolist(), wanted.tolist(), strict=True):
        assert m * step == Fraction(scale)
        assert abs(Fraction(aim) - m * step) <= step / 2 or m == 1


def test_a_scale_too_small_for_its_shift_is_one_step():
    """A row that would round to nothing keeps a multiplier."""
    found = rows.Multipliers.of(np.array([1.0, 1e-9]), 0.5)
    assert found.multiplier.tolist() == [1 << 16, 1]
    assert found.scales.tolist() == [1.0, 2.0**-16]


def test_a_layer_of_nothing_keeps_a_shift_that_its_stream_can_take():
    """Weights that are all zero, as a LayerScale of zero leaves them: the shift has an end."""
    weight, gram = np.zeros((2, 3)), np.eye(3)
    scale = rows.scales(weight, gram, np.array([4, 8], dtype=np.uint8))
    found = rows.Multipliers.of(scale, 0.5)
    assert found.shift == rows.MOST_SHIFT
    assert found.multiplier.tolist() == [1, 1]
    assert (rows.rounded(weight, gram, found.scales, np.array([4, 8], dtype=np.uint8)) == 0).all()


def test_codes_are_within_their_bits_and_most_often_better_than_the_nearest():
    """On 200 problems: never out of range; less error in the mean, and by a good deal; hardly ever more."""
    shares = []
    for seed in range(200):
        weight, gram, bits = problem(seed)
        scale = rows.scales(weight, gram, bits)
        most = rows.largest_code(bits)
        codes = rows.rounded(weight, gram, scale, bits)
        assert (codes == np.round(codes)).all()
        assert (np.abs(codes) <= most[:, None]).all()
        plain = rows.errors(weight, gram, rows.nearest(weight, scale, most), scale)
        shares.append(rows.errors(weight, gram, codes, scale).sum() / plain.sum())
    assert np.mean(shares) < 0.65
    assert np.mean(np.array(shares) > 1) < 0.02


@given(seeds)
def test_looking_again_never_makes_codes_worse(seed):
    """Coordinate descent from any codes: delta^T G delta does not grow, and no code leaves its range."""
    weight, gram, bits = problem(seed)
    rng = np.random.default_rng(seed)
    most = rows.largest_code(bits).astype(float)
    scale = rows.scales(weight, gram, bits)
    gram = gram + 1e-3 * gram.diagonal().mean() * np.eye(len(gram))
    before = np.round(rng.uniform(-most[:, None], most[:, None], size=weight.shape))
    after = rows._settled(before.copy(), weight, gram, scale, most, rows.SWEEPS)
    was, now = (rows.errors(weight, gram, codes, scale) for codes in (before, after))
    assert (now <= was * (1 + 1e-9) + 1e-12).all()
    assert (np.abs(after) <= most[:, None]).all()


@given(seeds)
def test_errors_are_those_of_the_outputs(seed):
    """delta^T G delta is the sum of squared differences over the inputs that G is of."""
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal((30, 5)), rng.standard_normal((3, 5))
    codes, scale = rng.integers(-7, 8, (3, 5)).astype(float), rng.uniform(0.1, 1, 3)
    wanted = ((x @ weight.T - (x @ codes.T) * scale) ** 2).sum(0)
    assert rows.errors(weight, x.T @ x, codes, scale) == pytest.approx(wanted)


@given(seeds)
def test_a_refitted_scale_is_the_best_there_is(seed):
    """No scale nearby has less error; where the best is not positive, the old one stays."""
    weight, gram, bits = problem(seed)
    scale = rows.scales(weight, gram, bits)
    codes = rows.nearest(weight, scale, rows.largest_code(bits))
    codes[0] = 0
    better = rows.refitted_scales(weight, gram, codes, scale)
    assert better[0] == scale[0]
    least = rows.errors(weight, gram, codes, better)
    # What rounding does to a row whose inputs are all the same but one.
    slack = 1e-9 * rows.errors(weight, gram, np.zeros_like(codes), scale)
    assert (least <= rows.errors(weight, gram, codes, scale) + slack).all()
    for factor in (0.99, 1.01):
        moved = rows.errors(weight, gram, codes, better * factor) + slack
        assert (least <= moved)[better != scale].all()


def test_counts_are_multiples_and_all():
    """Whether or not the step divides the rows."""
    assert rows.counts(8, 4) == [0, 4, 8]
    assert rows.counts(10, 4) == [0, 4, 8, 10]
    assert rows.counts(3, 4) == [0, 3]


def test_a_layers_count_is_the_nearest():
    """The fewer of two that are equally near; none and all at the ends."""
    assert [rows.layer_count(10, ratio, 4) for ratio in (0, 0.2, 0.21, 0.6, 0.91, 1)] == [0, 0, 4, 4, 10, 10]


@given(st.data())
def test_the_network_spends_its_budget_as_brute_force_would(data):
    """The same gain as the best of all choices, and never more than may be spent."""
    layers = data.draw(st.integers(1, 4))
    step = data.draw(st.integers(1, 4))
    costs = data.draw(st.lists(st.integers(1, 12), min_size=layers, max_size=layers))
    gain = st.lists(st.integers(0, 100), min_size=1, max_size=7)
    gains = [np.array(sorted(data.draw(gain), reverse=True), dtype=float) for _ in costs]
    ratio = data.draw(st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0]))
    budget = ratio * sum(cost * len(g) for cost, g in zip(costs, gains, strict=True)) + 1e-9

    def spent(taken):
        return sum(cost * count for cost, count in zip(costs, taken, strict=True))

    def gained(taken):
        return sum(g[:count].sum() for g, count in zip(gains, taken, strict=True))

    found = rows.network_counts(gains, costs, ratio, step)
    possible = list(itertools.product(*(rows.counts(len(g), step) for g in gains)))
    assert found in possible
    assert spent(found) <= budget
    assert gained(found) == max(gained(taken) for taken in possible if spent(taken) <= budget)
