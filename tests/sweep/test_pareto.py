"""The front: nothing on it is dominated, constraints hold, the knee, and what is written of it."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_trials import quick, write_study
from typer.testing import CliRunner

from hwnorm.cli import app
from hwnorm.search.front import knee
from hwnorm.sweep.pareto import fronts
from hwnorm.sweep.sweep import sweep


def row(trial: int, accuracy: float, area: float, **other) -> dict:
    """A row as a table has it, as far as fronts read it."""
    plain = {
        "state": "complete",
        "verified": True,
        "accuracy_name": "top-1",
        "unit": "LUT",
        "lut": round(area),
    }
    return plain | {"trial": trial, "accuracy_bit_true": accuracy, "area": area} | other


ROWS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans(), st.sampled_from(["complete", "failed"])),
    max_size=30,
).map(
    lambda drawn: [
        row(i, 5.0 * accuracy, 10.0 * area, verified=verified, state=state)
        for i, (accuracy, area, verified, state) in enumerate(drawn)
    ]
)


def dominates(a: dict, b: dict) -> bool:
    """As good in both, and better in one."""
    pairs = [(a["accuracy_bit_true"], b["accuracy_bit_true"]), (-a["area"], -b["area"])]
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


@given(ROWS, st.none() | st.integers(0, 250), st.none() | st.floats(0, 110))
def test_a_front_holds_what_nothing_allowed_dominates(rows, max_lut, min_top1):
    """By comparison of all with all: no point is dominated, and what is left out is, or equals a point."""
    allowed = [
        r
        for r in rows
        if r["state"] == "complete"
        and r["verified"]
        and (max_lut is None or r["lut"] <= max_lut)
        and (min_top1 is None or r["accuracy_bit_true"] >= min_top1)
    ]
    found = [r for front in fronts(rows, max_lut, min_top1) for r in front.rows]
    assert all(r in allowed for r in found)
    for r in allowed:
        beaten = any(dominates(other, r) for other in allowed)
        same = [
            f for f in found if (f["accuracy_bit_true"], f["area"]) == (r["accuracy_bit_true"], r["area"])
        ]
        assert len(same) == (not beaten)
    assert found == sorted(found, key=lambda r: r["area"])


@given(ROWS)
def test_hypervolume_is_the_share_of_dominated_cells(rows):
    """Counted cell by cell on the grid that the rows lie on."""
    for front in fronts(rows):
        steps = round(front.largest_area / 10)
        cells = sum(
            any(r["area"] <= 10 * a and r["accuracy_bit_true"] >= 5 * (t + 1) for r in front.rows)
            for a in range(steps)
            for t in range(20)
        )
        assert front.hypervolume == pytest.approx(cells / (20 * steps) if steps else 0.0)


def test_the_knee_is_farthest_from_the_chord():
    """Of 50 % for 0, 80 % for 20, 85 % for 60 and 90 % for 100 LUT it is the second."""
    points = [(0, -50), (20, -80), (60, -85), (100, -90)]
    assert knee(points) == 1
    assert knee(points[:1]) == knee(points[:2]) == 0
    assert knee([(0, -50), (50, -51), (100, -90)]) == 0  # hollow: nowhere beyond the line
    rows = [row(i, -loss, cost) for i, (cost, loss) in enumerate(points)]
    assert fronts(rows)[0].knee == 1


def test_what_cannot_be_compared_has_fronts_of_its_own():
    """Areas in other units, and cosines beside top-1."""
    rows = [
        row(0, 90, 10),
        row(1, 80, 5, unit="NAND2"),
        row(2, 0.9, 3, accuracy_name="cosine"),
        row(3, 70, 10),
    ]
    assert [[r["trial"] for r in front.rows] for front in fronts(rows)] == [[2], [0], [1]]
    assert [[r["trial"] for r in front.rows] for front in fronts(rows, min_top1=75)] == [[0], [1]]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study of synthetic trials."""
    made = write_study(tmp_path_factory.mktemp("study"))
    sweep(made, run_trial=quick)
    return made


def invoke(*args) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["pareto", *map(str, args)])
    return result.exit_code, result.stdout, result.stderr


def test_the_front_is_printed_and_written_alike(study, tmp_path):
    """CSV, JSON and Parquet hold the same points, in the printed order, with every column."""
    files = {kind: tmp_path / f"front.{kind}" for kind in ("csv", "json", "parquet")}
    code, printed, _ = invoke(
        study.path, *(part for kind, path in files.items() for part in (f"--{kind}", path))
    )
    assert code == 0
    points = json.loads(files["json"].read_text())["points"]
    assert pq.read_table(files["parquet"]).to_pylist() == points
    with files["csv"].open() as file:
        assert [line["trial"] for line in csv.DictReader(file)] == [str(p["trial"]) for p in points]
    assert [p["point"] for p in points] == list(range(1, len(points) + 1))
    assert sum(p["knee"] for p in points) == 1
    lines = [line.split() for line in printed.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
    assert [(int(line[0]), int(line[2])) for line in lines[: len(points)]] == [
        (p["point"], p["trial"]) for p in points
    ]
    assert "hypervolume" in printed
    assert {"study", "input_bits", "within", "torch_version"} < points[0].keys()


def test_constraints_are_honoured(study):
    """Every printed point keeps them; if none does, one line says so."""
    code, printed, _ = invoke(study.folder, "--max-lut", "80", "--min-top1", "84")
    assert code == 0
    assert "84." in printed
    code, printed, told = invoke(study.folder, "--max-lut", "1")
    assert (code, printed) == (2, "")
    assert (
        told
        == "hwnorm: no trial is complete, verified and within --max-lut and --min-top1: there is no front\n"
    )


def test_several_studies_share_a_front(study, tmp_path):
    """Points of both; one with other axes has none of the first's."""
    other = write_study(
        tmp_path, "[run]\nwithin = 1.0\noutput_bits = 10\n[axes]\nclock = [100, 200]", "other"
    )
    sweep(other, run_trial=quick)
    path = tmp_path / "f.json"
    assert invoke(study.path, other.path, "--json", path)[0] == 0
    points = json.loads(path.read_text())["points"]
    assert {p["study"] for p in points} == {"s", "other"}
    assert {p["clock"] is None for p in points if p["study"] == "s"} == {True}
    code, _, told = invoke(study.path, study.folder)
    assert code == 2
    assert "named twice" in told


def test_bad_calls_are_told_in_one_line(study, tmp_path):
    """No study, no such point, a folder that is in use, a trial without packages."""
    assert "results.parquet: not there; `hwnorm sweep" in invoke(tmp_path / "no")[2]
    assert "option --pick: 99; the front has" in invoke(study.path, "--pick", 99)[2]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    assert "not an empty folder" in invoke(study.path, "--emit", tmp_path / "full")[2]
    code, _, told = invoke(study.path, "--pick", 1, "--emit", tmp_path / "new")
    assert code == 2
    assert "choice.json: not there" in told
    assert not (tmp_path / "new").exists()
