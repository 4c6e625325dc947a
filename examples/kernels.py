# %% [markdown]
# # From a timm model to kernels
#
# A norm reads all channels of a token before it can give its first result. hwnorm looks for a function of
# one number that can stand in its place, and writes it as Verilog and as C++. This takes two norms of the
# built-in network through all of it. Few images and a short search are enough for a first look.
# It takes about half a minute.

# %%
from pathlib import Path

import torch

import hwnorm
from hwnorm.data.images import load_images
from hwnorm.network.evaluate import top1
from hwnorm.network.models import load_model

FOLDER = Path("example_kernels")

# %% [markdown]
# `model` may be any name that timm knows, with `weights` and `data` of your own. What is finished stays in
# the folder: the same call goes on where an earlier one stopped.

# %%
found = hwnorm.run(
    FOLDER,
    model="builtin",
    only="blocks.[03].norm1",
    images=200,
    population=16,
    generations=2,
    operators="add,clip,tanh,erf",
    input_bits=12,
    quantize=False,
    jobs=1,
)
for layer in found.choice.layers:
    print(f"{layer.layer}: {layer.expression}, R2 {layer.r2:.3f}")

# %% [markdown]
# Each kernel was run with every input code there is, in Verilog on Verilator and in C++ with g++.

# %%
for verdict in found.verdicts:
    print(f"{verdict.top}: {verdict.codes} codes, passed: {verdict.passed}")
    print("  ", *sorted(path.name for path in (FOLDER / "packages" / verdict.top / "rtl").iterdir()))
for name, percent in found.accuracies.items():
    print(f"{name}: {percent:.2f} %")

# %% [markdown]
# The network with the functions in it is an ordinary PyTorch module. With `fixed=True` it computes what the
# hardware computes, bit for bit.

# %%
model = load_model("builtin", None)
images = load_images(None, "test", model)
hardware = hwnorm.realigned(model, FOLDER, fixed=True)
print("the hardware's integers:", top1(hardware, images))
batch, _ = next(images.batches(4))
with torch.no_grad():
    print("classes of four images:", hardware(batch).argmax(1).tolist())
