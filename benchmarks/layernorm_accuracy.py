"""How far ``rtl/layernorm.v`` is from PyTorch's LayerNorm, and its latency and pace, for D = 192, 384, 768.

The Verilog runs in Verilator under ``sim/test_axis.py``, which holds every element to the bit-true model, the
first result to the latency, and each later cycle to a beat; the model is then compared with
``torch.nn.functional.layer_norm`` of the same codes. Tokens are activations of the built-in model's norms,
of 96 channels, as many side by side as make D; with ``--weights`` those of a ViT-S of 384 channels
(``vit_small_patch14_dinov2``) on images of ``--data``; and hard ones: outliers of 30 times the deviation
of the other channels, any scale, constants and the ends of the format, under gammas and betas of the
whole range.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwnorm.data.images import load_images
from hwnorm.emit import emit_kernel
from hwnorm.fixed import FixedFormat
from hwnorm.kernel.package import load_package
from hwnorm.layernorm import LayerNormDesign, LayerNormKernel, evaluate
from hwnorm.layernorm.accuracy import norm_inputs, torch_layer_norm, within
from hwnorm.layernorm.tokens import hard_tokens
from hwnorm.network.models import load_model
from hwnorm.verify.kernel import Kernel
from hwnorm.verify.packages import judge
from hwnorm.verify.toolchain import find_toolchain

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


def main() -> None:
    """Print a line a design and kind of token."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=1000, help="hard tokens compared with PyTorch")
    parser.add_argument("--weights", type=Path, help="of vit_small_patch14_dinov2 at 224 x 224")
    parser.add_argument("--data", type=Path, help="images for it")
    args = parser.parse_args()
    f16, s8 = FixedFormat(16, 10), FixedFormat(8, 5)
    affine = FixedFormat(16, 12)
    print("D | lanes | in -> out | tokens | within 1 ulp | largest | mean | latency | cycles a token")
    for channels in (192, 384, 768):
        for output in (f16, s8):
            design = LayerNormDesign(channels, args.lanes, f16, output, affine, affine)
            measure(design, "built-in model", list(builtin(design, 64)))
            if args.weights and args.data and channels == 384:
                measure(design, "ViT-S", list(small_vit(design, 64, args.weights, args.data)))
            rng = np.random.default_rng(0)
            gamma, beta = rng.integers(-(1 << 15), 1 << 15, size=(2, channels))
            measure(design, "hard", [(hard_tokens(design, args.tokens), gamma, beta)])
    print(
        "largest and mean: of |code - PyTorch's value|, in ulp of the output; half an ulp is rounding itself"
    )


def builtin(design: LayerNormDesign, count: int) -> Iterator[Case]:
    """Codes, gamma and beta of every norm of the built-in model."""
    model = load_model("builtin", None)
    yield from quantized(design, norm_inputs(model, load_images(None, "test", model), design.channels, count))


def small_vit(design: LayerNormDesign, count: int, weights: Path, data: Path) -> Iterator[Case]:
    """The same of a ViT-S."""
    model = load_model("vit_small_patch14_dinov2", weights, img_size=224, num_classes=0)
    yield from quantized(design, norm_inputs(model, load_images(data, "test", model), design.channels, count))


def quantized(
    design: LayerNormDesign, norms: Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]
) -> Iterator[Case]:
    """Each norm's tokens, gamma and beta in the design's formats."""
    assert design.gamma is not None
    assert design.beta is not None
    for _, tokens, gamma, beta in norms:
        yield design.input.quantize(tokens), design.gamma.quantize(gamma), design.beta.quantize(beta)


def measure(design: LayerNormDesign, kind: str, cases: list[Case]) -> None:
    """Compare all cases with PyTorch; run the first one's tokens, up to 24, in Verilator; print."""
    errors = [evaluate(design, *case) - torch_layer_norm(design, *case) for case in cases]
    x, gamma, beta = cases[0]
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "package"
        emit_kernel(LayerNormKernel(design, gamma, beta), package)
        sent = Kernel(load_package(package), x[:24].reshape(-1, design.lanes))
        (verdict,) = judge([sent], find_toolchain(), seed=0, jobs=2)
    assert verdict.passed, verdict.problems()
    joined = np.concatenate([np.abs(e).ravel() for e in errors])
    print(
        f"{design.channels} | {design.lanes} | {design.input} -> {design.output} | "
        f"{kind}, {joined.size} elements | {100 * within(errors, 1):.3f} % | "
        f"{joined.max():.4f} ulp | {joined.mean():.4f} ulp | {design.latency} | {design.beats}",
        flush=True,
    )


if __name__ == "__main__":
    main()
