"""An integer network's files compute what it computes, step by step within one code.

A step reads the network's own codes, so that no error of one is carried into the next: tensors of a copy of
the file are inputs too. The whole files are run as well, and their logits compared.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwnorm.errors import InputError
from hwnorm.expression import ExpressionModule, parse
from hwnorm.fixed import FixedFormat
from hwnorm.graph.read import read_graph
from hwnorm.integers.network import IMAGES, IntegerNetwork, Pixels
from hwnorm.integers.onnx_export import QONNX, export_onnx, export_qonnx
from hwnorm.integers.onnx_nodes import INPUT, OUTPUT
from hwnorm.integers.operations import (
    Exponentials,
    IntegerAffine,
    IntegerFunction,
    IntegerLinear,
    IntegerOperation,
    IntegerPatches,
    IntegerPool,
    Table,
)
from hwnorm.integers.quantize import Recipe, Source, quantize
from hwnorm.lowering.lower import lower
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import replace_norms
from hwnorm.targets.target import load_target
from hwnorm.timm_compat import import_timm

onnx = pytest.importorskip("onnx")

PIXELS = Pixels((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
TANH = "2.5*tanh(0.5*x)"
SIZE = (16, 16)


def normalized(count: int, size: tuple[int, int] = SIZE, seed: int = 1) -> np.ndarray:
    """Random bytes as images."""
    drawn = np.random.default_rng(seed).integers(0, 256, (count, 3, *size))
    mean, std = (np.asarray(of)[:, None, None] for of in (PIXELS.mean, PIXELS.std))
    return ((drawn / 255 - mean) / std).astype(np.float32)


def quantized(functions: bool, **changes: Any) -> IntegerNetwork:
    """A random vision transformer of one block, its norms functions or kept."""
    import_timm()
    from timm.models import VisionTransformer

    torch.manual_seed(0)
    shape = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "num_heads": 2, "depth": 1, "num_classes": 7}
    model = VisionTransformer(**(shape | {"mlp_ratio": 2.0} | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            size = 0.3 if parameter.ndim == 1 else 1.5 / parameter[0].numel() ** 0.5
            parameter += size * torch.randn(parameter.shape)
    student: nn.Module = model
    target, datapaths = load_target("xcup"), {}
    if functions:
        names = [site.name for site in find_norms(model)]
        known = lower(parse(TANH), FixedFormat(12, 8), FixedFormat(8, 5), target, 250.0)
        datapaths = dict.fromkeys(names, known)
        student = replace_norms(model, {name: ExpressionModule(parse(TANH)) for name in names})
    source = Source(
        read_graph(student),
        read_graph(model),
        datapaths,
        {},
        lambda output: [torch.ones_like(output)],
        lambda moves: moves.square().mean(-1),
    )
    images = torch.from_numpy(normalized(24, seed=0))
    return quantize(source, PIXELS, images, Recipe(0.5, True, 4), target, 250.0).network


def strange() -> IntegerNetwork:
    """What none of those has: an affine, more than 16 bits, few bits, a rest of pixels, rows of one width."""
    draw = np.random.default_rng(2)
    wide, few = FixedFormat(20, 14), FixedFormat(5, 2)
    weight = draw.integers(-7, 8, (6, 3 * 4 * 8)).astype(np.int8)
    multiplier = draw.integers(1 << 15, 1 << 17, 6).astype(np.int32)
    bias = draw.integers(-400, 400, 6)
    narrow = np.full(6, 4, np.uint8)
    return IntegerNetwork(
        PIXELS,
        (
            IntegerPatches("patches", FixedFormat(8, 7), IMAGES, 4, 8),
            IntegerLinear("linear", wide, "patches", weight, narrow, bias, multiplier, 10, "proj"),
            IntegerAffine("affine", few, "linear", multiplier // 2, bias << 20, 29),
            IntegerPool("pool", wide, "affine", 0, 3, (1 << 24) // 3, 14),
        ),
    )


@pytest.fixture(scope="module")
def networks() -> dict[str, tuple[IntegerNetwork, tuple[int, int]]]:
    """Of each a network and the size of its images."""
    return {
        "functions": (quantized(True, reg_tokens=1), SIZE),
        "norms": (quantized(False, qk_norm=True, global_pool="avg"), SIZE),
        "strange": (strange(), (7, 26)),
    }


NAMES = ["functions", "norms", "strange"]


def fed(model: Any, network: IntegerNetwork) -> Any:
    """A copy in which each tensor is an output, and what reads it reads an input ``fed:TENSOR`` instead."""
    copy = type(model)()
    copy.CopyFrom(model)
    graph = copy.graph
    known = {info.name: info for info in graph.value_info}
    for tensor in graph.initializer:
        known[tensor.name] = onnx.helper.make_tensor_value_info(
            tensor.name, tensor.data_type, list(tensor.dims)
        )
    for name in network.formats:
        for node in graph.node:
            node.input[:] = [f"fed:{name}" if read == name else read for read in node.input]
        graph.output.append(known[name])
        graph.input.append(known[name])
        graph.input[-1].name = f"fed:{name}"
    for info in list(graph.value_info):
        if info.name in network.formats:
            graph.value_info.remove(info)
    return copy


def check_codes(network: IntegerNetwork, found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    """Every tensor within one code, and most codes the same; a function's are, whatever they read."""
    parts = []
    for op in network.operations:
        name, exact = op.out, isinstance(op, IntegerPatches | Table | IntegerFunction | Exponentials)
        apart = np.abs(found[name].astype(np.float64) - wanted[name])
        assert apart.shape == wanted[name].shape, name
        assert apart.max() <= (0 if exact else 1), name
        if not exact:
            parts.append(apart.ravel() > 0)
    assert np.concatenate(parts).mean() < 0.1
    assert np.array_equal(found[IMAGES], wanted[IMAGES])


def test_every_operation_is_in_a_network(networks):
    """So that no kind of them goes unseen."""
    kinds = {type(op) for network, _ in networks.values() for op in network.operations}
    known = {
        kind for kind in IntegerOperation.__subclasses__() if kind.__module__ == IntegerOperation.__module__
    }
    assert kinds == known


@pytest.mark.parametrize("name", NAMES)
def test_every_step_in_onnx_runtime(networks, name, tmp_path):
    """Of several images, from the network's own codes."""
    runtime = pytest.importorskip("onnxruntime")
    network, size = networks[name]
    export_onnx(network, tmp_path / "n.onnx", size)
    model = onnx.load(tmp_path / "n.onnx")
    onnx.checker.check_model(model, full_check=True)
    images = normalized(4, size)
    wanted = network.trace(images)
    copy = fed(model, network)
    session = runtime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    kinds = {"tensor(int8)": np.int8, "tensor(int16)": np.int16, "tensor(int32)": np.int32}
    feeds = {
        taken.name: wanted[taken.name.removeprefix("fed:")].astype(kinds[taken.type])
        for taken in session.get_inputs()
        if taken.name != INPUT
    }
    names = list(network.formats)
    found = session.run(names, feeds | {INPUT: images})
    check_codes(network, dict(zip(names, found, strict=True)), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_logits_in_onnx_runtime(networks, name, tmp_path):
    """End to end, of as many images as one likes: the class is the network's for at least 95 in 100."""
    runtime = pytest.importorskip("onnxruntime")
    network, size = networks[name]
    export_onnx(network, tmp_path / "n.onnx", size)
    session = runtime.InferenceSession(tmp_path / "n.onnx", providers=["CPUExecutionProvider"])
    images = normalized(200, size)
    (found,) = session.run([OUTPUT], {INPUT: images})
    wanted = network.evaluate(images) * network.output.ulp
    assert found.shape == wanted.shape
    assert (found.argmax(1) == wanted.argmax(1)).mean() >= 0.95
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_every_step_in_qonnx(networks, name, tmp_path):
    """Of one image, from the network's own codes, as the package ``qonnx`` runs it; the logits end to end."""
    pytest.importorskip("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    network, size = networks[name]
    export_qonnx(network, tmp_path / "n.onnx", size)
    images = normalized(1, size)
    wanted = network.trace(images)
    model = ModelWrapper(str(tmp_path / "n.onnx"))
    found = execute_onnx(model, {INPUT: images})[OUTPUT]
    assert found.shape == (1, wanted[network.operations[-1].out].size)
    assert found.argmax() == wanted[network.operations[-1].out].argmax()
    copy = ModelWrapper(fed(model.model, network))
    units = {name: fmt.ulp for name, fmt in network.formats.items()}
    feeds = {f"fed:{name}": (codes * units[name]).astype(np.float32) for name, codes in wanted.items()}
    values = execute_onnx(copy, feeds | {INPUT: images}, return_full_exec_context=True)
    check_codes(network, {name: values[name] / unit for name, unit in units.items()}, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_qonnx_has_each_rows_bits(networks, name, tmp_path):
    """Each linear layer's weights, as its IntQuants round them: codes of the rows' own bits, in order."""
    network, size = networks[name]
    export_qonnx(network, tmp_path / "n.onnx", size)
    model = onnx.load(tmp_path / "n.onnx")
    onnx.checker.check_model(model)
    assert {made.domain: made.version for made in model.opset_import} == {"": 18, QONNX: 1}
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    makes = {made: node for node in model.graph.node for made in node.output}
    for op in network.linears:
        node = makes[next(n for n in model.graph.node if n.name == f"{op.out}/MatMul:MatMul").input[1]]
        node, order = makes[node.input[0]], np.arange(len(op.bits))
        if node.op_type == "Gather":
            node, order = makes[node.input[0]], held[node.input[1]]
        parts = [makes[part] for part in node.input] if node.op_type == "Concat" else [node]
        assert len(parts) == len(np.unique(op.bits))
        codes = np.concatenate([np.round(held[part.input[0]] / held[part.input[1]]) for part in parts])
        bits = np.concatenate([np.full(len(held[part.input[0]]), held[part.input[3]]) for part in parts])
        assert np.array_equal(codes[order], op.weight)
        assert np.array_equal(bits[order], op.bits)


@pytest.mark.parametrize("export", [export_onnx, export_qonnx])
def test_metadata(networks, export, tmp_path):
    """Formats of all tensors, and the bits of each layer's rows."""
    network, size = networks["functions"]
    export(network, tmp_path / "n.onnx", size)
    held = {item.key: json.loads(item.value) for item in onnx.load(tmp_path / "n.onnx").metadata_props}
    assert {n: FixedFormat.parse(f) for n, f in held["hwnorm.formats"].items()} == network.formats
    assert held["hwnorm.rows"].keys() == {op.out for op in network.linears}
    for op in network.linears:
        rows = held["hwnorm.rows"][op.out]
        assert rows["layer"] == op.layer
        assert [bits for bits, run in rows["bits"] for _ in range(run)] == op.bits.tolist()


def test_codes_are_held_in_few_bytes(networks, tmp_path):
    """Weights as int8 with one scale a row; every tensor of 8 bits int8, of more int16."""
    network, size = networks["norms"]
    export_onnx(network, tmp_path / "n.onnx", size)
    graph = onnx.load(tmp_path / "n.onnx").graph
    kinds = {info.name: info.type.tensor_type.elem_type for info in graph.value_info}
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for name, fmt in network.formats.items():
        kind = onnx.TensorProto.INT8 if fmt.width <= 8 else onnx.TensorProto.INT16
        assert name in held or kinds[name] == kind
    for op in network.linears:
        (node,) = (node for node in graph.node if node.input[0] == f"{op.out}/weight")
        assert node.op_type == "DequantizeLinear"
        assert held[f"{op.out}/weight"].dtype == np.int8
        scale = op.multiplier * 2.0**-op.shift * op.format.ulp / network.formats[op.x].ulp
        assert np.array_equal(held[node.input[1]], scale)


@pytest.mark.parametrize("export", [export_onnx, export_qonnx])
def test_a_missing_package_is_named(networks, export, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"needs onnx.*pip install 'hwnorm\[export\]'"):
        export(networks["strange"][0], tmp_path / "n.onnx", (7, 26))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused(networks, tmp_path):
    """Images of another size, and codes that float32 does not have."""
    network, _ = networks["functions"]
    with pytest.raises(InputError, match="24 x 16 have 6 patches of 8 x 8; the network has 4"):
        export_onnx(network, tmp_path / "n.onnx", (24, 16))
    table = Table("table", FixedFormat(25, 8), np.zeros((1, 1), np.int32))
    with pytest.raises(InputError, match="'table': 25 bits"):
        export_onnx(IntegerNetwork(PIXELS, (table,)), tmp_path / "n.onnx", SIZE)
    assert not list(Path(tmp_path).iterdir())
