# %% [markdown]
# # Integers by rows
#
# In the integer network each row of weights has 4 or 8 bits. `ratio8` is the share of the weights with 8.
# Which rows they are follows from what the network's output loses by each. This makes the built-in network
# with three shares. Few images are looked at, so accuracies are rough. It takes about a minute.

# %%
from pathlib import Path

import numpy as np

import hwnorm
from hwnorm.builtin.model import IMAGES
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import INTEGER
from hwnorm.stages.quantize import quantize

FOLDER = Path("example_integers")

# %% [markdown]
# Images of your own can be an `.npz` like this one. Here it has the first of those that are shipped.

# %%
FOLDER.mkdir(exist_ok=True)
with np.load(IMAGES) as shipped:
    np.savez(FOLDER / "few.npz", **{name: array[:150] for name, array in shipped.items()})

# %% [markdown]
# LayerNorm stays here in every place (`norms="layernorm"`), to look at the bits alone. Each layer is
# refitted and its rows are rounded in closed form: no labels, no gradient step.

# %%
RUN = FOLDER / "run"
hwnorm.run(
    RUN,
    data=FOLDER / "few.npz",
    only="blocks.3.norm1",
    population=8,
    generations=0,
    input_bits=12,
    norms="layernorm",
    ratio8=1.0,
    jobs=1,
)
run = RunFolder.open(RUN)
for ratio8 in (1.0, 0.0, 0.25):
    run.change_settings(ratio8=ratio8)
    quantize(run, Inputs(run.settings))
    found = run.read(INTEGER)
    top1 = found.scores["integer"].top1
    assert top1 is not None
    print(f"{ratio8:4.0%} of the weights with 8 bits: {found.weight_bits} bits, top-1 {top1.percent:.1f} %")

# %% [markdown]
# The rows with 8 bits, layer by layer, of a quarter of all weights. They are where they help most.

# %%
network = hwnorm.integer(RUN)
for layer in network.linears:
    wide = int((layer.bits == 8).sum())
    print(f"{layer.out:24} {wide:4} of {len(layer.bits):4} rows  {'#' * round(30 * wide / len(layer.bits))}")

# %% [markdown]
# The network is integers from end to end: codes of any tensor, and what they mean.

# %%
batch, _ = next(Inputs(run.settings).test_images.batches(2))
codes = network.trace(batch.numpy())["blocks.0.attn.scores"]
print("scores of the first attention:", codes.dtype, codes.shape, network.formats["blocks.0.attn.scores"])
print("classes of two images:", network.evaluate(batch.numpy()).argmax(1).tolist())
