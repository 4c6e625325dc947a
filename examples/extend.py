# %% [markdown]
# # An operator and a target of your own
#
# An operator is one class: how it is computed in real numbers, and what is known of its values and slopes.
# Verilog, C++ and cost follow. A target is one JSON file of measured costs. It takes about a quarter
# of a minute.

# %%
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

import hwnorm
from hwnorm.operators.base import Interval, TableFunction
from hwnorm.testing import CHECKS

FOLDER = Path("example_extend")
FOLDER.mkdir(exist_ok=True)

# %% [markdown]
# The softsign x / (1 + |x|). In a package of your own it is a module with an entry point of the group
# `hwnorm.operators`. Here it is enough that the class is there before the first expression is read.


# %%
class Softsign(TableFunction):
    """``softsign(x)``."""

    name = "softsign"
    examples = ("softsign(x)", "2*softsign(1.5*x) + 0.25")

    def torch(self, *args: Any) -> Any:
        return args[0] / (1 + args[0].abs())

    def numpy(self, *args: Any) -> Any:
        return args[0] / (1 + np.abs(args[0]))

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        return self.numpy(low), self.numpy(high)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low, high = args[0]
        nearest = max(0.0, low, -high)
        return ((1 + nearest) ** -2,)


# %% [markdown]
# The conformance suite says in one line what is wrong with an operator, if anything is. The last of its
# checks, `python -m hwnorm.testing`, also simulates.

# %%
for name, check in CHECKS.items():
    check("softsign")
    print(f"{name}: passed")

# %% [markdown]
# A kernel with it, for the shipped target of iCE40: every input code is simulated in Verilog and in C++.

# %%
TEXT = "2*softsign(1.5*x) + 0.25"
FORMATS = {"input": "s10f7", "output": "s8f5"}
kernel = hwnorm.compile(
    TEXT, **FORMATS, out=FOLDER / "ice40", target="ice40", clock_mhz=80.0, jobs=1, force=True
)
print(f"{kernel.verdict.codes} codes, passed: {kernel.passed}; {kernel.resources.lut} LUTs")
print(
    f"largest error: {kernel.datapath.certificate.max_error_ulp:.3f} ulp, latency {kernel.datapath.latency}"
)

# %% [markdown]
# A target of your own begins as a copy of the nearest one. Change its head, then let
# `hwnorm characterize --target FILE` measure its operations. Here paths are made half as long again, so the
# same kernel needs another stage at the same clock.

# %%
data = json.loads((files("hwnorm") / "targets" / "data" / "ice40.json").read_text(encoding="utf-8"))
data |= {"name": "slow", "description": "a slower iCE40, made up"}
data |= {"path_factor": 1.5 * data["path_factor"]}
(FOLDER / "slow.json").write_text(json.dumps(data))
slow = hwnorm.compile(
    TEXT, **FORMATS, out=FOLDER / "slow", target=str(FOLDER / "slow.json"), clock_mhz=80.0, jobs=1, force=True
)
print(f"passed: {slow.passed}; latency {slow.datapath.latency} where it was {kernel.datapath.latency}")
