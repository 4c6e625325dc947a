# %% [markdown]
# # A search for smaller networks
#
# `hwnorm nas` looks for subnets of a network: fewer channels, blocks, heads, units, bits. It weighs what each
# loses against the cycles of the fastest engine within a budget. Nothing is trained: each subnet is fitted to
# the original in closed form. This searches a tiny space of the built-in network in about a minute.

# %%
from pathlib import Path

import numpy as np

from hwnorm.builtin.model import IMAGES
from hwnorm.nas.emit import emit_point
from hwnorm.nas.nas import nas
from hwnorm.nas.spacefile import read_space

FOLDER = Path("example_search")

# %% [markdown]
# The space and the search are one file. The axes say what a subnet may have; `[engine]` is the budget;
# `[run]` has options of `hwnorm run` for the whole network.

# %%
SPACE = """
[space]
width = [72, 96]
depth = [4, 6]
heads = [2, 3]
mlp = [1, 3]
ratio8 = [0.0, 0.5]

[search]
methods = ["nsga2"]
subnets = 6
population = 4
fit = 30
held = 20
measured = 2

[engine]
budget = "dsp=40"

[run]
data = "few.npz"
images = 40
population = 8
generations = 0
input_bits = 10
operators = "clip"
"""
FOLDER.mkdir(exist_ok=True)
(FOLDER / "space.toml").write_text(SPACE)
with np.load(IMAGES) as shipped:
    np.savez(FOLDER / "few.npz", **{name: array[:100] for name, array in shipped.items()})

# %% [markdown]
# A search that is stopped goes on with the same call.

# %%
study = read_space(FOLDER / "space.toml")
front = nas(study, jobs=1)
print(f"subnets scored: {front.scored}; on the front: {front.front}; built in integers: {len(front.points)}")
for number, point in enumerate(front.points, 1):
    blocks = sum(block is not None for block in point.subnet.blocks)
    share = point.cycles / front.whole.cycles
    print(
        f"{number}: {point.subnet.width} channels, {blocks} blocks, {point.cycles} cycles "
        f"({share:.0%} of the whole network's), loss {point.loss:.3f}, {point.dsps} multipliers"
    )

# %% [markdown]
# A point of the front becomes a run folder with its integers and its engine. So `hwnorm cosim` runs it, and
# `--model FOLDER/subnet.json` takes it for a network.

# %%
folder = emit_point(study, front, 1, FOLDER / "point")
print("emitted:", *sorted(path.name for path in folder.iterdir()))
