from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from hwnorm.compare.traffic import NOTHING, kernel_traffic, layernorm_traffic
from hwnorm.cost.cost import resources
from hwnorm.datapath.ir import Datapath
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.profile import LayerProfile
from hwnorm.realign.realigned import Counted, Paired
from hwnorm.report.accuracy import accuracy_figure
from hwnorm.report.error import error_figure, errors
from hwnorm.report.fit import density, fit_figure
from hwnorm.report.front import FrontPoint, front_figure, loss
from hwnorm.report.operators import grouped, operators_figure, parts_of
from hwnorm.report.style import FAMILIES, save
from hwnorm.report.traffic import Site, traffic_figure
from hwnorm.search.fitness import EVOLVED
from hwnorm.search.rivals import SHAPES
from hwnorm.targets.target import KINDS, SAME_ROWS, load_target

XCUP = load_target("xcup")


def drawn(figure: Figure, path: Path) -> np.ndarray:
    save(figure, path)
    assert "<svg" in path.with_suffix(".svg").read_text(encoding="utf-8")
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return imread(path)


def kernel(text: str) -> Datapath:
    return lower(parse(text), FixedFormat(10, 6), FixedFormat(10, 6), XCUP, 300.0)


def fit(profile: LayerProfile, text: str) -> Figure:
    expression = parse(text)
    datapath = kernel(text)
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
    made = (("table", 10, 0.7), ("evolved", 20, 0.9), ("table", 30, 0.85), ("mine", 90, 0.98))
    points = [FrontPoint(family=family, cost=cost, r2=r2) for family, cost, r2 in made]
    figure = front_figure("l", points, 0.98, points[1], "0.9*x")
    steps, *families, _, ring = figure.axes[0].lines
    assert (np.diff(np.asarray(steps.get_ydata())) <= 0).all()
    assert {line.get_label(): list(line.get_xdata()) for line in families} == {
        "evolved": [20],
        "table": [10, 30],
        "mine": [90],
    }
    assert len({line.get_marker() for line in families}) == len(families)
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (20, pytest.approx(1 - 0.9 / 0.98))
    assert ring.get_label().startswith("chosen: evolved, 20, R")
    assert drawn(figure, tmp_path / "front.png").std() > 0.02


def test_front_of_one_free_function(tmp_path: Path) -> None:
    only = FrontPoint(family="affine", cost=0.0, r2=0.5)
    assert drawn(front_figure("l", [only], 0.5, only, "x"), tmp_path / "front.png").std() > 0.01


def test_loss_stays_on_a_logarithmic_axis() -> None:
    assert loss(0.9, 0.9) > 0
    assert loss(0.0, 0.0) == 1.0


def test_bars_are_as_high_as_the_accuracy(tmp_path: Path) -> None:
    top1 = {
        "layernorm": Counted(correct=9, total=10, percent=90.0, interval=(60.0, 98.0)),
        "bit_true": Counted(correct=8, total=10, percent=80.0, interval=(49.0, 94.0)),
    }
    paired = {"bit_true": Paired(lost=1, gained=0, difference=-10.0, interval=(-40.0, 18.0), mcnemar_p=1.0)}
    figure = accuracy_figure(top1, paired)
    assert [patch.get_height() for patch in figure.axes[0].patches] == [90.0, 80.0]
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "90.00 %",
        "80.00 %\n-10.00 (-40.00 to +18.00)",
    ]
    (whiskers,) = figure.axes[0].containers[-1].lines[2]
    # From LayerNorm's height, 90 %: 40 points below to 18 above.
    assert whiskers.get_segments()[0][:, 1].tolist() == [50.0, 108.0]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["LayerNorm", "bit-true"]
    assert drawn(figure, tmp_path / "bars.png").std() > 0.05


def test_the_same_figure_gives_the_same_bytes(profile: LayerProfile, tmp_path: Path) -> None:
    """PNG and SVG, of two figures that were made apart."""
    for name in ("a.png", "b.png"):
        save(fit(profile, "2*tanh(x)"), tmp_path / name)
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_families_look_different_without_colour() -> None:
    """Every family of the search has a shape of its own, in matplotlib and in Plotly."""
    assert {EVOLVED, *SHAPES, "polynomial", "pwl", "table"} == set(FAMILIES)
    for shape in ("marker", "symbol"):
        assert len({getattr(look, shape) for look in FAMILIES.values()}) == len(FAMILIES)


@pytest.mark.parametrize("text", ["2*tanh(x)", "40*x", "0.6*clip(2*x, 2.5)"])
def test_the_error_is_the_certificates(text: str, profile: LayerProfile, tmp_path: Path) -> None:
    """The picture shows, at the code that the certificate names, the error that it names."""
    datapath = kernel(text)
    codes, off = errors(parse(text), datapath)
    assert list(codes) == list(range(-512, 512))
    assert np.abs(off).max() == pytest.approx(datapath.certificate.max_error_ulp)
    assert abs(off[codes == datapath.certificate.worst_code][0]) == pytest.approx(np.abs(off).max())
    figure = error_figure("l", parse(text), datapath, profile)
    assert drawn(figure, tmp_path / "error.png").std() > 0.02
    mark = figure.axes[0].lines[-1]
    assert abs(mark.get_ydata()[0]) == pytest.approx(datapath.certificate.max_error_ulp)


def test_operations_are_stacked_to_the_whole(tmp_path: Path) -> None:
    """The bars of a kernel end at its area and its latency; one that folds has none, and says so."""
    datapath = kernel("2.5*tanh(0.75*x) + 0.25*x")
    used = resources(datapath.nodes, datapath.latency, XCUP)
    bars = [parts_of("a", datapath, used, XCUP), parts_of("b", None, used, XCUP)]
    figure = operators_figure(bars, "LUT", "title")
    area, cycles = figure.axes
    assert max(bar.get_x() + bar.get_width() for bar in area.patches) == pytest.approx(used.lut, abs=0.5)
    assert max(bar.get_x() + bar.get_width() for bar in cycles.patches) == pytest.approx(datapath.latency)
    assert [text.get_text() for text in area.texts] == [f"{used.lut} LUT, {used.ff} FF", "folds"]
    assert len({bar.get_hatch() for bar in area.patches}) == len(area.patches)
    assert drawn(figure, tmp_path / "operators.png").std() > 0.02


def test_every_kind_of_operation_belongs_to_a_group() -> None:
    """What a target can measure of a kernel has a colour and a hatch."""
    kinds = {*KINDS, *SAME_ROWS} - {"pipe"}  # the stream's control, which is no part of a kernel
    assert sum(grouped(dict.fromkeys(kinds, 1.0)).values()) == len(kinds)


def test_bytes_of_a_token(tmp_path: Path) -> None:
    """192 elements of s12f8 to s8f5, two lanes, three cycles: whole bytes are moved, bits are held."""
    formats = FixedFormat(12, 8), FixedFormat(8, 5)
    norm, function = layernorm_traffic(192, formats), kernel_traffic(192, formats, latency=3, lanes=2)
    assert (norm.held, norm.moved, norm.unbuffered) == (192 * 12 / 8, 192 * 3, 192 * 5)
    assert (function.held, function.moved, function.unbuffered) == (3 * 2 * 12 / 8, 192 * 3, 192 * 3)
    figure = traffic_figure([Site("a", norm, function), Site("b", norm, NOTHING)], "title")
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert said == ["288", "9", "288", "0: folds", "576 or 960", "576", "576 or 960", "0: folds"]
    assert drawn(figure, tmp_path / "bytes.png").std() > 0.02
