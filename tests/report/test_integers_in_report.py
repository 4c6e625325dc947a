"""The network in integers in the page of a run, and its pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from report_runs import quantize

from hwnorm.fixed import FixedFormat
from hwnorm.integers.stored import STEPS, LayerBits
from hwnorm.report.integers import bits_figure, bytes_figure, left_figure
from hwnorm.report.page import write_report
from hwnorm.report.style import save
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import INTEGER
from hwnorm.stages.report import report

HEADING = "<h2>The network in integers</h2>"
PICTURES = {f"{name}.{kind}" for name in ("bits", "left", "weights") for kind in ("png", "svg")}
LAYERS = (
    LayerBits(layer="first", rows=40, inputs=16, rows8=40, output=FixedFormat(16, 8), left=0.0),
    LayerBits(layer="second", rows=40, inputs=100, rows8=10, output=FixedFormat(8, 4), left=0.0125),
    LayerBits(layer="third", rows=10, inputs=8, rows8=0, output=FixedFormat(8, 4), left=0.0001),
)


@pytest.fixture
def quantized(run: Path) -> Path:
    """The run with a network in integers."""
    quantize(RunFolder.open(run))
    return run


def page_of(run: Path, jobs: int = 1) -> str:
    write_report(run, jobs)
    return (run / "report.html").read_text(encoding="utf-8")


def section_of(page: str) -> str:
    return page.split(HEADING)[1].split("<h2>")[0]


def row_of(section: str, name: str) -> list[str]:
    row = re.search(rf"<tr><td>{name}</td>.*?</tr>", section, re.DOTALL)
    assert row is not None
    return re.findall(r">([^<]+)</td>", row[0])[1:]


def test_each_step_is_told(quantized: Path) -> None:
    """From the original to integers, beside the original on the same images; and what the network takes."""
    section = section_of(page_of(quantized))
    interval = "88.00 to 92.00 %"
    assert row_of(section, "the original") == ["91.05 %", interval, "1821", "2000"]
    difference = ["-1.00 (-1.90 to -0.10)", "50, 30", "0.062"]
    assert row_of(section, "all integers") == ["90.05 %", interval, "1801", "2000", *difference]
    assert [
        row_of(section, name)[2] for name in ("functions, re-aligned, bit-true", "weights quantized")
    ] == [
        "1805",
        "1804",
    ]
    assert row_of(section, "weights and activations quantized")[2] == "1803"
    assert "Weights: 1.3 kB in rows of 4 and 8 bits." in section
    assert "Largest buffers for one image: activations 3.1 kB, stream 9.4 kB." in section
    assert "Formats of tensors: 8 bits (s8f7); 16 bits (s16f9, s16f11)." in section
    assert "cafe4567" in section
    assert "1,234 training images" in section


def test_pictures_stand_in_the_section(quantized: Path) -> None:
    """Drawn in processes of their own, as a run of several jobs has them."""
    section = section_of(page_of(quantized, jobs=2))
    assert {path.name for path in (quantized / "report").iterdir()} >= PICTURES
    assert re.findall(r'<img src="data:image/png;base64,[^"]+" alt="(A \w+ for each \w+)', section) == [
        "A bar for each linear",
        "A dot for each linear",
        "A marker for each step",
    ]


def test_without_classes_cosines_are_told(quantized: Path) -> None:
    path = quantized / "integer.json"
    data = json.loads(path.read_text())
    for score in data["scores"].values():
        score |= {"top1": None, "top5": None}
    nothing = dict.fromkeys(("both", "lost", "gained", "neither", "mcnemar_p"))
    for name in data["paired"]:
        data["paired"][name] = {"difference": -0.01, "interval": [-0.0125, -0.0075]} | nothing
    path.write_text(json.dumps(data))
    section = section_of(page_of(quantized))
    assert row_of(section, "the original") == ["0.9900", "0.9800 to 1.0000", "0.9000"]
    assert row_of(section, "all integers")[-1] == "-0.0100 (-0.0125 to -0.0075)"
    assert "Top-1" not in section


def test_a_run_without_integers_lacks_nothing(run: Path) -> None:
    """No heading, no picture and no complaint: it was left out."""
    page = page_of(run)
    assert HEADING not in page
    assert "integer.json" not in page
    assert not PICTURES & {path.name for path in (run / "report").iterdir()}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("settings", "stale: made with other settings"),
        ("codes", "stale: integer.safetensors changed since it was written"),
        ("realign", "stale: made from another realign"),
    ],
)
def test_stale_integers_are_not_shown(quantized: Path, change: str, why: str) -> None:
    """Nor do their pictures stay; the page says why, and what renews them."""
    for name in PICTURES:
        (quantized / "report").mkdir(exist_ok=True)
        (quantized / "report" / name).touch()
    if change == "settings":
        data = json.loads((quantized / "run.json").read_text())
        data["settings"]["ratio8"] += 0.125
        (quantized / "run.json").write_text(json.dumps(data))
    elif change == "codes":
        (quantized / "integer.safetensors").write_bytes(b"others")
    else:
        data = json.loads((quantized / "realign.json").read_text())
        (quantized / "realign.json").write_text(json.dumps(data | {"seal": "of other weights"}))
    page = page_of(quantized)
    assert f"<code>integer.json</code>: {why}; `hwnorm quantize {quantized}` renews it" in page
    assert HEADING not in page
    assert "cafe4567" not in page
    assert not PICTURES & {path.name for path in (quantized / "report").iterdir()}


def test_integers_renew_the_page(run: Path) -> None:
    """The stage draws a page again that integers came beside, and only then."""
    folder = RunFolder.open(run)
    assert HEADING not in report(folder).read_text()
    quantize(folder)
    page = report(folder)
    assert HEADING in page.read_text()
    before = page.stat().st_mtime_ns
    assert report(folder).stat().st_mtime_ns == before


def test_bars_are_the_shares_of_rows(tmp_path: Path) -> None:
    """All wide, a quarter, none, from the top; at the right what the weights take, by hand."""
    figure = bits_figure(LAYERS)
    (axes,) = figure.axes
    bars = [(round(bar.get_y() + 0.35), bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0, 0.0, 100.0), (1, 0.0, 25.0), (1, 25.0, 75.0), (2, 0.0, 100.0)]
    wide, *_, narrow = axes.patches
    assert wide.get_facecolor() != narrow.get_facecolor()
    assert wide.get_hatch() != narrow.get_hatch()
    # 40 x 16 bytes; 10 x 100 bytes and 30 x 100 halves; 10 x 8 halves.
    assert [text.get_text() for text in axes.texts] == ["0.6 kB", "2.5 kB", "0.0 kB"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second", "third"]
    low, high = axes.get_ylim()
    assert low > high
    save(figure, tmp_path / "bits.png")
    assert imread(tmp_path / "bits.png").std() > 0.05


def test_dots_are_what_is_left(tmp_path: Path) -> None:
    """In per cent on a logarithmic axis; a layer that leaves nothing is drawn at its end."""
    figure = left_figure(LAYERS)
    (axes,) = figure.axes
    (dots,) = axes.get_lines()
    np.testing.assert_allclose(np.asarray(dots.get_xdata())[1:], [1.25, 0.01])
    assert 0 < dots.get_xdata()[0] < 0.01
    assert list(dots.get_ydata()) == [0, 1, 2]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] < dots.get_xdata()[0]
    assert [text.get_text() for text in axes.texts] == ["0 %", "1.2 %", "0.01 %"]
    save(figure, tmp_path / "left.png")
    assert imread(tmp_path / "left.png").std() > 0.02


def test_markers_are_accuracies_at_bytes_of_weights(quantized: Path, tmp_path: Path) -> None:
    """Bytes by hand: 64 x 16 and 10 x 64 weights, in float32 and in the network's 10,240 bits."""
    network = RunFolder.open(quantized).read(INTEGER)
    figure = bytes_figure(network)
    (axes,) = figure.axes
    markers = {line.get_label(): line for line in axes.get_lines() if line.get_marker() in "sD^vo"}
    found = {name: (*line.get_xdata(), *line.get_ydata()) for name, line in markers.items()}
    assert found == {
        "the original": (6.656, 91.05),
        "functions, re-aligned, bit-true": (6.656, 90.25),
        "weights quantized": (1.28, 90.2),
        "weights and activations quantized": (1.28, 90.15),
        "all integers": (1.28, 90.05),
    }
    assert len({line.get_marker() for line in markers.values()}) == len(markers)
    # Side by side in the picture, though their bytes are the same.
    places = [line.get_transform().transform((1.28, 90.0))[0] for line in markers.values()]
    assert places[2] < places[3] < places[4]
    assert [text.get_text() for text in axes.texts] == ["6.7 kB, float32", "1.3 kB, rows of 4 and 8 bits"]
    # Of all integers: 1.00 points less, at most 1.9 and at least 0.1.
    low, high = axes.containers[-1].lines[1]
    np.testing.assert_allclose([*low.get_ydata(), *high.get_ydata()], [89.15, 90.95])
    assert axes.get_ylim()[0] < 89.15
    assert axes.get_ylabel() == "top-1, %"
    save(figure, tmp_path / "weights.png")
    assert imread(tmp_path / "weights.png").std() > 0.02


def test_markers_are_cosines_without_classes(quantized: Path) -> None:
    network = RunFolder.open(quantized).read(INTEGER)
    scores = {
        name: score.model_copy(update={"top1": None, "top5": None}) for name, score in network.scores.items()
    }
    (axes,) = bytes_figure(network.model_copy(update={"scores": scores, "paired": {}})).axes
    assert axes.get_ylabel() == "mean cosine to the original"
    assert {line.get_ydata()[0] for line in axes.get_lines() if line.get_marker() in "sD^vo"} == {0.99}
    low, high = axes.get_ylim()
    assert low < 0.99 < high


def test_a_fine_tuned_network_is_drawn_beside_the_closed_form(quantized: Path) -> None:
    network = RunFolder.open(quantized).read(INTEGER)
    before = {"closed_form": network.scores["integer"]}
    (axes,) = bytes_figure(network.model_copy(update={"scores": network.scores | before})).axes
    labels = [line.get_label() for line in axes.get_lines()]
    assert [label for label in labels if label in STEPS.values()] == list(STEPS.values())
