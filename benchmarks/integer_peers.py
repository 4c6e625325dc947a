"""A network with its LayerNorms as integers: ours beside ONNX Runtime, torchao and Brevitas.

.venv/bin/python benchmarks/integer_peers.py --data DIR [--run runs/demo]

All get the same network, calibrate on the same training images and make no gradient step. Activations have
8 bits. Two tables: all that was tried; and of each tool, bits of weights and what is in integers the one of
the least divergence, picked on the test images, which favours the tool. The last column is ours at the same
bits less the tool. Differences are of the same images, with their paired 95 % interval. Needs the extras
``export`` and ``peers``.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn

from hwnorm.data.images import load_images
from hwnorm.integers.cpp import evaluate_cpp
from hwnorm.network.paired import PairedAccuracy
from hwnorm.progress import err, out
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import Norms
from hwnorm.stages.quantize import make, networks

#: What the tools beside ours need, and the extras that bring it.
NEEDED = {"onnxruntime": "export", "onnxscript": "export", "torchao": "peers", "brevitas": "peers"}
#: Images that the tools look at together.
TOGETHER = 100


@dataclass(frozen=True)
class Task:
    """What every tool is given: calibration and test images are float32 (n, C, H, W), normalized."""

    model: nn.Module
    calibration: Tensor
    images: Tensor


@dataclass(frozen=True)
class Result:
    """A quantized network's logits of all test images, float64 (n, classes).

    ``bits`` are those of weights (activations have 8), ``integers`` what the tool keeps in integers.
    """

    tool: str
    options: str
    bits: str
    integers: str
    logits: Tensor


@torch.no_grad()
def logits(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Of all images: float64 (n, classes)."""
    return torch.cat([network(part).double() for part in torch.split(images, TOGETHER)])


def ours(run: RunFolder, inputs: Inputs, images: Tensor) -> Iterator[Result]:
    """Three mixes of bits, all of it in integers."""
    at = networks(run, inputs)
    for ratio8, bits in ((1.0, "8"), (0.25, "a quarter 8, else 4"), (0.0, "4")):
        changed = {"ratio8": ratio8, "per_layer": False, "activation_bits": 8}
        run.settings = run.settings.model_copy(update=changed)
        network = make(run, inputs, at).network
        codes = evaluate_cpp(network, images.numpy())
        yield Result("hwnorm", "a scale a row", bits, "all", torch.from_numpy(network.output.to_float(codes)))


def onnxruntime(task: Task) -> Iterator[Result]:
    """Static, a scale a row of weights: three calibrations, activations with zero points (U8) or not (S8)."""
    import onnxruntime as ort
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    parts = [part.numpy() for part in torch.split(task.calibration, TOGETHER)]

    class Reader(CalibrationDataReader):
        """Part by part, as all tensors of a histogram are in memory otherwise."""

        def __init__(self) -> None:
            self.set_range(0, len(parts))

        def __len__(self) -> int:
            return len(parts)

        def set_range(self, start_index: int, end_index: int) -> None:
            self.left = iter(parts[start_index:end_index])

        def get_next(self) -> Any:
            part = next(self.left, None)
            return None if part is None else {"images": part}

    def evaluate(path: Path) -> Tensor:
        options = ort.SessionOptions()
        # Quantizers as they stand: kernels of integers saturate on processors without VNNI.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return logits(
            lambda part: torch.from_numpy(session.run(None, {"images": part.numpy()})[0]), task.images
        )

    products = ["Conv", "Gemm", "MatMul"]
    scopes: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("tensors between all operators", {}, {}),
        ("operands and results of products", {"op_types_to_quantize": products}, {}),
        (
            "operands of products",
            {"op_types_to_quantize": products},
            {"OpTypesToExcludeOutputQuantization": products},
        ),
    )
    codes = (
        ("8", True, QuantType.QInt8, QuantType.QInt8),
        ("8", False, QuantType.QUInt8, QuantType.QInt8),
        ("4", False, QuantType.QUInt8, QuantType.QInt4),
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        exported, prepared, quantized = (folder / f"{step}.onnx" for step in ("float", "prepared", "codes"))
        torch.onnx.export(
            task.model,
            (task.images[:2],),
            exported,
            dynamo=True,
            verbose=False,
            input_names=["images"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            external_data=False,
        )
        quant_pre_process(exported, prepared)
        methods = (CalibrationMethod.MinMax, CalibrationMethod.Percentile, CalibrationMethod.Entropy)
        for (integers, scope, extra), method in itertools.product(scopes, methods):
            ranges = folder / f"{integers} {method.name}.json"
            for bits, symmetric, activations, weights in codes:
                with redirect_stdout(sys.stderr):  # it tells of its progress
                    quantize_static(
                        prepared,
                        quantized,
                        Reader(),
                        per_channel=True,
                        activation_type=activations,
                        weight_type=weights,
                        calibrate_method=method,
                        calibration_cache_path=ranges,
                        extra_options={"ActivationSymmetric": symmetric, "CalibStridedMinMax": 1, **extra},
                        **scope,
                    )
                options = f"{method.name}, {'S8' if symmetric else 'U8'}S{bits}"
                yield Result("ONNX Runtime", options, bits, integers, evaluate(quantized))


def torchao(task: Task) -> Iterator[Result]:
    """Activations with a scale a token, found as it runs, or one a tensor; weights with one a row or group.

    Its GPTQ is left out: for 4 bits it needs another package, and it takes no quantized activations.
    """
    from torchao.quantization import (
        Int8DynamicActivationInt8WeightConfig,
        Int8DynamicActivationIntxWeightConfig,
        Int8StaticActivationInt8WeightConfig,
        MappingType,
        PerAxis,
        PerGroup,
        PerRow,
        PerTensor,
        quantize_,
    )
    from torchao.quantization.observer import AffineQuantizedMinMaxObserver
    from torchao.quantization.quant_api import IntxChooseQParamsAlgorithm

    def static(mapping: MappingType) -> nn.Module:
        network = copy.deepcopy(task.model)
        observers, ranks = {}, {}
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Linear):
                observers[name] = AffineQuantizedMinMaxObserver(
                    mapping, torch.int8, PerTensor(), eps=torch.finfo(torch.float32).eps
                )

                def observe(_: nn.Module, inputs: tuple[Tensor], name: str = name) -> None:
                    observers[name](inputs[0])
                    ranks[name] = inputs[0].ndim

                layer.register_forward_pre_hook(observe)
        logits(network, task.calibration)
        network = copy.deepcopy(task.model)
        for name, observer in observers.items():
            scale, zero = (value.reshape([1] * ranks[name]) for value in observer.calculate_qparams())
            config = Int8StaticActivationInt8WeightConfig(
                act_quant_scale=scale,
                act_quant_zero_point=zero if mapping is MappingType.ASYMMETRIC else None,
                granularity=[PerTensor(), PerRow()],
                act_mapping_type=mapping,
            )
            quantize_(network, config, filter_fn=lambda _, found, name=name: found == name)
        return network

    def dynamic(config: Any) -> nn.Module:
        network = copy.deepcopy(task.model)
        quantize_(network, config)
        return network

    operands = "operands of linear layers"
    by_token = f"{operands}, a scale a token"
    for mapping in (MappingType.SYMMETRIC, MappingType.ASYMMETRIC):
        named = f"a scale a row, {mapping.name.lower()}"
        yield Result("torchao", f"static, {named}", "8", operands, logits(static(mapping), task.images))
        network = dynamic(Int8DynamicActivationInt8WeightConfig(act_mapping_type=mapping))
        yield Result("torchao", f"dynamic, {named}", "8", by_token, logits(network, task.images))
    groups = (("row", PerAxis(0)), ("group of 32", PerGroup(32)))
    for (group, granularity), found_by in itertools.product(groups, IntxChooseQParamsAlgorithm):
        network = dynamic(
            Int8DynamicActivationIntxWeightConfig(
                weight_dtype=torch.int4,
                weight_granularity=granularity,
                intx_choose_qparams_algorithm=found_by,
            )
        )
        options = f"dynamic, a scale a {group}, {found_by.value}"
        yield Result("torchao", options, "4", by_token, logits(network, task.images))


def brevitas(task: Task) -> Iterator[Result]:
    """Its own post-training flow, layer by layer, ended by its correction of biases.

    Left out as they diverged more: 8 bits by Qronos, on 300 test images and calibrated on 200; 4 bits by
    GPTQ after an equalization of activations.
    """
    from brevitas.export.inference import quant_inference_mode
    from brevitas_examples.imagenet_classification.ptq import ptq_common as flow

    batches = [(part, None) for part in torch.split(task.calibration, TOGETHER)]
    rounded: dict[str, Callable[[nn.Module], None]] = {
        "nearest": lambda network: None,
        "GPTQ": lambda network: flow.apply_gptq(batches, network, act_order=True, use_quant_activations=True),
        "Qronos": lambda network: flow.apply_qronos(network, batches),
    }
    ways = (
        (8, "sym", "stats", "nearest"),
        (8, "asym", "stats", "nearest"),
        (8, "asym", "stats", "GPTQ"),
        (4, "sym", "stats", "nearest"),
        (4, "asym", "stats", "nearest"),
        (4, "asym", "stats", "GPTQ"),
        (4, "asym", "stats", "Qronos"),
        (4, "asym", "mse", "Qronos"),
    )
    for bits, mapping, scales, rounding in ways:
        network = flow.quantize_model(
            copy.deepcopy(task.model),
            "layerwise",
            weight_bit_width=bits,
            act_bit_width=8,
            bias_bit_width=None,
            layerwise_first_last_bit_width=bits,
            weight_quant_granularity="per_channel",
            weight_param_method=scales,
            act_quant_percentile=99.999,
            act_quant_type=mapping,
            scale_factor_type="float_scale",
            quant_format="int",
        )
        logits(network, batches[0][0])  # which sets the weights' scales
        flow.calibrate(batches, network)
        rounded[rounding](network)
        flow.apply_bias_correction(batches, network)
        with quant_inference_mode(network):
            found = logits(network, task.images)
        options = f"a scale a row by {scales}, {mapping}, {rounding}"
        yield Result("Brevitas", options, str(bits), "operands of linear layers and patches", found)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder: model, images")
    options = parser.parse_args()
    for package, extra in NEEDED.items():
        if find_spec(package) is None:
            parser.error(f"{package} is not installed: pip install -c constraints.txt '.[{extra}]'")
    run = RunFolder.open(options.run)
    run.settings = run.settings.model_copy(update={"norms": Norms.LAYERNORM})
    inputs = Inputs(run.settings)
    parts = list(load_images(options.data, "test", inputs.model).batches(200))
    images, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    calibration = torch.cat([part for part, _ in inputs.training_images.batches(200)])
    task = Task(inputs.model, calibration, images)
    wanted = logits(task.model, images)
    right = wanted.argmax(1) == labels

    def divergence(result: Result) -> float:
        p, q = wanted.log_softmax(1), result.logits.log_softmax(1)
        return float((p.exp() * (p - q)).sum(1).mean())

    found: list[Result] = []
    for result in itertools.chain(
        ours(run, inputs, images), onnxruntime(task), torchao(task), brevitas(task)
    ):
        found.append(result)
        err.print(len(found), result.tool, result.options)
    own = {result.bits: result.logits.argmax(1) == labels for result in found if result.tool == "hwnorm"}

    def table(results: list[Result], title: str) -> Table:
        made = Table(
            *("tool", "options", "bits", "in integers", "top-1", "less float, 95 %", "KL", "ours less it"),
            title=title,
        )
        for result in results:
            correct = result.logits.argmax(1) == labels
            ours_less = difference(own[result.bits], correct) if result.tool != "hwnorm" else ""
            made.add_row(
                *(result.tool, result.options, result.bits, result.integers),
                f"{100 * correct.double().mean():.2f} %",
                difference(correct, right),
                f"{divergence(result):.5f}",
                ours_less,
            )
        return made

    out.print(
        f"{len(images)} test images, {len(calibration)} calibration images; "
        f"in float {100 * right.double().mean():.2f} %"
    )
    out.print(table(found, "all"))
    best: dict[tuple[str, str, str], Result] = {}
    for result in sorted(found, key=divergence):
        best.setdefault((result.tool, result.bits, result.integers), result)
    out.print(table(list(best.values()), "the least divergence of each"))


def difference(right: Tensor, other: Tensor) -> str:
    """In points, with its paired interval."""
    paired = PairedAccuracy.of(right, other)
    low, high = paired.interval
    return f"{paired.difference:+.2f} ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    main()
