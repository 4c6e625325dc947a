"""A profile's sums say exactly what all its points would say, and survive merging and JSON."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from run_folders import profile_artefact

import hwnorm.profile
from hwnorm.errors import InputError
from hwnorm.profile import Bins, LayerProfile, Profile, bin_edges

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def points(seed: int, tokens: int, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(tokens, 8, generator=generator)
    return x, torch.tanh(x) + 0.1 * torch.randn(tokens, 8, generator=generator)


def profile_of(x: torch.Tensor, y: torch.Tensor, edges: torch.Tensor) -> LayerProfile:
    profile = LayerProfile.empty(8, edges)
    profile.update(x, y, images=1)
    return profile


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), tokens=st.integers(2, 300), scale=st.floats(0.01, 100))
def test_error_splits_into_within_and_between_bins(seed, tokens, scale):
    """For f constant in each bin, mse from the bins is the mean over the points (to rounding)."""
    x, y = points(seed, tokens, scale)
    profile = profile_of(x, y, bin_edges(points(seed + 1, 50)[0]))
    levels = np.random.default_rng(seed).normal(size=len(profile.count))
    bins = np.searchsorted(profile.edges, x.flatten().numpy(), side="left")
    direct = np.mean((levels[bins] - y.flatten().double().numpy()) ** 2)
    assert profile.mse(levels[profile.count > 0]) == pytest.approx(direct, rel=1e-9)


def test_means_and_extremes_are_those_of_the_points():
    x, y = points(0, 500)
    profile = profile_of(x, y, bin_edges(x))
    assert profile.weight.sum() == x.numel()
    assert (profile.x_min, profile.x_max) == (float(x.min()), float(x.max()))
    assert (profile.y_min, profile.y_max) == (float(y.min()), float(y.max()))
    assert profile.variance == pytest.approx(float(y.double().var(correction=0)), rel=1e-9)
    assert np.all(np.diff(profile.x) > 0)
    assert profile.tokens == 500


def test_the_mean_of_each_bin_reaches_the_ceiling_and_nothing_passes_it():
    x, y = points(0, 5000)
    profile = profile_of(x, y, bin_edges(x))
    assert profile.r2(profile.y) == pytest.approx(profile.ceiling_r2)
    assert profile.r2(np.tanh(profile.x)) < profile.ceiling_r2
    assert profile.r2(np.tanh(profile.x)) == pytest.approx(1 - 0.01 / profile.variance, abs=2e-3)


def test_bins_follow_the_quantiles_and_reach_far_beyond_the_first_batch():
    x, _ = points(0, 4000)
    edges = bin_edges(x)
    assert 1024 <= len(edges) < 1200
    assert edges[0] < 8 * x.min()
    assert edges[-1] > 8 * x.max()
    inside = profile_of(x, x, edges).weight
    assert inside.max() <= 2 * x.numel() / 1024


def test_a_constant_input_makes_a_profile_too():
    x = torch.full((10, 8), 3.0)
    profile = profile_of(x, torch.zeros(10, 8), bin_edges(x))
    assert profile.x.tolist() == [3.0]


def test_batches_and_merged_profiles_are_the_same_as_all_at_once():
    (x, y), (x2, y2) = points(0, 300), points(1, 200)
    edges = bin_edges(x)
    whole = profile_of(torch.cat([x, x2]), torch.cat([y, y2]), edges)
    merged = profile_of(x, y, edges)
    merged.merge(profile_of(x2, y2, edges))
    np.testing.assert_array_equal(merged.count, whole.count)
    np.testing.assert_allclose(merged.sum_yy, whole.sum_yy, rtol=1e-12)
    assert (merged.x_min, merged.y_max, merged.tokens) == (whole.x_min, whole.y_max, whole.tokens)
    with pytest.raises(ValueError, match="different bins"):
        merged.merge(profile_of(x2, y2, bin_edges(x2)))


def test_profiles_come_back_from_disk_exactly(tmp_path):
    x, y = points(0, 300)
    profile = profile_of(x, y, bin_edges(x))
    profile_artefact(profile, "norm").write(tmp_path / "p.json", 0, {})
    back = Profile.read(tmp_path / "p.json").statistics
    for field in fields(profile):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(profile, field.name))


def test_a_damaged_profile_is_named(tmp_path):
    x, y = points(0, 30)
    path = tmp_path / "p.json"
    profile_artefact(profile_of(x, y, bin_edges(x)), "norm").write(path, 0, {})
    data = json.loads(path.read_text())
    data["sum_x"].pop()
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"p\.json: .*sum_x: \d+ numbers; \d+ edges make \d+ bins"):
        Profile.read(path)
    del data["count"]
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="count: missing"):
        Profile.read(path)


@given(
    st.lists(FLOATS, min_size=1, max_size=200),
    st.lists(FLOATS, min_size=1, max_size=200, unique=True),
    st.sampled_from([1, 8, 1 << 14]),
    st.sampled_from([1, 1024]),
)
def test_bins_are_those_of_bisection(values, edges, cells, quantiles):
    """However the points lie, huge, equal or on the edges, and however many cells span however much."""
    x = np.array(values + edges, np.float32)
    edges = np.sort(np.array(edges, np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hwnorm.profile, "_CELLS", cells)
        patch.setattr(hwnorm.profile, "QUANTILE_BINS", quantiles)
        assert (Bins(edges).of(x) == np.searchsorted(edges, x)).all()


def test_bins_of_many_points_are_those_of_bisection():
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).pow(3)
    edges = bin_edges(x[:2000]).numpy()
    assert (Bins(edges).of(x.numpy()) == np.searchsorted(edges, x.numpy())).all()
