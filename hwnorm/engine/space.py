"""Every engine for a network within a budget, and those that no other one beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hwnorm.engine.cycles import Timing, predict
from hwnorm.engine.emit import parameters
from hwnorm.engine.engine import Engine
from hwnorm.engine.norm_unit import norms_of, unit_of
from hwnorm.engine.program import Program, compile_program
from hwnorm.engine.shapes import ImageSize
from hwnorm.engine.work import Product, products_of
from hwnorm.errors import InputError
from hwnorm.integers.network import IntegerNetwork

#: Columns and depths that are tried.
COLUMNS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
DEPTHS = (2, 3, 4, 5, 6, 8, 10, 12, 16)
#: Bits of the stream of weights; 512 is what a port of a memory controller gives.
BEATS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Candidate:
    """An engine, its program, and the cycles of an image in the middle of a row of them."""

    program: Program
    timing: Timing

    @property
    def engine(self) -> Engine:
        return self.program.engine

    @property
    def cycles(self) -> int:
        return self.timing.cycles

    @property
    def dsps(self) -> int:
        """Multipliers of the device that are taken, by the array, the epilogue and the LayerNorm unit."""
        unit = self.program.norm_unit
        norms = 0 if unit is None else unit.multipliers(self.engine)
        return self.engine.dsps(parameters(self.program)["SUM"]) + norms

    @property
    def utilisation(self) -> float:
        """Products that the network asks for, as a share of those that the multipliers could make."""
        return self.program.ideal_cycles / self.cycles


def evaluate(network: IntegerNetwork, engine: Engine, image: ImageSize) -> Candidate:
    """An engine with its program and its cycles.

    Raises:
        InputError: the network cannot be scheduled on it; says why.
    """
    program = compile_program(network, engine, image)
    return Candidate(program, predict(program, images=2)[1])


def front(
    network: IntegerNetwork,
    image: ImageSize,
    most: int,
    device: str,
    activation_bits: int,
    cycles: int | None = None,
) -> list[Candidate]:
    """Engines of at most ``most`` multipliers of the device that are faster than all with as many or fewer.

    Exact: every engine of the space is either predicted, or its padded products alone take longer than
    an engine that is no larger. The smallest comes first, of those with an eighth of ``most`` or more. With
    ``cycles`` it is those that need no more cycles, and the search ends with the smallest.

    Raises:
        InputError: none is so small, or the network cannot be scheduled on any; says why on one.
    """
    products = products_of(network, image)
    tokens = max(product.tokens for product in products)
    least = 1 if cycles is not None else most // 8
    unit = unit_of(norms_of(network))

    def size(engine: Engine) -> int:
        return engine.dsps() + (0 if unit is None else unit.multipliers(engine))

    tried = [e for e in _engines(tokens, device, activation_bits) if least <= size(e) <= most]
    if not tried:
        raise InputError(f"engine: {most} multipliers; the smallest engine has more")
    found: list[Candidate] = []
    refused, slow = "", 1 << 60
    # By size, so that whatever was found is no larger; of one size what may be fastest comes first.
    bounds = {engine: least_cycles(products, engine) for engine in tried}
    for engine in sorted(tried, key=lambda e: (size(e), bounds[e])):
        if cycles is not None and found and size(engine) > found[-1].dsps:
            break
        if cycles is not None and bounds[engine] > cycles:
            slow = min(slow, bounds[engine])
            continue
        if found and bounds[engine] >= found[-1].cycles:
            continue
        try:
            candidate = evaluate(network, engine, image)
        except InputError as reason:
            refused = str(reason)
            continue
        if candidate.dsps > most:
            continue
        if cycles is not None and candidate.cycles > cycles:
            slow = min(slow, candidate.cycles)
        elif not found or candidate.cycles < found[-1].cycles:
            if found and found[-1].dsps == candidate.dsps:
                found.pop()
            found.append(candidate)
    if not found:
        raise InputError(
            refused
            or f"engine: {cycles} cycles an image are asked for; the fastest engine of at most {most} "
            f"multipliers needs {slow}"
        )
    return found


def least_cycles(products: Sequence[Product], engine: Engine) -> int:
    """Words that the array reads with all that is padded, or rows that are drained, where those are more."""
    total = 0
    for product in products:
        tiles = -(-product.rows8 // engine.rows8)
        tiles += -(-max(0, product.rows4 - (tiles * engine.rows8 - product.rows8)) // engine.rows4)
        words = -(-product.inputs // engine.depth)
        rows = product.rows8 + product.rows4
        total += product.count * -(-product.tokens // engine.tokens) * max(tiles * words, rows)
    return total


def _engines(tokens: int, device: str, activation_bits: int) -> Iterator[Engine]:
    """Tiles of tokens that leave the fewest places empty for their number, and every column and depth.

    The stream of weights is so wide that it brings a word, and half the time is left for what else a tile
    has, while all tiles of tokens use the one before; but no wider than :data:`BEATS` have it.
    """
    sizes = sorted({-(-tokens // tiles) for tiles in range(1, tokens + 1)})
    for size in sizes:
        for columns in COLUMNS:
            for depth in DEPTHS:
                try:
                    yield _fed(Engine(size, columns, depth, activation_bits, device=device), tokens)
                except InputError:
                    continue


def _fed(engine: Engine, tokens: int) -> Engine:
    tiles = -(-tokens // engine.tokens)
    wide = [replace(engine, beat=beat) for beat in BEATS]
    return next((e for e in wide if 2 * max(e.word_beats(4), e.word_beats(8)) <= tiles), wide[-1])
