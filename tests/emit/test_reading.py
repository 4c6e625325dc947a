"""What is emitted can be read: short lines, the expression once, each line says what it does."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sample_datapaths import Sketch, datapaths, every_cell

from hwnorm.datapath.cells.table import runs, smallest_type
from hwnorm.datapath.ir import Cell, Datapath
from hwnorm.emit import emit_package
from hwnorm.emit.layout import COLUMNS, commented
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.generate import draw_case
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target

#: As long as layers' names make them.
TOP = "hwnorm_stages_2_blocks_17_attention_norm"
#: A table, a clip, a piecewise unit, a float code, an unsigned port, a formula of many digits.
KERNELS = {
    "direct": ("rom(x, -2, 2, 1, 1, 0.5, -0.25, -1, -1.5, -1.5, 2)", "s10f7", "s8f4", True),
    "steps": (
        f"2*rom(x, -2, 2, {', '.join(str(k * k % 29 / 8) for k in range(64))})",
        "s12f8",
        "s8f3",
        False,
    ),
    "clip": ("clip(1.37*x, -2.6, 2.6)", "s12f8", "s12f8", False),
    "unit": ("2.58*tanh(x) + 0.24", "s12f8", "s12f8", False),
    "fused": ("0.37*tanh(1.2*x) + 0.25*sigmoid(x) + 0.11*x", "s12f8", "s12f9", True),
    "float": ("rsqrt(abs(x) + 0.01)", "u12f9", "s16f8", True),
    "long": (
        "1.2345678*tanh(0.87654321*x) - 0.31415927*clip(x, -1.234567, 2.345678) + 0.1",
        *("s11f7",) * 2,
        False,
    ),
}


def lowered(expression: str, input_format: str, output_format: str, fuse: bool) -> Datapath:
    formats = FixedFormat.parse(input_format), FixedFormat.parse(output_format)
    return lower(parse(expression), *formats, load_target("xcup"), 250.0, fuse=fuse)


@pytest.fixture(scope="module")
def emitted(tmp_path_factory) -> dict[Path, Datapath]:
    """Packages of these kernels, of expressions as the fuzzer draws them, and of random cells."""
    root = tmp_path_factory.mktemp("reading")
    made: dict[Path, Datapath] = {}

    def emit(datapath: Datapath) -> None:
        folder = root / str(len(made))
        emit_package(datapath, TOP, folder, lanes=2, note="Replaces " + ", ".join(["blocks.17.norm2"] * 9))
        made[folder] = datapath

    for kernel in KERNELS.values():
        emit(lowered(*kernel))
    emit(every_cell())
    for index in range(40):
        case = draw_case(7, index)
        try:
            emit(lowered(case.expression, case.input, case.output, case.fuse))
        except InputError:
            continue  # not all can be built

    @settings(max_examples=10, phases=[Phase.generate], database=None)
    @given(datapaths())
    def random(datapath):
        emit(datapath)

    random()
    return made


def sources(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix in (".v", ".cpp", ".h")]


def test_no_line_is_long(emitted):
    """Of core, stage, wrapper, header and testbenches."""
    assert len(emitted) > 30
    for folder in emitted:
        assert len(sources(folder)) >= 12
        for source in sources(folder):
            for number, line in enumerate(source.read_text().splitlines(), 1):
                assert len(line) <= COLUMNS, f"{source}:{number}: {line}"


def plain(text: str) -> str:
    """Comments in one line: without what begins each, and what breaks it."""
    return re.sub(r"\s+", " ", text.replace("//", ""))


def test_the_expression_stands_once(emitted):
    """Whole, in the header; a comment calls it f(x)."""
    count = 0
    for folder, datapath in emitted.items():
        expression = plain(datapath.expression)
        if len(expression) < 10:
            continue  # such as a number of times x: another part may be the same
        count += 1
        for name in (
            f"rtl/{TOP}_core.v",
            f"rtl/{TOP}_comb.v",
            f"rtl/{TOP}.v",
            f"hls/{TOP}.cpp",
            f"hls/{TOP}.h",
        ):
            text = plain((folder / name).read_text())
            assert text.count(expression) == 1, folder / name
            assert f"f(x) {expression}" in text
    assert count > 20


def test_every_signal_says_what_it_is(emitted):
    """Behind its line or above it: words, and its format."""
    for folder, datapath in emitted.items():
        built = [node for node in datapath.nodes[1:] if node.stage < datapath.latency]
        formats = {str(node.fmt) for node in built}
        for name, declared in (
            (f"rtl/{TOP}_core.v", r"  (wire|reg) "),
            (f"hls/{TOP}.cpp", "    const ap_fixed<"),
        ):
            lines = (folder / name).read_text().split("endmodule")[0].splitlines()
            found = set()
            for above, line in pairwise(lines):
                if re.match(declared, line):
                    comment = line.partition("  // ")[2] or above.strip()
                    assert comment, f"{folder / name}: {line}"
                    assert "//" in line or comment.startswith("// "), f"{folder / name}: {line}"
                    found |= set(re.findall(r"\b[su]\d+f-?\d+\b", comment))
            assert formats <= found, folder / name


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        ("direct", ["f(x), s", "8 entries"]),
        ("clip", ["1.37*x, s", "the smaller of", "is below constant_2", "f(x) = clip(mul, 2.6), s"]),
        (
            "unit",
            ["offset in the segment", "slope of the segment", "value at the segment's start", "tanh(x), s"],
        ),
        ("unit", ["2.58*tanh, s", "f(x) = mul + 0.24, s", "sign of x, s"]),
        ("float", ["whether its highest bit is 0", "exponent and mantissa of x_signed", "f(x), s"]),
    ],
)
def test_lines_say_what_they_do(emitted, kernel, said):
    """In the words of the unit that they are part of."""
    folder = list(emitted)[list(KERNELS).index(kernel)]
    comments = re.findall("//(.*)", (folder / "rtl" / f"{TOP}_core.v").read_text())
    for words in said:
        assert any(words in comment for comment in comments), words


@given(st.lists(st.sampled_from([-3, -3, -3, 0, 1, 130]), min_size=1, max_size=64))
def test_runs_are_the_table(table):
    """One behind the other they give every entry; neighbours differ."""
    found = runs(table)
    assert [entry for first, beyond, entry in found for _ in range(first, beyond)] == table
    assert all(a[1] == b[0] and a[2] != b[2] for a, b in pairwise(found))


def test_a_large_table_of_few_steps_is_short(tmp_path):
    """8192 entries, a line for each run of equal ones; the address is as wide as before."""
    table = tuple(int(v) for v in np.clip(np.arange(8192) // 300 - 9, -5, 7))
    sketch = Sketch(FixedFormat(13, 4))
    sketch.put(Cell.TABLE, 0, table=table)
    emit_package(sketch.finish(FixedFormat(6, 2)), "steps", tmp_path / "p")
    core = (tmp_path / "p" / "rtl" / "steps_core.v").read_text()
    assert len(core) < 4000
    assert core.count("{4'sd") + core.count("{-4'sd") == len(runs(table))
    assert "localparam [32767:0] ENTRIES = {" in core
    assert "initial" not in core


@given(st.lists(st.integers(-(2**61), 2**61) | st.integers(-300, 300), min_size=1, max_size=3))
def test_the_type_of_a_table_is_the_smallest(entries):
    """It holds all of them, and none of half its bits does."""
    low, high = min(entries), max(entries)
    name = smallest_type(low, high)
    bits, signed = int(re.sub(r"\D", "", name)), not name.startswith("u")

    def holds(bits: int, signed: bool) -> bool:
        info = np.iinfo(f"{'' if signed else 'u'}int{bits}")
        return int(info.min) <= low and high <= int(info.max)

    assert holds(bits, signed)
    assert bits == 8 or not (holds(bits // 2, True) or holds(bits // 2, False))


def test_tables_have_that_type(emitted):
    """In the C++ of every kernel."""
    found = 0
    for folder in emitted:
        text = (folder / "hls" / f"{TOP}.cpp").read_text()
        assert "long long" not in text
        for kind, entries in re.findall(
            r"static const (\w+) \w+\[\d+\] = \{[^\n]*\n(.*?)\};", text, re.DOTALL
        ):
            codes = [int(entry) for entry in re.findall(r"-?\d+", entries)]
            assert kind == smallest_type(min(codes), max(codes))
            found += 1
    assert found > 20


_NAMES = st.text("abcdefgh_", min_size=1, max_size=40)
_LEAVES = _NAMES | st.builds("{}[{}:0]".format, _NAMES, st.integers(1, 60))
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds("{{{}, {}}}".format, inner, inner),
        st.builds("({} + {})".format, inner, inner),
        st.builds("{{7{{{}}}}}".format, inner),
        st.builds("ap_fixed<16, 3>({})".format, inner),
    ),
    max_leaves=12,
)


@given(_VALUES, _VALUES, _VALUES, st.text("abc, ", max_size=300))
def test_a_broken_line_is_the_same_code(a, b, c, comment):
    """Without comments and white space nothing is changed, and names are never cut."""
    code = f"wire signed [15:0] result = {a} ? {b} - {a} : {c};"
    lines = commented(code, comment).splitlines()
    written = "\n".join(line.partition("//")[0] for line in lines)
    assert re.findall(r"\w+|[^\w\s]", written) == re.findall(r"\w+|[^\w\s]", code)
    assert all(len(line) <= COLUMNS for line in lines)
