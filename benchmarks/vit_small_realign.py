"""Closed-form re-alignment of a ViT-S with 25 norms: linear-probe top-1 and cosines, time and memory.

The features' linear probe is fitted anew for each network on the same training images, by ridge regression to
one-hot labels with its strength chosen on a part of them; it is measured on test images, as the cosines are.
"""

from __future__ import annotations

import resource
import time

from controls import CONTROLS
from rich.table import Table
from vit_small import MODEL, cosines, features, options, probe

from hwnorm.capture.hooks import capture
from hwnorm.data.images import load_images
from hwnorm.network.choice import read_choice
from hwnorm.network.models import load_model
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import Choice, functions_of, replace_norms
from hwnorm.progress import out
from hwnorm.realign.closed_form import realign


def main() -> None:
    """Print a table, a line a network."""
    parser = options(__doc__ or "")
    parser.add_argument("--fit-images", type=int, default=512)
    parser.add_argument(
        "--only", nargs="*", choices=CONTROLS, default=["clip-affine"], help="controls to try"
    )
    args = parser.parse_args()
    model = load_model(MODEL, args.weights, args.image_size)
    train, test = (load_images(args.data, split, model) for split in ("train", "test"))
    fit, probed = train.limited(args.fit_images), train.limited(args.probe_images)
    test = test.limited(args.test_images)
    profiles = capture(model, fit, find_norms(model), batch=32, progress="capture")
    choices: dict[str, Choice] = {
        name: {layer: CONTROLS[name](profile) for layer, profile in profiles.items()} for name in args.only
    }
    if args.run:
        choices["this run"] = read_choice(args.run / "choice.json")
    table = Table(
        title=f"ViT-S at {args.image_size} pixels, fitted to {len(fit)} images, on {len(test)} test images"
    )
    for heading in ("network", "probe top-1", "lost", "cosine", "centred", "seconds", "CPU s", "peak GB"):
        table.add_column(heading)
    wanted = features(model, test, "teacher")
    before = probe(features(model, probed, "teacher, probe"), wanted)
    table.add_row("LayerNorm", f"{before:.2f}")
    for name, choice in choices.items():
        functions = functions_of(choice, False)
        wall, cpu = time.perf_counter(), time.process_time()
        student, _ = realign(model, functions, fit, batch=32, progress=name)
        spent = f"{time.perf_counter() - wall:.0f}", f"{time.process_time() - cpu:.0f}"
        peak = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f}"
        for stage, network, extra in (
            ("nothing else", replace_norms(model, functions), ()),
            ("closed form", student, (*spent, peak)),
        ):
            found = features(network, test, f"{name}, {stage}")
            after = probe(features(network, probed, f"{name}, {stage}, probe"), found)
            cosine, centred = cosines(found[0], wanted[0])
            table.add_row(
                f"{name}, {stage}",
                f"{after:.2f}",
                f"{before - after:+.2f}",
                f"{cosine:.4f}",
                f"{centred:.4f}",
                *extra,
            )
    out.print(table)


if __name__ == "__main__":
    main()
