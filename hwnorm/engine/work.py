"""What an image asks of an engine: its matrix products, whatever the engine is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwnorm.engine.shapes import ImageSize, channels_of, tokens_of
from hwnorm.integers.network import IntegerNetwork
from hwnorm.integers.operations import IntegerContext, IntegerLinear, IntegerPool, IntegerScores


@dataclass(frozen=True)
class Product:
    """Matrix products of a kind: ``count`` of (tokens x inputs) by (inputs x rows of 8 and of 4 bits)."""

    name: str
    count: int
    tokens: int
    inputs: int
    rows8: int
    rows4: int = 0

    @property
    def products(self) -> tuple[int, int]:
        """With codes of 4 bits and of 8 bits at the place of weights."""
        each = self.count * self.tokens * self.inputs
        return each * self.rows4, each * self.rows8


def products_of(network: IntegerNetwork, image: ImageSize) -> list[Product]:
    """In order of execution; linear layers that read the same, such as q, k and v, are one product."""
    tokens, channels = tokens_of(network, image), channels_of(network, image)
    found: list[Product] = []
    reading: dict[str, int] = {}
    for op in network.operations:
        match op:
            case IntegerLinear():
                eight = int((op.bits > 4).sum())
                rows = eight, len(op.bits) - eight
                if op.residual is None and op.x in reading:
                    first = found[reading[op.x]]
                    found[reading[op.x]] = replace(
                        first, rows8=first.rows8 + rows[0], rows4=first.rows4 + rows[1]
                    )
                    continue
                if op.residual is None:
                    reading[op.x] = len(found)
                found.append(Product(op.out, 1, tokens[op.x], op.weight.shape[1], *rows))
            case IntegerScores():
                n = tokens[op.q]
                found.append(Product(op.out, op.heads, n, channels[op.q] // op.heads, n))
            case IntegerContext():
                n = tokens[op.v]
                found.append(Product(op.out, op.heads, n, n, channels[op.v] // op.heads))
            case IntegerPool():
                found.append(Product(op.out, 1, 1, op.end - op.first, channels[op.x]))
            case _:
                pass
    return found
