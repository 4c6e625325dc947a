"""An integer network for other tools: ONNX with QuantizeLinear and DequantizeLinear, or QONNX.

Both files take normalized images, float32 (n, C, H, W), as ``input``, and make the logits' or features'
real values as ``output``. A tensor between has the name that it has in the network, and what is between two
of them is computed in float32. Ties are rounded to even there and half up here, so each step comes out within
one code of :meth:`hwnorm.integers.network.IntegerNetwork.trace`, given the same codes.

The file's metadata has ``hwnorm.formats``, the format of each tensor, and ``hwnorm.rows``, of each
tensor that a linear layer makes its ``layer`` and the ``bits`` of its weights' rows, as [bits, rows] one
after the other.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hwnorm.errors import InputError
from hwnorm.files import write_whole
from hwnorm.integers.network import IntegerNetwork
from hwnorm.integers.onnx_nodes import INPUT, OUTPUT, Writer, storage
from hwnorm.integers.operations import Codes, IntegerLinear
from hwnorm.version import VERSION

if TYPE_CHECKING:
    import onnx

#: The domain of QONNX's operators.
QONNX = "qonnx.custom_op.general"
#: Protocol buffers hold no more.
_LARGEST = 2**31 - 2**20


def export_onnx(network: IntegerNetwork, path: Path, size: tuple[int, int]) -> None:
    """Write a network as ONNX, for any number of images.

    A tensor is its codes: int8, or int16 where it has more than 8 bits, by QuantizeLinear. Weights are
    int8 codes with a scale a row, functions and 2^x tables.

    Args:
        size: of the images, height and width.

    Raises:
        InputError: ``onnx`` is not installed, the size is not the network's, or the file would be too large.
    """
    _save(_Standard(network, size), path, batch="n", opset=21, ir_version=10)


def export_qonnx(network: IntegerNetwork, path: Path, size: tuple[int, int]) -> None:
    """Write a network as QONNX, for one image: every shape is known.

    A tensor is its real values, by IntQuant. Weights are real too, by an IntQuant for the rows of each
    number of bits; a Concat joins them, and a Gather puts them in order.

    Args, Raises: as :func:`export_onnx`.
    """
    _save(_Qonnx(network, size), path, batch=1, opset=18, ir_version=8)


class _Standard(Writer):
    """Tensors are codes."""

    def value(self, name: str) -> str:
        return self.shared(name, "value", lambda: self.node("DequantizeLinear", name, self._unit(name)))

    def codes(self, name: str) -> str:
        return self.shared(name, "codes", lambda: self.node("Cast", name, to=self.onnx.TensorProto.INT32))

    def _unit(self, name: str) -> str:
        return self.real(self.formats[name].ulp, "scale")

    def quantize(self, values: str, name: str) -> None:
        fmt = self.formats[name]
        if fmt.width not in (8, 16):  # which saturate by themselves
            values = self.node("Clip", values, self.real(fmt.low, "low"), self.real(fmt.high, "high"))
        kind = storage(fmt)
        if kind is np.int32:
            codes = self.node("Round", self.times(values, 2.0**fmt.frac))
            self.node("Cast", codes, out=name, to=self.onnx.TensorProto.INT32)
        else:
            self.node(
                "QuantizeLinear",
                values,
                self._unit(name),
                self.constant(np.zeros((), kind), "zero"),
                out=name,
            )

    def fixed(self, name: str, codes: Codes) -> None:
        self.constant(codes.astype(storage(self.formats[name])), "codes", name)

    def look_up(self, name: str, table: Codes, index: str) -> None:
        held = self.constant(table.astype(storage(self.formats[name])), "table")
        self.node("Gather", held, index, out=name)

    def weight(self, op: IntegerLinear, scale: npt.NDArray[np.float64]) -> str:
        codes = self.constant(op.weight, "weight")
        return self.node("DequantizeLinear", codes, self.real(scale, "scale"), axis=0)


class _Qonnx(Writer):
    """Tensors are real values that IntQuant has rounded."""

    def value(self, name: str) -> str:
        return name

    def codes(self, name: str) -> str:
        def make() -> str:
            whole = self.times(name, 2.0 ** self.formats[name].frac)
            return self.node("Cast", whole, to=self.onnx.TensorProto.INT32)

        return self.shared(name, "codes", make)

    def quantize(self, values: str, name: str) -> None:
        fmt = self.formats[name]
        self._quant(values, np.asarray(fmt.ulp), fmt.width, narrow=False, out=name)

    def _quant(
        self, values: str, scale: npt.NDArray[np.float64], bits: int, *, narrow: bool, out: str = ""
    ) -> str:
        more = [self.real(scale, "scale"), self.real(0.0, "zero"), self.real(bits, "bits")]
        return self.node(
            "IntQuant",
            values,
            *more,
            out=out,
            domain=QONNX,
            signed=1,
            narrow=int(narrow),
            rounding_mode="ROUND",
        )

    def fixed(self, name: str, codes: Codes) -> None:
        self.quantize(self.real(self.formats[name].to_float(codes), "table"), name)

    def look_up(self, name: str, table: Codes, index: str) -> None:
        held = self.real(self.formats[name].to_float(table), "table")
        self.quantize(self.node("Gather", held, index), name)

    def weight(self, op: IntegerLinear, scale: npt.NDArray[np.float64]) -> str:
        groups = [np.flatnonzero(op.bits == bits) for bits in dict.fromkeys(op.bits.tolist())]
        parts = []
        for rows in groups:
            bits, scales = int(op.bits[rows[0]]), scale[rows, None]
            held = self.real(op.weight[rows] * scales, "weight")
            parts.append(self._quant(held, scales, bits, narrow=True))
        if len(parts) == 1:
            return parts[0]
        joined, order = self.node("Concat", *parts, axis=0), np.concatenate(groups)
        if np.all(np.diff(order) > 0):
            return joined
        return self.node("Gather", joined, self.whole(np.argsort(order).tolist(), "order"), axis=0)


def _save(writer: Writer, path: Path, *, batch: int | str, opset: int, ir_version: int) -> None:
    onnx, network = writer.onnx, writer.network
    held = sum(len(tensor.raw_data) for tensor in writer.initializers)
    if held > _LARGEST:
        raise InputError(f"{path}: would have {held / 2**30:.1f} GiB; an ONNX file has 2 GiB at most")
    value, real = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    taken = value(INPUT, real, [batch, len(network.pixels.mean), *writer.size])
    made = value(OUTPUT, real, [batch, None])
    graph = onnx.helper.make_graph(writer.nodes, "hwnorm", [taken], [made], writer.initializers)
    opsets = [onnx.helper.make_opsetid("", opset)]
    if any(node.domain == QONNX for node in writer.nodes):
        opsets.append(onnx.helper.make_opsetid(QONNX, 1))
    model = onnx.helper.make_model(
        graph, opset_imports=opsets, ir_version=ir_version, producer_name="hwnorm", producer_version=VERSION
    )
    known = _with_shapes(model)
    model.graph.value_info.extend(known.value_info)
    model.graph.output[0].CopyFrom(known.output[0])
    onnx.helper.set_model_props(model, _properties(network))
    write_whole(path, lambda beside: _write(model, beside))


def _write(model: onnx.ModelProto, path: Path) -> None:
    path.write_bytes(model.SerializeToString(deterministic=True))


def _with_shapes(model: onnx.ModelProto) -> onnx.GraphProto:
    """Has the type and shape of every tensor; QONNX's operators keep those of what they read."""
    from onnx import shape_inference

    plain = type(model)()
    plain.CopyFrom(model)
    for node in plain.graph.node:
        if node.domain == QONNX:
            node.op_type, node.domain = "Identity", ""
            del node.input[1:], node.attribute[:]
    return shape_inference.infer_shapes(plain, check_type=True, strict_mode=True).graph


def _properties(network: IntegerNetwork) -> dict[str, str]:
    rows = {
        op.out: {
            "layer": op.layer,
            "bits": [[bits, len(list(run))] for bits, run in itertools.groupby(op.bits.tolist())],
        }
        for op in network.linears
    }
    formats = {name: str(fmt) for name, fmt in network.formats.items()}
    return {"hwnorm.formats": json.dumps(formats), "hwnorm.rows": json.dumps(rows)}
