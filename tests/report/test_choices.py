"""Choices in the page and in their picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import choose, finish, point

from hwnorm.choose.choices import Choices
from hwnorm.choose.offers import NOTHING
from hwnorm.network.choice import Budget, Choice
from hwnorm.report.choices import choices_figure
from hwnorm.report.page import write_report
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import CHOICE

POINTS = [point(0.0, 0.25, 0.3125, 81.5), point(40.0, 0.125, None, None), point(90.0, 0.0625, 0.0725, 93.5)]
BUILT = point(40.0, 0.125, 0.1425, 91.5)


@pytest.fixture
def folded(run: Path) -> Path:
    """The run with three choices, whose second layer folds."""
    opened = RunFolder.open(run)
    first, second = opened.read(CHOICE).layers
    line = {"expression": "0.5*x", "resources": NOTHING, "datapath": None}
    layers = [first, second.model_copy(update=line)]
    choose(opened, layers, POINTS, BUILT)
    finish(opened, layers)
    return run


def page_of(run: Path) -> str:
    write_report(run)
    return (run / "report.html").read_text(encoding="utf-8")


def test_predicted_and_measured_stand_in_the_page(folded):
    """Measured choices of the front and the one that is built, in figures and in the picture."""
    page = page_of(folded)
    for text in ("0.2500", "0.3125", "81.5 %", "0.0725", "built: 40", "0.1425", "91.5 %", "256 training"):
        assert text in page
    assert (folded / "report" / "choices.png").is_file()


def test_a_folded_layer_is_told_of(folded):
    """No formats, no verdict, no Verilog: it folds; the other kernel's verdict is counted alone."""
    page = page_of(folded)
    assert "folds into the linear layers that read it: nothing to build" in page
    assert "There is nothing to build or to verify" in page
    assert "Of 1 kernels, 1 are bit-exact in Verilator and 1 in HLS C++" in page
    assert "1 of 2 norms fold into linear layers and need no kernel." in page


def test_the_picture_shows_what_was_measured():
    """The steps hold every choice, the dots those that were measured, the diamond the one that is built."""
    choices = Choices(loss="KL", images=256, measured_images=128, base_loss=0.1, front=(), layers=())
    choices = choices.model_copy(update={"front": tuple(POINTS)})
    budget = Budget(total_area=None, max_loss=None, within=0.1)
    built = Choice(budget=budget, layers=(), **BUILT.model_dump(exclude={"picks"}))
    (axes,) = choices_figure(choices, built).axes
    steps, dots, diamond = axes.get_lines()
    assert list(steps.get_ydata()) == [0.25, 0.125, 0.0625]
    assert list(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [(0.0, 0.3125), (90.0, 0.0725)]
    assert (diamond.get_xdata()[0], diamond.get_ydata()[0]) == (40.0, 0.1425)
