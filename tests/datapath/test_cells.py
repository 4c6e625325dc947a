"""What every cell must keep: its value, range, cost and two renderings belong together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_datapaths import Sketch, every_cell
from strategies import formats

from hwnorm.cost.structure import structure
from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.ir import Cell, Node, run_cell
from hwnorm.emit import emit_package
from hwnorm.fixed import MAX_WIDTH, FixedFormat
from hwnorm.fuzz import oracle
from hwnorm.resources import resource
from hwnorm.targets.target import load_target, shipped_targets

COMPUTED = [cell for cell in Cell if cell is not Cell.INPUT]
TARGETS = [load_target(name) for name in shipped_targets()]
#: Those that read a natural number of some bits.
UNSIGNED = (Cell.FLOAT_CODE,)


@dataclass(frozen=True)
class Signal:
    """A bounded signal, as ranges are computed from."""

    index: int
    frac: int
    low: int
    high: int


@st.composite
def fields(draw: st.DrawFn, cell: Cell) -> dict[str, object]:
    """A parameter, a table, a rounding and an overflow that a cell may have."""
    table = st.integers(0, 4).flatmap(lambda n: st.lists(st.integers(-99, 99), min_size=2**n, max_size=2**n))
    low = 2 if cell is Cell.FLOAT_CODE else -200 if cell is Cell.CONSTANT else -4 if cell is Cell.SHIFT else 0
    return {
        "parameter": draw(st.integers(low, max(low + 1, 8))),
        "table": tuple(draw(table)) if cell is Cell.TABLE else (),
        "rounding": draw(st.sampled_from(("trn", "rnd"))) if cell is Cell.RESIZE else "trn",
        "overflow": draw(st.sampled_from(("sat", "wrap"))) if cell is Cell.RESIZE else "wrap",
    }


@pytest.mark.parametrize("cell", COMPUTED)
@settings(max_examples=50)
@given(data=st.data())
def test_the_value_is_the_oracles_and_within_the_range(cell, data):
    """For random arguments: the exact oracle's code, in the cell's fractional bits, between its bounds."""
    definition, more = CELLS[cell], data.draw(fields(cell))
    arg_formats = [data.draw(formats((1, 14), (-3, 9))) for _ in range(definition.arity)]
    if definition.arity == 2 and data.draw(st.booleans()):
        arg_formats[1] = arg_formats[0]
    least = [0 if cell in UNSIGNED else fmt.min_code for fmt in arg_formats]
    most = [(1 << more["parameter"]) - 1 if cell in UNSIGNED else fmt.max_code for fmt in arg_formats]
    args = [
        data.draw(st.lists(st.integers(low, high), min_size=6, max_size=6))
        for low, high in zip(least, most, strict=True)
    ]
    signals = [
        Signal(n, fmt.frac, min(codes), max(codes))
        for n, (codes, fmt) in enumerate(zip(args, arg_formats, strict=True))
    ]
    if definition.arity == 2 and arg_formats[0] == arg_formats[1] and data.draw(st.booleans()):
        args[1], signals[1] = args[0], signals[0]
    frac = definition.frac([fmt.frac for fmt in arg_formats], more["parameter"])
    saturated = more["overflow"] == "sat"
    fmt = FixedFormat(
        data.draw(st.integers(1, 12)) if saturated else MAX_WIDTH,
        data.draw(st.integers(-3, 9)) if frac is None else frac,
    )
    node = Node(cell, tuple(s.index for s in signals), fmt, "n", "n", **more)
    low, high = definition.range(node, signals)
    found = run_cell(node, [np.array(codes) for codes in args], arg_formats)
    wanted = [oracle.cell(node, codes, arg_formats) for codes in zip(*args, strict=True)] or [
        oracle.cell(node, (), ())
    ]
    assert found.dtype == np.int64
    assert np.atleast_1d(found).tolist() == wanted
    assert low <= found.min()
    assert found.max() <= high


@pytest.mark.parametrize("cell", COMPUTED)
@settings(max_examples=12)
@given(data=st.data())
def test_every_shipped_target_knows_the_operations(cell, data):
    """What a cell asks of synthesis, and the steps of its delay, are measured on each of them."""
    sketch = Sketch(FixedFormat(data.draw(st.integers(3, 8)), data.draw(st.integers(0, 4))))
    magnitude = sketch.put(Cell.ABS, 0)
    more = data.draw(fields(cell))
    if cell in UNSIGNED:
        bits = max(int(sketch.values[magnitude].max()).bit_length(), more["parameter"])
        more |= {"parameter": bits, "fmt": FixedFormat(bits + bits.bit_length(), 0)}
    if cell is Cell.RESIZE:
        more["fmt"] = FixedFormat(data.draw(st.integers(1, 9)), data.draw(st.integers(-2, 6)))
    args = [magnitude, *(data.draw(st.sampled_from([0, magnitude])) for _ in range(2))]
    made = sketch.put(cell, *args[: CELLS[cell].arity], **more)
    sketch.put(Cell.ADD, 0, made)
    nodes = sketch.finish(FixedFormat(8, 3)).nodes
    steps = [step for node in nodes for step in CELLS[node.cell].steps(node, [nodes[a] for a in node.args])]
    built = [operation for operation, _ in structure(nodes, nodes[-1].stage + 1).operations]
    for target in TARGETS:
        assert all(target.cost(kind, *size).delay_ns >= 0 for kind, size in steps)
        assert all(target.cost(kind, *size).area * target.context[kind] >= 0 for kind, size in built)


@pytest.mark.parametrize("template", ["verilog/cells.v.j2", "hls/cells.cpp.j2"])
def test_both_back_ends_have_a_macro_for_every_cell(template):
    """Its name is how the templates find it."""
    text = (resource("templates") / template).read_text(encoding="utf-8")
    assert {cell.value for cell in COMPUTED} <= set(re.findall(r"<% macro (\w+)\(c\)", text))


def test_every_cell_is_written(tmp_path):
    """In a datapath of all of them, each signal has a line in Verilog and one in C++."""
    datapath = every_cell()
    emit_package(datapath, "cells", tmp_path / "cells")
    for file, said in (("rtl/cells_core.v", "wire signed "), ("hls/cells.cpp", "const ap_fixed<")):
        lines = (tmp_path / "cells" / file).read_text(encoding="utf-8").splitlines()
        declared = [line for line in lines if line.lstrip().startswith(said)]
        for node in datapath.nodes[1:]:
            assert any(f" {node.name} =" in line or f" {node.name};" in line for line in declared), node


def test_the_page_on_numerics_has_every_cell():
    """A row a cell in the table of docs/numerics.md, some with two."""
    page = (Path(__file__).parents[2] / "docs" / "numerics.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {cell.value for cell in Cell} <= {name for row in rows for name in re.findall(r"`(\w+)`", row)}
