"""Top-1 on all 10,000 test images: the built-in model, and the networks of a finished run.

The run's re-alignment is that of its folder (``realigned.safetensors``), made from its own training
images; only the evaluation uses the full test set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from hwnorm.choose.choice import bit_true, read_choice
from hwnorm.data.images import load_images
from hwnorm.evaluate import top1
from hwnorm.realign.stage import with_functions
from hwnorm.replace import replace_norms
from hwnorm.run.folder import RunFolder
from hwnorm.run.inputs import Inputs


def main() -> None:
    """Print one line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="finished run folder")
    args = parser.parse_args()
    run = RunFolder.open(args.run)
    model = Inputs(run.settings).model
    tests = load_images(args.data, "test", model)
    chosen = read_choice(run.choice)
    functions = {c.layer: c.function for c in chosen}
    print("LayerNorm          ", top1(model, tests))
    student = replace_norms(model, functions)
    print("functions only     ", top1(student, tests))
    state: dict[str, torch.Tensor] = load_file(run.realigned_weights)
    student.load_state_dict(state)
    print("re-aligned         ", top1(student, tests))
    print("bit-true           ", top1(with_functions(student, bit_true(chosen)), tests))


if __name__ == "__main__":
    main()
