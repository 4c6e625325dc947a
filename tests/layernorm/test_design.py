"""What cannot be built is refused, in Python and at elaboration; what can be built has nothing said of it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from sample_designs import design

from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.layernorm.design import LayerNormDesign
from hwnorm.verify.toolchain import find_toolchain

#: What is changed, what Python says of it, and the missing module that stops elaboration.
ILLEGAL = [
    ({"lanes": 0}, "in 0 lanes", "LANES_must_be_at_least_1"),
    ({"lanes": 5}, "192 channels in 5 lanes", "D_must_be_a_multiple_of_LANES"),
    ({"channels": 1, "lanes": 1}, "1 channels", "D_must_be_at_least_2"),
    ({"input": FixedFormat(25, 10)}, "input s25f10", "IN_WIDTH_must_be_2_to_24"),
    ({"output": FixedFormat(17, 10)}, "output s17f10", "OUT_WIDTH_must_be_2_to_16"),
    ({"output": FixedFormat(16, -1)}, "output s16f-1", "OUT_FRAC_must_not_be_negative"),
    ({"gamma": FixedFormat(1, 0)}, "gamma s1f0", "GAMMA_WIDTH_must_be_at_least_2"),
    ({"beta": FixedFormat(40, 33)}, "beta s40f33", "BETA_FRAC_must_be_at_most"),
    ({"eps": 1e9}, "eps", "EPS_must_not_be_negative_nor_above"),
]
LEGAL = {
    "one lane": design(lanes=1),
    "all lanes": design(lanes=192),
    "odd": design(15, 5),
    "tiny": design(2, 1, affine=False, input=FixedFormat(2, 1), output=FixedFormat(2, 0)),
    "eight bits": design(768, 8, output=FixedFormat(8, 5), input=FixedFormat(12, 6)),
    "wide": design(384, 2, input=FixedFormat(24, 12), beta=FixedFormat(24, 10), eps=1e-12),
    "no affine": design(1024, 4, affine=False, output=FixedFormat(16, 13)),
}


class Unchecked(LayerNormDesign):
    """A design that Python does not refuse."""

    def __post_init__(self):
        pass


def changed(kind, changes):
    fields = vars(design()) | changes
    return kind(**fields)


def elaborated(made: LayerNormDesign, parameters: dict[str, int], tmp_path, *, wall: bool):
    """(status, output) of Verilator, Icarus and Yosys, those that are there."""
    tools = find_toolchain()
    lint = [tools.verilator, "--lint-only", "--quiet", *(["-Wall"] if wall else ["-Wno-fatal", "-Wno-lint"])]
    lint += ["--top-module", "layernorm", *(f"-G{n}={v}" for n, v in parameters.items()), *made.sources]
    commands = {"verilator": (lint, tools.environment)}
    if shutil.which("iverilog"):
        sets = [f"-Playernorm.{n}={v}" for n, v in parameters.items()]
        icarus = ["iverilog", "-g2005", *(["-Wall"] if wall else []), "-s", "layernorm", *sets]
        commands["icarus"] = ([*icarus, "-o", tmp_path / "out", *made.sources], None)
    return {
        name: subprocess.run(c, env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
        for name, (c, env) in commands.items()
    }


@pytest.mark.parametrize(("changes", "message", "module"), ILLEGAL)
def test_illegal_designs_stop_elaboration(tmp_path, changes, message, module):
    """Python's refusal and the Verilog's are of the same values."""
    with pytest.raises(InputError, match=message):
        changed(LayerNormDesign, changes)
    made = changed(Unchecked, changes)
    parameters = {name: min(value, 2**31 - 1) for name, value in made.parameters().items()}
    if "eps" in changes:
        # 2^31 - 1 is far from too much for 16 bits: a format whose largest variance is below it.
        parameters |= {"IN_WIDTH": 2, "IN_FRAC": 12}
    for tool, done in elaborated(made, parameters, tmp_path, wall=False).items():
        assert done.returncode != 0, tool
        assert module in done.stdout + done.stderr, tool


@pytest.mark.parametrize("name", LEGAL)
def test_nothing_to_say(tmp_path, name):
    """``verilator --lint-only -Wall`` and ``iverilog -g2005 -Wall``, over widths and lanes of every kind."""
    made = LEGAL[name]
    for tool, done in elaborated(made, made.parameters(), tmp_path, wall=True).items():
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), tool


def test_yosys_has_nothing_to_say(tmp_path, yosys):
    """``check -assert`` after ``proc``, and no latch; the affine files are read at elaboration."""
    made = design(lanes=2)
    for source in made.sources:
        shutil.copy(source, tmp_path)
    for name in ("gamma", "beta"):
        (tmp_path / f"{name}.hex").write_text("10001000\n" * 96)
    sets = " ".join(f"-chparam {n} {v}" for n, v in made.parameters().items())
    script = f"read_verilog *.v; hierarchy -check -top layernorm {sets}; proc; "
    script += "check -assert; select -assert-none t:$*latch*"
    done = subprocess.run(
        [yosys, "-q", "-p", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
