"""The choices for the network in the report, and a layer for which nothing is built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwnorm.choose.offers import NOTHING
from hwnorm.files import write_artefact
from hwnorm.report.artefacts import ChoicePoint, Choices
from hwnorm.report.choices import choices_figure
from hwnorm.report.page import write_report

POINTS = [
    {"area": 0.0, "predicted_loss": 0.25, "measured_loss": 0.3125, "agreement": 81.5},
    {"area": 40.0, "predicted_loss": 0.125, "measured_loss": None, "agreement": None},
    {"area": 90.0, "predicted_loss": 0.0625, "measured_loss": 0.0725, "agreement": 93.5},
]
CHOICES = {"loss": "KL divergence, nats an image", "images": 256, "front": POINTS}


@pytest.fixture
def folded(run: Path) -> Path:
    """The run with its choices, whose second layer folds."""
    write_artefact(run / "choices.json", "choices", 7, "o" * 16, CHOICES)
    data = json.loads((run / "choice.json").read_text())
    none = NOTHING.to_json()
    data["layers"][1] |= {"expression": "0.5*x", "resources": none, "folded": True, "datapath": None}
    data |= {"area": 40.0, "predicted_loss": 0.125, "measured_loss": 0.1425, "agreement": 91.5}
    (run / "choice.json").write_text(json.dumps(data))
    return run


def test_predicted_and_measured_stand_in_the_page(folded):
    """Measured choices of the front and the one that is built, in figures and in the picture."""
    page = write_report(folded).read_text()
    for text in ("0.2500", "0.3125", "81.5 %", "0.0725", "built: 40", "0.1425", "91.5 %", "256 training"):
        assert text in page
    assert (folded / "report" / "choices.png").is_file()


def test_a_folded_layer_is_told_of(folded):
    """No formats, no verdict, no Verilog: it folds; the other kernel's verdict is counted alone."""
    page = write_report(folded).read_text()
    assert "folds into the linear layers that read it: nothing to build" in page
    assert "There is nothing to build or to verify" in page
    assert "Of 1 kernels, 1 are bit-exact in Verilator and 1 in HLS C++" in page
    assert "1 of 2 norms fold into linear layers and need no kernel." in page


def test_the_picture_shows_what_was_measured():
    """The steps hold every choice, the dots those that were measured, the diamond the one that is built."""
    choices = Choices.model_validate(CHOICES)
    built = ChoicePoint(area=40.0, predicted_loss=0.125, measured_loss=0.1425, agreement=91.5)
    (axes,) = choices_figure(choices, built).axes
    steps, dots, diamond = axes.get_lines()
    assert list(steps.get_ydata()) == [0.25, 0.125, 0.0625]
    assert list(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [(0.0, 0.3125), (90.0, 0.0725)]
    assert (diamond.get_xdata()[0], diamond.get_ydata()[0]) == (40.0, 0.1425)
