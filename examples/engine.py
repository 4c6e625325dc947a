# %% [markdown]
# # An engine and its timeline
#
# The engine is an accelerator in Verilog that computes the whole integer network. This makes integers of the
# built-in network, picks the fastest engine within a budget of multipliers, and shows where its cycles go.
# Then one image goes through its Verilog. It takes about a minute, most of it for Verilator.

# %%
from pathlib import Path

import numpy as np

import hwnorm
from hwnorm.builtin.model import IMAGES
from hwnorm.report.engine import phases_figure
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.cosim import cosim
from hwnorm.stages.engine import engine

FOLDER = Path("example_engine")
RUN = FOLDER / "run"

# %% [markdown]
# A short search over few images: enough to see an engine, too little for accuracy.

# %%
FOLDER.mkdir(exist_ok=True)
with np.load(IMAGES) as shipped:
    np.savez(FOLDER / "few.npz", **{name: array[:60] for name, array in shipped.items()})
hwnorm.run(RUN, data=FOLDER / "few.npz", population=8, generations=0, input_bits=10, operators="clip", jobs=1)

# %% [markdown]
# The front: no engine is faster with as few multipliers. These are its last five, and the very last is the
# fastest within the budget. Cycles are predicted, and they are exact.

# %%
run = RunFolder.open(RUN)
inputs = Inputs(run.settings)
found = engine(run, inputs, budget="dsp=60")
for point in found.front[-5:]:
    shape = point.engine
    print(
        f"{shape.tokens} tokens x {shape.columns} columns x {shape.depth} deep: {point.dsps} multipliers, "
        f"{point.cycles} cycles, {found.rate(point):.0f} images a second at {found.clock_mhz:g} MHz"
    )

# %% [markdown]
# The phases of an image, here those of the first block: when each begins and ends, for how many cycles the
# array multiplies, and what it waits for. `timeline.png` has all of them, as the report draws them.

# %%
for phase in found.phases:
    if not phase.name.startswith("blocks.0."):
        continue
    waits = ", ".join(f"{what} {cycles}" for what, cycles in phase.waited.items() if cycles)
    print(f"{phase.begin:6} to {phase.end:6}: {phase.name}; busy {phase.busy}; waits for {waits}")
phases_figure(found.phases).savefig(FOLDER / "timeline.png")

# %% [markdown]
# One image through the Verilog: every logit is that of the integers, every cycle as predicted.

# %%
seen = cosim(run, inputs, images=1)
print(
    f"logits equal: {seen.logits_equal} of {seen.images}; cycles {seen.counted}, predicted {seen.predicted}"
)
print("the package simulates itself: make -C", RUN / "engine" / "sim")
