"""Top-1 of the built-in model with every norm replaced: the run's functions beside three controls.

Each gets the same re-alignment, closed form and then, with ``--epochs``, distillation (D), on the same
training images; all of them are measured on all 10,000 test images, float and bit-true. Runs on a GPU if
there is one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from controls import CONTROLS
from rich.table import Table
from safetensors.torch import load_file
from torch import nn

from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.data.mirrored import MirroredImages
from hwnorm.expression import parse
from hwnorm.lowering.lower import lower
from hwnorm.network.evaluate import evaluate
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import functions_of, replace_norms, with_functions
from hwnorm.progress import err, out
from hwnorm.realign.closed_form import realign
from hwnorm.realign.distributed import own_device
from hwnorm.realign.finetune import Recipe, finetune
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICE, FRONT, PROFILE
from hwnorm.targets.target import load_target

Functions = dict[str, nn.Module]

OWN = "this run"


def candidates(
    run: RunFolder, names: list[str], bit_true: bool
) -> Iterator[tuple[str, Functions, Functions]]:
    """Name, float and bit-true functions, in the formats of the run's kernels."""
    chosen = run.read(CHOICE).layers
    target = load_target(run.settings.target, run.settings.cost_weights)
    for name in names:
        if name == OWN:
            yield name, functions_of(chosen, False), functions_of(chosen, True) if bit_true else {}
            continue
        fit = CONTROLS[name]
        texts = {c.layer: fit(run.read(PROFILE, c.layer).statistics) for c in chosen}
        fronts = {c.layer: run.read(FRONT, c.layer) for c in chosen if bit_true}
        paths = {
            layer: lower(parse(texts[layer]), front.input, front.output, target, run.settings.clock_mhz)
            for layer, front in fronts.items()
        }
        yield name, functions_of(texts, False), functions_of(paths, True)


def stored(run: RunFolder, teacher: nn.Module, tests: ImageSet) -> Table:
    """Scores of the network that the run re-aligned itself."""
    functions, integers = (functions_of(run.read(CHOICE).layers, fixed) for fixed in (False, True))
    student = replace_norms(teacher, functions)
    student.load_state_dict(load_file(run.realigned_weights))
    networks = {
        "LayerNorm": teacher,
        "re-aligned by the run": student,
        "bit-true": with_functions(student, integers),
    }
    table = Table("network", "top-1", title=f"on {tests.description}, fingerprint {tests.fingerprint}")
    for name, found in evaluate(networks, teacher, tests, 10, progress="test").items():
        table.add_row(name, str(found.top1))
    return table


def main() -> None:
    """Print a table, a line a function and stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="finished run folder")
    parser.add_argument("--fit-images", type=int, default=60_000, help="for the closed form")
    parser.add_argument("--mirrored", action="store_true", help="fit to mirrored copies as well")
    parser.add_argument("--epochs", type=int, default=0, help="of distillation after it")
    parser.add_argument("--tune-images", type=int, default=60_000, help="for the distillation")
    names = [OWN, *CONTROLS]
    parser.add_argument("--only", nargs="*", choices=names, default=names, help="functions to try")
    parser.add_argument("--no-bit-true", action="store_true")
    parser.add_argument(
        "--stored", action="store_true", help="only measure the weights that the run re-aligned itself"
    )
    args = parser.parse_args()
    run = RunFolder.open(args.run)
    teacher = Inputs(run.settings).model.to(own_device())
    training = load_images(args.data, "train", teacher)
    tests = load_images(args.data, "test", teacher)
    fit = training.limited(args.fit_images)
    images = MirroredImages(fit) if args.mirrored else fit
    if args.stored:
        out.print(stored(run, teacher, tests))
        return
    sites = {site.name: site for site in find_norms(teacher)}
    teacher_score = evaluate({"": teacher}, teacher, tests, 10, progress="LayerNorm")[""].top1
    assert teacher_score is not None
    table = Table(title=f"top-1 on {tests.description}, fingerprint {tests.fingerprint}")
    for heading in (
        "functions",
        "stage",
        "top-1",
        "to LayerNorm",
        "bit-true",
        "to float",
        "seconds",
        "CPU s",
    ):
        table.add_column(heading)
    table.add_row("LayerNorm", "", f"{teacher_score.percent:.2f}")
    for name, functions, integers in candidates(run, args.only, not args.no_bit_true):
        wall, cpu = time.perf_counter(), time.process_time()
        student, _ = realign(teacher, functions, images, progress=name)
        spent = {"closed form": (time.perf_counter() - wall, time.process_time() - cpu)}
        networks = {"nothing else": replace_norms(teacher, functions), "closed form": student}
        if args.epochs:
            tuned = with_functions(student, functions)
            wall, cpu = time.perf_counter(), time.process_time()
            recipe = Recipe("D", args.epochs)
            replaced = {layer: sites[layer] for layer in functions}
            finetune(tuned, teacher, replaced, training.limited(args.tune_images), recipe)
            spent["D"] = time.perf_counter() - wall, time.process_time() - cpu
            networks["D"] = tuned
        exact = {f"{s}, bit-true": with_functions(n, integers) for s, n in networks.items() if integers}
        scores = evaluate(networks | exact, teacher, tests, 10, progress=f"{name}: test")
        for stage in networks:
            top1, integer = scores[stage].top1, scores.get(f"{stage}, bit-true")
            assert top1 is not None
            row = [name, stage, f"{top1.percent:.2f}", f"{top1.percent - teacher_score.percent:+.2f}"]
            if integer is not None and integer.top1 is not None:
                row += [f"{integer.top1.percent:.2f}", f"{integer.top1.percent - top1.percent:+.2f}"]
            else:
                row += ["", ""]
            table.add_row(*row, *(f"{value:.0f}" for value in spent.get(stage, ())))
            err.print(*row)
    from_all = f"{len(images)} of {images.description}"
    out.print(f"fitted to {from_all}; D on {min(args.tune_images, len(training))} images")
    out.print(table)


if __name__ == "__main__":
    main()
