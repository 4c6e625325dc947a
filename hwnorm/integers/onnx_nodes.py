"""The operations of an integer network as nodes of ONNX, whatever a file's dialect has its tensors be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IMAGES, IntegerNetwork
from hwnorm.integers.operations import (
    Codes,
    Exponentials,
    IntegerAffine,
    IntegerContext,
    IntegerFunction,
    IntegerLinear,
    IntegerNorm,
    IntegerOperation,
    IntegerPatches,
    IntegerPool,
    IntegerScores,
    Table,
)

if TYPE_CHECKING:
    import onnx

#: The real tensors that a file takes and makes: normalized images, and logits or features (n, classes).
INPUT, OUTPUT = "input", "output"
#: float32, in which all between two quantizers is computed, has every code of so many bits.
MOST_BITS = 24


class Writer(ABC):
    """Writes a network down, node by node. A dialect says what a tensor of codes is in its files.

    A tensor has the name that it has in the network. What a node between them makes is called
    ``TENSOR/KIND``, after the tensor that it is for.

    Args:
        size: of the images, height and width.

    Raises:
        InputError: ``onnx`` is not installed, the size does not make as many patches as the network has
            positions, or a tensor is wider than :data:`MOST_BITS`.
    """

    def __init__(self, network: IntegerNetwork, size: tuple[int, int]) -> None:
        try:
            import onnx
        except ImportError:
            raise InputError(
                "an export needs onnx, which is not installed; pip install 'hwnorm[export]' adds it"
            ) from None
        self.onnx = onnx
        self.network, self.size, self.formats = network, size, network.formats
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._used = {INPUT, OUTPUT, *self.formats}
        self._kept: dict[tuple[str, str], str] = {}
        self._check()
        self._begin()
        for op in network.operations:
            self.place = op.out
            write(op, self)
        self.place = OUTPUT
        self.node("Flatten", self.value(network.operations[-1].out), out=OUTPUT, axis=1)

    def _check(self) -> None:
        tokens = {op.out: len(op.codes) for op in self.network.operations if isinstance(op, Table)}
        patches = {op.out: op for op in self.network.operations if isinstance(op, IntegerPatches)}
        for op in self.network.linears:
            if op.x in patches and op.residual in tokens:
                cut, wanted = patches[op.x], tokens[op.residual] - op.first
                found = (self.size[0] // cut.height) * (self.size[1] // cut.width)
                if found != wanted:
                    raise InputError(
                        f"images of {self.size[0]} x {self.size[1]} have {found} patches of {cut.height} x "
                        f"{cut.width}; the network has {wanted}"
                    )
        for name, fmt in self.formats.items():
            if fmt.width > MOST_BITS:
                raise InputError(
                    f"tensor {name!r}: {fmt.width} bits; an export has {MOST_BITS} bits at most, float32's"
                )

    def _begin(self) -> None:
        """From normalized images to bytes less 128, whose format has 1 / 128 as its step."""
        self.place = IMAGES
        pixels, unit = self.network.pixels, self.formats[IMAGES].ulp
        std, mean = (np.asarray(of, dtype=np.float64)[:, None, None] for of in (pixels.std, pixels.mean))
        x = self.node("Mul", INPUT, self.real(255 * unit * std, "gain"))
        self.quantize(self.node("Add", x, self.real((255 * mean - 128) * unit, "offset")), IMAGES)

    # Parts of a graph.

    def node(self, kind: str, *inputs: str, out: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of what it makes."""
        out = out or self._name(kind)
        made = self.onnx.helper.make_node(kind, inputs, [out], name=f"{out}:{kind}", domain=domain)
        made.attribute.extend(self.onnx.helper.make_attribute(*item) for item in attributes.items())
        self.nodes.append(made)
        return out

    def constant(self, array: npt.NDArray[Any], role: str, name: str = "") -> str:
        """Add an array of the file; returns its name."""
        name = name or self._name(role)
        self.initializers.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def real(self, values: npt.ArrayLike, role: str) -> str:
        """A constant of float32."""
        return self.constant(np.asarray(values, dtype=np.float32), role)

    def whole(self, values: int | Sequence[int], role: str) -> str:
        """A constant of int64: sizes and axes."""
        return self.constant(np.asarray(values, dtype=np.int64), role)

    def reshape(self, x: str, *shape: int, out: str = "") -> str:
        """0 keeps a size, -1 is the rest."""
        return self.node("Reshape", x, self.whole(shape, "shape"), out=out)

    def transpose(self, x: str, *order: int) -> str:
        return self.node("Transpose", x, perm=order)

    def times(self, x: str, factor: float | npt.NDArray[np.float64]) -> str:
        """A factor of one is left out, which that of most powers of two is."""
        return x if np.all(factor == 1) else self.node("Mul", x, self.real(factor, "factor"))

    def shared(self, name: str, kind: str, make: Callable[[], str]) -> str:
        """What all who read a tensor share, made for the first of them, in the tensor's place."""
        if (name, kind) not in self._kept:
            place, self.place = self.place, name
            self._kept[name, kind] = make()
            self.place = place
        return self._kept[name, kind]

    def _name(self, kind: str) -> str:
        name, count = f"{self.place}/{kind}", 1
        while name in self._used:
            count += 1
            name = f"{self.place}/{kind}.{count}"
        self._used.add(name)
        return name

    # What a dialect decides.

    @abstractmethod
    def value(self, name: str) -> str:
        """The real values of a tensor, float32."""

    @abstractmethod
    def codes(self, name: str) -> str:
        """The codes of a tensor, int32."""

    @abstractmethod
    def quantize(self, values: str, name: str) -> None:
        """Make a tensor of real values: rounded and saturated to its format."""

    @abstractmethod
    def fixed(self, name: str, codes: Codes) -> None:
        """Make a tensor whose codes are known."""

    @abstractmethod
    def look_up(self, name: str, table: Codes, index: str) -> None:
        """Make a tensor of the codes in a table, by an index from 0."""

    @abstractmethod
    def weight(self, op: IntegerLinear, scale: npt.NDArray[np.float64]) -> str:
        """Real weights (outputs, inputs): codes times each row's scale."""


@singledispatch
def write(op: IntegerOperation, to: Writer) -> None:
    """Write an operation down.

    Raises:
        InputError: an operation of another kind than those of :mod:`hwnorm.integers.operations`.
    """
    raise InputError(f"operation {op.out!r}: {type(op).__name__} is not exported")


@write.register
def _(op: IntegerPatches, to: Writer) -> None:
    rows, columns = to.size[0] // op.height, to.size[1] // op.width
    channels = len(to.network.pixels.mean)
    x, whole = op.x, (rows * op.height, columns * op.width)
    if whole != to.size:
        first, axes = to.whole((0, 0), "starts"), to.whole((2, 3), "axes")
        x = to.node("Slice", x, first, to.whole(whole, "ends"), axes)
    x = to.reshape(x, 0, channels, rows, op.height, columns, op.width)
    to.reshape(to.transpose(x, 0, 2, 4, 1, 3, 5), 0, rows * columns, -1, out=op.out)


@write.register
def _(op: Table, to: Writer) -> None:
    to.fixed(op.out, op.codes[None])


@write.register
def _(op: IntegerLinear, to: Writer) -> None:
    before = to.formats[op.x]
    step = np.asarray(op.multiplier * 2.0**-op.shift * op.format.ulp, dtype=np.float64)  # of a sum
    weight = to.transpose(to.weight(op, step / before.ulp), 1, 0)
    y = to.node("MatMul", to.value(op.x), weight)
    y = to.node("Add", y, to.real(op.bias * step, "bias"))
    if op.residual is not None:
        if op.first:
            y = to.node("Pad", y, to.whole((0, op.first, 0, 0, 0, 0), "pads"))
        y = to.node("Add", to.value(op.residual), y)
    to.quantize(y, op.out)


@write.register
def _(op: IntegerFunction, to: Writer) -> None:
    to.look_up(op.out, op.table, _above(to, to.codes(op.x), op.datapath.input.min_code))


@write.register
def _(op: IntegerNorm, to: Writer) -> None:
    design = op.design
    gamma, beta = np.ones(design.channels), np.zeros(design.channels)
    if design.gamma is not None and design.beta is not None:
        gamma, beta = design.gamma.to_float(op.gamma), design.beta.to_float(op.beta)
    x = to.value(op.x)
    if op.heads > 1:
        x = to.reshape(x, 0, 0, op.heads, -1)
    x = to.node(
        "LayerNormalization", x, to.real(gamma, "gamma"), to.real(beta, "beta"), axis=-1, epsilon=design.eps
    )
    to.quantize(to.reshape(x, 0, 0, -1) if op.heads > 1 else x, op.out)


@write.register
def _(op: IntegerAffine, to: Writer) -> None:
    step = 2.0**-op.shift * op.format.ulp
    y = to.node("Mul", to.value(op.x), to.real(op.multiplier * step / to.formats[op.x].ulp, "gain"))
    to.quantize(to.node("Add", y, to.real(op.bias * step, "bias")), op.out)


@write.register
def _(op: IntegerScores, to: Writer) -> None:
    q = to.transpose(to.reshape(to.value(op.q), 0, 0, op.heads, -1), 0, 2, 1, 3)
    k = to.transpose(to.reshape(to.value(op.k), 0, 0, op.heads, -1), 0, 2, 3, 1)
    to.quantize(to.times(to.node("MatMul", q, k), _factor(op, op.shift, to, op.q, op.k)), op.out)


@write.register
def _(op: Exponentials, to: Writer) -> None:
    least, codes = op.datapath.input.min_code, to.codes(op.x)
    most = to.node("ReduceMax", codes, to.whole([-1], "axes"), keepdims=1)
    below = to.node("Sub", codes, most)
    below = to.node("Max", below, to.constant(np.asarray(least, dtype=np.int32), "least"))
    to.look_up(op.out, op.table, _above(to, below, least))


@write.register
def _(op: IntegerContext, to: Writer) -> None:
    p, v = to.value(op.p), to.reshape(to.value(op.v), 0, 0, op.heads, -1)
    total = to.node("MatMul", p, to.transpose(v, 0, 2, 1, 3))
    sums = to.node("ReduceSum", p, to.whole([-1], "axes"), keepdims=1)
    one = to.real(2.0**op.digits * to.formats[op.p].ulp, "one")
    total = to.node("Mul", total, to.node("Round", to.node("Div", one, sums)))
    total = to.times(total, _factor(op, op.shift, to, op.p, op.v))
    to.quantize(to.reshape(to.transpose(total, 0, 2, 1, 3), 0, 0, -1), op.out)


@write.register
def _(op: IntegerPool, to: Writer) -> None:
    first, end, axes = (
        to.whole([at], role) for at, role in ((op.first, "starts"), (op.end, "ends"), (1, "axes"))
    )
    total = to.node("Slice", to.value(op.x), first, end, axes)
    total = to.node("ReduceSum", total, to.whole([1], "axes"), keepdims=1)
    to.quantize(to.times(total, op.multiplier * _factor(op, op.shift, to, op.x)), op.out)


def _factor(op: IntegerOperation, shift: int, to: Writer, *reads: str) -> float:
    """What a product of real values is to be taken times, if that of codes is shifted."""
    return float(2.0**-shift * op.format.ulp / np.prod([to.formats[name].ulp for name in reads]))


def _above(to: Writer, codes: str, least: int) -> str:
    """Codes counted from the least."""
    return to.node("Sub", codes, to.constant(np.asarray(least, dtype=np.int32), "first"))


def storage(fmt: FixedFormat) -> type[np.signedinteger]:
    """What holds the codes of a format in a file."""
    return np.int8 if fmt.width <= 8 else np.int16 if fmt.width <= 16 else np.int32
