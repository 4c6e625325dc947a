from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from hwnorm.datapath.lower import lower
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.profile import LayerProfile
from hwnorm.report.accuracy import accuracy_figure
from hwnorm.report.artefacts import Accuracy, FrontPoint
from hwnorm.report.fit import density, fit_figure
from hwnorm.report.front import front_figure, loss
from hwnorm.report.style import save
from hwnorm.targets.target import load_target


def drawn(figure: Figure, path: Path) -> np.ndarray:
    save(figure, path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return imread(path)


def fit(profile: LayerProfile, text: str) -> Figure:
    expression = parse(text)
    datapath = lower(expression, FixedFormat(10, 6), FixedFormat(10, 6), load_target("xcup"), 300.0)
    return fit_figure("blocks.3.norm1", profile, expression, datapath, 0.98, 0.99)


def test_fit_shows_nearly_all_points_and_twice_the_calibrated_range(
    profile: LayerProfile, tmp_path: Path
) -> None:
    figure = fit(profile, "2*tanh(x)")
    core, wide = figure.axes
    assert profile.x_min < core.get_xlim()[0] < core.get_xlim()[1] < profile.x_max
    low, high = wide.get_xlim()
    assert high - low == pytest.approx(2 * (profile.x_max - profile.x_min))
    assert figure.get_suptitle() == "blocks.3.norm1:  R² 0.980 of 0.990\n2*tanh(x)"
    assert len(np.unique(drawn(figure, tmp_path / "fit.png").reshape(-1, 4), axis=0)) > 50


def test_a_function_that_runs_away_does_not_flatten_the_data(profile: LayerProfile) -> None:
    bottom, top = fit(profile, "0.25*square(x)").axes[1].get_ylim()
    assert top - bottom < 30


def test_density_holds_all_points(profile: LayerProfile) -> None:
    grid = np.linspace(profile.x_min, profile.x_max, 41)
    shares = density(profile, grid)
    assert shares.sum() == pytest.approx(1.0, abs=1e-3)
    assert (shares >= 0).all()
    inside = (profile.x > grid[20]) @ profile.weight / profile.weight.sum()
    assert shares[20:].sum() == pytest.approx(inside, abs=0.01)


def test_front_steps_down_and_marks_the_chosen(tmp_path: Path) -> None:
    points = [FrontPoint(cost=c, r2=r) for c, r in ((10, 0.7), (20, 0.9), (30, 0.85), (90, 0.98))]
    figure = front_figure("l", points, 0.98, points[1], "0.9*x")
    dots, steps, chosen = figure.axes[0].lines
    assert list(dots.get_xdata()) == [10, 20, 30, 90]
    assert (np.diff(np.asarray(steps.get_ydata())) <= 0).all()
    assert (chosen.get_xdata()[0], chosen.get_ydata()[0]) == (20, pytest.approx(1 - 0.9 / 0.98))
    assert "20 LUT-equivalents" in figure.axes[0].texts[0].get_text()
    assert drawn(figure, tmp_path / "front.png").std() > 0.02


def test_front_of_one_free_function(tmp_path: Path) -> None:
    only = FrontPoint(cost=0.0, r2=0.5)
    assert drawn(front_figure("l", [only], 0.5, only, "x"), tmp_path / "front.png").std() > 0.01


def test_loss_stays_on_a_logarithmic_axis() -> None:
    assert loss(0.9, 0.9) > 0
    assert loss(0.0, 0.0) == 1.0


def test_bars_are_as_high_as_the_accuracy(tmp_path: Path) -> None:
    top1 = {
        "layernorm": Accuracy(correct=9, total=10, percent=90.0, interval=(60.0, 98.0)),
        "bit_true": Accuracy(correct=8, total=10, percent=80.0, interval=(49.0, 94.0)),
    }
    figure = accuracy_figure(top1)
    assert [patch.get_height() for patch in figure.axes[0].patches] == [90.0, 80.0]
    assert [text.get_text() for text in figure.axes[0].texts] == ["90.00 %", "80.00 %"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["LayerNorm", "bit-true"]
    assert drawn(figure, tmp_path / "bars.png").std() > 0.05
