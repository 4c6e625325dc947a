"""Quasar-ViT's own model of latency (arXiv 2407.18175), and what it says of networks.

A layer multiplies F tokens of N channels by M rows, in tiles of `inputs` x `outputs` (Tn x Tm) weights. Ports
bring so many codes a cycle each; `products` (N_tot) is what all multipliers make in one.

We know the formulas, the device, the clock and the shares of resources, and neither the tiles, nor the ports,
nor the products a cycle. So these are enumerated here, one design for all three networks. That a design among
them says what was published is weaker than a prediction; so one is also chosen by two networks at a time, and
says what the third one does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hwnorm.engine.work import Product

#: Codes that a port of 128 bits brings a cycle: activations of 6 bits, weights of 8.
ACTIVATIONS, WEIGHTS = 128 // 6, 128 // 8
#: Hz.
CLOCK = 150e6


def _up(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True)
class Design:
    """Tiles of weights, ports of inputs, weights and outputs each, and products a cycle.

    P_F is taken to be no limit: all products that a cycle can hold are made, whichever tokens they are of.
    """

    inputs: int
    outputs: int
    ports: int
    products: int

    def cycles(self, layer: Product) -> float:
        """Of a layer, by the paper's formulas."""
        tokens, rows = layer.tokens, layer.rows8 + layer.rows4
        read = _up(self.inputs, ACTIVATIONS) * _up(tokens, self.ports)
        weights = _up(self.inputs, WEIGHTS) * _up(self.outputs, self.ports)
        written = _up(self.outputs, ACTIVATIONS) * _up(tokens, self.ports)
        computed = self.inputs * self.outputs * tokens / self.products
        tile = max(read, weights, computed) * _up(layer.inputs, self.inputs) + computed
        return layer.count * (_up(rows, self.outputs) * max(tile, written) + written)

    def rate(self, layers: Sequence[Product]) -> float:
        """Images a second."""
        return CLOCK / sum(self.cycles(layer) for layer in layers)


def designs() -> Iterator[Design]:
    """Those that are tried."""
    sizes = range(16, 129, 8)
    for found in itertools.product(sizes, sizes, (1, 2, 4, 8), range(2000, 7001, 200)):
        yield Design(*found)


def errors(networks: Mapping[str, tuple[Sequence[Product], float]]) -> dict[Design, dict[str, float]]:
    """By design and network, what the formulas say over what was published, less one.

    Args:
        networks: by name, layers and published images a second.
    """
    return {
        design: {name: design.rate(layers) / rate - 1 for name, (layers, rate) in networks.items()}
        for design in designs()
    }


def worst(found: Mapping[str, float], names: Sequence[str]) -> float:
    """The largest error, to either side, of these networks."""
    return max(abs(found[name]) for name in names)
