"""A ViT-S in integers: what its linear probe loses, cosines, seconds and memory.

.venv/bin/python benchmarks/vit_small_integers.py --weights FILE --data DIR [--run RUN] [--norms layernorm]

One column for each network: with a run's functions, or with a control's, fitted to what capture sees and
re-aligned in closed form; and with all its LayerNorms. Losses and cosines are against the bit-true network
before and against the original, on the same test images. A probe is fitted anew for each network. CPU seconds
are those of all threads; the peak is that of the quantization alone, with what was in memory when it began.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import torch
from controls import CONTROLS
from rich.table import Table
from torch import Tensor, nn
from vit_small import MODEL, cosines, features, options, probe

from hwnorm.capture.hooks import capture
from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.expression import parse
from hwnorm.integers.cpp import CppNetwork
from hwnorm.integers.network import IntegerNetwork
from hwnorm.lowering.lower import lower
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import with_functions
from hwnorm.progress import err, out
from hwnorm.realign.closed_form import realign
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import Norms, RunSettings, make_settings, target_of
from hwnorm.search.formats import input_format, output_format
from hwnorm.stages.quantize import Networks, make, networks

#: What is told of a network, and with how many digits.
FIGURES = (
    ("probe before, %", 2),
    ("probe of integers, %", 2),
    ("points lost", 2),
    ("points lost of the original", 2),
    ("cosine", 4),
    ("centred", 4),
    ("centred, to the original", 4),
    ("seconds", 0),
    ("CPU seconds", 0),
    ("peak GB", 2),
)


def controlled(inputs: Inputs, settings: RunSettings, name: str) -> Networks:
    """The network with a control's functions, re-aligned, as a run's choice would give it."""
    model, images = inputs.model, inputs.training_images
    profiles = capture(model, images, find_norms(model), batch=32, progress="capture")
    target, datapaths = target_of(settings), {}
    for layer, profile in profiles.items():
        formats = input_format(profile, settings.input_bits), output_format(profile, settings.output_bits)
        datapaths[layer] = lower(parse(CONTROLS[name](profile)), *formats, target, settings.clock_mhz)
    functions = {layer: parse(path.expression).to_module() for layer, path in datapaths.items()}
    student, _ = realign(model, functions, images, batch=32, progress="re-align")
    exact = {layer: FixedPointFunction(path) for layer, path in datapaths.items()}
    return Networks(with_functions(student, exact), student, datapaths)


def integer_features(network: IntegerNetwork, images: ImageSet, label: str) -> tuple[Tensor, Tensor]:
    """As :func:`vit_small.features`, by the C++ program."""
    err.print(label, highlight=False)
    program, found, labels = CppNetwork(network), [], []
    for pixels, truth in images.batches(500):
        found.append(torch.from_numpy(network.output.to_float(program.evaluate(pixels.numpy()))))
        labels.append(truth)
    return torch.cat(found), torch.cat(labels)


def forget_peak() -> None:
    """Let the kernel count the process's largest memory from now on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """GB at most since then."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024 / 1e9


def main() -> None:
    """Print a table, a column a network."""
    parser = options((__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=512, help="training images that it is fitted to")
    parser.add_argument("--control", choices=CONTROLS, default="clip-affine", help="functions without --run")
    parser.add_argument("--norms", nargs="*", type=Norms, choices=[*Norms], default=[*Norms])
    parser.add_argument("--ratio8", type=float, default=0.25)
    parser.add_argument("--activation-bits", type=int, default=8)
    args = parser.parse_args()
    if args.run:
        run = RunFolder.open(args.run)
    else:
        asked = {"model": MODEL, "weights": args.weights, "data": args.data, "images": args.images}
        # Nothing is written: the settings are all that is asked of it.
        run = RunFolder(Path(), make_settings(**asked, image_size=args.image_size))
    inputs = Inputs(run.settings)
    train, test = (load_images(args.data, split, inputs.model) for split in ("train", "test"))
    probed, test = train.limited(args.probe_images), test.limited(args.test_images)

    def seen(network: nn.Module | IntegerNetwork, label: str) -> tuple[Tensor, float]:
        """Features of the test images, and top-1 of the probe."""
        take = integer_features if isinstance(network, IntegerNetwork) else features
        found = take(network, test, label)
        return found[0], probe(take(network, probed, f"{label}, probe"), found)

    original, highest = seen(inputs.model, "original")
    size = run.settings.image_size
    columns: dict[str, list[str]] = {}
    for norms in args.norms:
        asked = {"norms": norms, "ratio8": args.ratio8, "activation_bits": args.activation_bits}
        run.settings = run.settings.model_copy(update=asked)
        own = args.run or norms is Norms.LAYERNORM
        at = networks(run, inputs) if own else controlled(inputs, run.settings, args.control)
        label = norms if own else args.control
        _ = inputs.training_images
        forget_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        found = make(run, inputs, at, lambda done, total: err.print(f"{done} of {total}", highlight=False))
        spent = time.perf_counter() - wall, time.process_time() - cpu, peak()
        before, stood = (
            (original, highest) if norms is Norms.LAYERNORM else seen(at.before, f"{label}, before")
        )
        codes, after = seen(found.network, f"{label}, integers")
        _, of_all = cosines(codes, original)
        figures = (stood, after, stood - after, highest - after, *cosines(codes, before), of_all, *spent)
        columns[label] = [
            f"{figure:.{digits}f}" for figure, (_, digits) in zip(figures, FIGURES, strict=True)
        ]
    table = Table(
        "",
        *columns,
        title=f"ViT-S at {size} pixels, {run.settings.images} images to fit to; the probe of the original "
        f"{highest:.2f} % on {len(test)} test images, fitted to {len(probed)}",
    )
    for i, (name, _) in enumerate(FIGURES):
        table.add_row(name, *(column[i] for column in columns.values()))
    out.print(table)


if __name__ == "__main__":
    main()
