"""The engine in the page of a run, and its pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.image import imread
from report_runs import quantize
from run_folders import put

from hwnorm.engine.stored import EngineParameters, PhaseCycles, Point, StoredCosim, StoredEngine
from hwnorm.report.engine import diagram_figure, engines_figure, phases_figure, sentence
from hwnorm.report.page import write_report
from hwnorm.report.style import save
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import COSIM, ENGINE
from hwnorm.runs.seals import engine_seal

HEADING = "<h2>The engine</h2>"
PICTURES = {f"{name}.{kind}" for name in ("engine", "phases", "engines") for kind in ("png", "svg")}
NONE = {"codes": 0, "epilogue": 0, "weights": 0, "softmax": 0}
PHASES = [
    PhaseCycles(name="embed", op="linear", begin=10, end=110, busy=90, waited=NONE | {"weights": 10}),
    PhaseCycles(
        name="blocks.0.q blocks.0.k", op="linear", begin=130, end=230, busy=100, waited=NONE | {"codes": 18}
    ),
    PhaseCycles(name="blocks.0.scores head 0", op="scores", begin=232, end=242, busy=10, waited=NONE),
    PhaseCycles(name="blocks.1.scores head 1", op="scores", begin=242, end=282, busy=20,
                waited=NONE | {"softmax": 20}),
    PhaseCycles(name="blocks.1.norm2", op="norm", begin=300, end=350, busy=0, waited=NONE | {"codes": 14}),
]  # fmt: skip
SIMULATED = StoredCosim(
    images=8, logits_equal=8, cycles_equal=7, predicted=[1], counted=[1], test_fingerprint="cafe"
)


def point(tokens: int, cycles: int) -> Point:
    engine = EngineParameters(tokens=tokens, columns=2, depth=4)
    dsps = engine.engine().dsps()
    return Point(engine=engine, dsps=dsps, resources=None, cycles=cycles, utilisation=0.925)


def stored(seal: str = "") -> StoredEngine:
    sizes = ("activations", "keys", "values", "probabilities", "stream", "weights", "digits", "phases")
    return StoredEngine(
        seal=seal,
        target="xcup",
        clock_mhz=200.0,
        picked=point(5, 4000),
        front=[point(3, 8000), point(5, 4000)],
        products=(123456, 6543),
        busy=220,
        stall=10,
        weight_bytes=98765,
        memories=dict.fromkeys(sizes, 64) | {"classes": 10},
        phases=PHASES,
    )


@pytest.fixture
def built(run: Path) -> Path:
    """The run with a network in integers, an engine, and what its simulation found."""
    folder = RunFolder.open(run)
    quantize(folder)
    (run / "engine").mkdir()
    (run / "engine" / "manifest.json").write_text("{}\n")
    put(folder, ENGINE, stored(engine_seal(run)))
    put(folder, COSIM, SIMULATED)
    return run


def page_of(run: Path) -> str:
    write_report(run)
    return (run / "report.html").read_text(encoding="utf-8")


def test_the_page_tells_of_the_engine(built: Path) -> None:
    page = page_of(built)
    section = page.split(HEADING)[1].split("<h2>")[0]
    assert "5 tokens x 2 columns x 4 deep: 4,000 cycles an image, 50,000 images a second" in section
    assert "with 8 images: the logits of 8 are those of the integer network, the cycles of 7" in section
    assert "streams 98,765 bytes of weights" in section
    assert {path.name for path in (built / "report").iterdir()} >= PICTURES


def test_an_engine_that_was_not_simulated_is_told_so() -> None:
    assert "Its Verilog was not simulated" in sentence(stored(), None)
    assert "not simulated" not in sentence(stored(), SIMULATED)


def test_an_engine_older_than_its_network_is_not_shown(built: Path) -> None:
    (built / "integer.safetensors").write_bytes(b"others")
    page = page_of(built)
    assert HEADING not in page
    assert "<code>engine.json</code>" in page
    assert not PICTURES & {path.name for path in (built / "report").iterdir()}


def test_bars_are_the_cycles_of_phases(tmp_path: Path) -> None:
    """Phases of one kind share a line; waits for codes lie before the first word, by hand."""
    figure = phases_figure(PHASES)
    (axes,) = figure.axes
    bars = [(round(bar.get_y() + 0.35), bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [
        (0, 10, 90), (0, 100, 10), (1, 112, 18), (1, 130, 100), (2, 232, 10), (2, 242, 20), (2, 262, 20),
        (3, 286, 14), (3, 300, 50),
    ]  # fmt: skip
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["embed", "blocks.*.q and 1 more", "blocks.*.scores", "blocks.*.norm2"]
    told = [text.get_text() for text in axes.texts]
    assert told == ["100, 10.0 % waiting", "118, 15.3 % waiting", "50, 40.0 % waiting", "64, 100.0 % waiting"]
    save(figure, tmp_path / "phases.png")
    assert imread(tmp_path / "phases.png").std() > 0.05


def test_points_are_the_front(tmp_path: Path) -> None:
    figure = engines_figure(stored())
    (axes,) = figure.axes
    _, points, star = axes.get_lines()
    assert [list(points.get_xdata()), list(points.get_ydata())] == [[24, 40], [25_000, 50_000]]
    assert [list(star.get_xdata()), list(star.get_ydata())] == [[40], [50_000]]
    save(figure, tmp_path / "engines.png")
    assert imread(tmp_path / "engines.png").std() > 0.02


def test_the_diagram_tells_sizes() -> None:
    """64 words x 4 deep x 5 tokens x 8 bits of activations: 1.2 KiB, by hand."""
    figure = diagram_figure(stored())
    told = [text.get_text() for text in figure.axes[0].texts]
    assert told[told.index("activations") + 1 :][:2] == ["1.2 KiB", "4 x 40 bits"]
    assert told[told.index("array") + 1 :][:3] == ["5 x 2 x 4", "40 multipliers", "120 products at 4 bits"]
