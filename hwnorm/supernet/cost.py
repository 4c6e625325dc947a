"""What a subnet costs on the engine: the cycles of the fastest one within a budget, weights, products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnorm.engine.shapes import ImageSize
from hwnorm.engine.space import Candidate, Fastest
from hwnorm.engine.work import products_of
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IntegerNetwork
from hwnorm.integers.operations import (
    IntegerAffine,
    IntegerContext,
    IntegerFunction,
    IntegerLinear,
    IntegerNorm,
    IntegerOperation,
    IntegerScores,
    Table,
)
from hwnorm.supernet.slices import STREAM, Groups, block_of
from hwnorm.supernet.space import Subnet

#: Bits of a row of each linear layer.
Bits = Mapping[str, npt.NDArray[np.uint8]]


def shaped(network: IntegerNetwork, groups: Groups, subnet: Subnet, bits: Bits) -> IntegerNetwork:
    """Integers of a subnet's shapes: codes of the whole network's, as many as the subnet has, its rows' bits.

    Cycles and resources are those of the subnet's own integers; what it computes is nothing.
    """
    stands: dict[str, str] = {}
    # What stands for a stream is read as that would be.
    formats: dict[str, FixedFormat] = {}
    found: list[IntegerOperation] = []
    for op in network.operations:
        # What narrows a stream belongs to the layer that reads it.
        block = block_of(op.layer if isinstance(op, IntegerFunction) else op.out)
        if block is not None and subnet.blocks[block] is None:
            if isinstance(op, IntegerLinear) and op.residual is not None:
                stands[op.out] = stands.get(op.residual, op.residual)
                formats[stands[op.out]] = op.format
            continue
        part = _part(op, groups, subnet, bits)
        found.append(_renamed(part, stands))
    read = [replace(op, format=formats.get(op.out, op.format)) for op in found]
    return IntegerNetwork(network.pixels, tuple(read))


def _renamed(op: IntegerOperation, stands: Mapping[str, str]) -> IntegerOperation:
    """The same, reading what stands for the stream behind a block that is left out."""
    names = {field: str(getattr(op, field, "")) for field in ("x", "residual")}
    changed: dict[str, Any] = {field: stands[name] for field, name in names.items() if name in stands}
    return replace(op, **changed)


def _group(groups: Groups, name: str) -> str | None:
    """Of a tensor of the integers; what stands beside the graph's is a copy of the stream."""
    return groups.of.get(name, STREAM)


def _part(op: IntegerOperation, groups: Groups, subnet: Subnet, bits: Bits) -> IntegerOperation:
    rows = groups.count(_group(groups, op.out), subnet)
    match op:
        case IntegerLinear():
            columns = groups.count(_group(groups, op.x), subnet)
            name = op.out if op.out in bits else groups.joined[op.out]
            own = bits[name]
            most = (1 << (own.astype(np.int64) - 1)) - 1
            codes = np.clip(op.weight[:rows, :columns], -most[:, None], most[:, None]).astype(np.int8)
            return replace(op, weight=codes, bits=own, bias=op.bias[:rows], multiplier=op.multiplier[:rows])
        case Table():
            return replace(op, codes=op.codes[:, :rows])
        case IntegerScores():
            channels = groups.count(groups.of[op.q], subnet)
            assert channels is not None
            return replace(op, heads=channels // groups.head_dim)
        case IntegerContext():
            assert rows is not None
            return replace(op, heads=rows // groups.head_dim)
        case IntegerNorm():
            assert rows is not None
            return replace(
                op, design=replace(op.design, channels=rows), gamma=op.gamma[:rows], beta=op.beta[:rows]
            )
        case IntegerAffine():
            return replace(op, multiplier=op.multiplier[:rows], bias=op.bias[:rows])
        case _:
            return op


@dataclass(frozen=True)
class Cost:
    """Of one subnet: the fastest engine within the budget, and what does not depend on engines.

    ``products`` are multiplications an image, ``weight_bits`` of all weights.
    """

    candidate: Candidate
    products: int
    weight_bits: int

    @property
    def cycles(self) -> int:
        """An image, in the middle of a row of them."""
        return self.candidate.cycles


class Costs:
    """Costs of the subnets of one network.

    Args:
        network: integers of the whole of it.
        fastest: finds engines within the budget.
    """

    def __init__(self, network: IntegerNetwork, groups: Groups, image: ImageSize, fastest: Fastest) -> None:
        self.network, self.groups, self.image, self.fastest = network, groups, image, fastest

    def __call__(self, subnet: Subnet, bits: Bits) -> Cost:
        """Of a subnet.

        Raises:
            NoEngine: no engine within the budget runs it.
        """
        shapes = shaped(self.network, self.groups, subnet, bits)
        weight_bits = sum(int(op.bits.sum()) * op.weight.shape[1] for op in shapes.linears)
        products = sum(sum(product.products) for product in products_of(shapes, self.image))
        return Cost(self.fastest(shapes), products, weight_bits)
