"""Every engine for a network within a budget, and those that no other one beats."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hwnorm.engine.cycles import Timing, counters, predict
from hwnorm.engine.devices import whole
from hwnorm.engine.emit import parameters
from hwnorm.engine.engine import Engine, sharing
from hwnorm.engine.norm_unit import NormUnit, norms_of, unit_of
from hwnorm.engine.program import Program, compile_program
from hwnorm.engine.resources import Resources, engine_resources, is_predicted, least_blocks, least_resources
from hwnorm.engine.shapes import ImageSize
from hwnorm.engine.work import Product, Workload, workload_of
from hwnorm.errors import InputError
from hwnorm.integers.network import IntegerNetwork

#: Columns and depths that are tried.
COLUMNS, DEPTHS = range(1, 17), range(2, 17)
#: Bits of the stream of weights; 512 is what a port of a memory controller gives.
BEATS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Candidate:
    """An engine with its program."""

    program: Program

    @cached_property
    def timing(self) -> Timing:
        """Of an image in the middle of a row of them."""
        return predict(self.program, images=2)[1]

    @property
    def engine(self) -> Engine:
        return self.program.engine

    @property
    def cycles(self) -> int:
        return self.timing.cycles

    @property
    def dsps(self) -> int:
        """Multipliers of the device that are taken, by the array, the epilogue and the LayerNorm unit."""
        return _multipliers(self.engine, self.program.norm_unit, parameters(self.program)["SUM"])

    @property
    def size(self) -> int:
        """Multipliers, those of LUTs among them."""
        return self.dsps + self.engine.lut_multipliers

    @cached_property
    def resources(self) -> Resources | None:
        """Of the whole top, predicted; None where parts of it were not measured."""
        if not is_predicted(self.engine.device, self.program.norm_unit):
            return None
        return engine_resources(self.program, self.engine.device)

    @property
    def utilisation(self) -> float:
        """Products that the network asks for, as a share of those that the multipliers could make."""
        return self.program.ideal_cycles / self.cycles


def most_cycles(clock_mhz: float, fps: float) -> int:
    """The cycles that an image may take at a rate.

    A rate that is just that of so many cycles allows them, whatever its last bit.
    """
    return int(clock_mhz * 1e6 / fps * (1 + 1e-12))


def evaluate(network: IntegerNetwork, engine: Engine, image: ImageSize) -> Candidate:
    """An engine with its program.

    Raises:
        InputError: the network cannot be scheduled on it; says why.
    """
    return Candidate(compile_program(network, engine, image))


def front(
    network: IntegerNetwork,
    image: ImageSize,
    most: Resources,
    device: str,
    activation_bits: int,
    cycles: int | None = None,
) -> list[Candidate]:
    """Engines within ``most`` of the device that are faster than all with as many or fewer multipliers.

    Those of LUTs count as others do. Columns of them are there where the device's multipliers are too few
    and the budget says how many LUTs there may be. Lanes take multipliers of the device where LUTs are
    too few.

    Exact: every engine of the space is either predicted, or its padded products alone take longer than
    an engine that is no larger, or its array or its memories alone take more than there may be. The smallest
    comes first; where multipliers alone are limited, of those with an eighth of them or more. With ``cycles``
    it is those that need no more cycles, and the search ends with the smallest.

    Raises:
        InputError: none is so small, and which comes nearest; or the network cannot be scheduled on any:
            says why on one. Or LUTs, flip-flops or memories are limited, and not predicted.
    """
    unit, there = unit_of(norms_of(network)), whole(device)
    if not is_predicted(device, unit) and most != replace(there, dsp=most.dsp):
        what = f"target {device}" if unit is None else "LayerNorm units"
        raise InputError(f"engine: {what}: parts of engines were not measured; a budget is one of dsp alone")
    work = workload_of(network, image)
    tokens = max(product.tokens for product in work.products)
    search = None
    # Where LUTs, flip-flops or memories leave nothing of the usual size, smaller ones are tried.
    for least in (1,) if cycles is not None else (most.dsp // 8, 1):
        each = _Search(network, image, work, most, cycles, device)
        tried = [e for e in each.engines(tokens, activation_bits) if each.size(e) >= least]
        if tried:
            search = each
            if found := search.front(tried):
                return found
    if search is not None:
        raise InputError(search.reason)
    smallest = next(_engines(tokens, device, activation_bits))
    if _multipliers(smallest, unit) > most.dsp:
        raise InputError(f"engine: {most.dsp} multipliers; the smallest engine has more")
    raise InputError(f"engine: at most {most.told()}; the array of each engine alone takes more")


@dataclass
class _Search:
    """One search for a front; ``reason`` says why nothing was found."""

    network: IntegerNetwork
    image: ImageSize
    work: Workload
    most: Resources
    cycles: int | None
    device: str
    refused: str = ""
    #: What comes nearest of those that take too much: its largest share of what there may be.
    nearest: Candidate | None = None
    share: float = math.inf

    def __post_init__(self) -> None:
        self.unit = self.work.norms
        #: Whether LUTs, flip-flops and memories are.
        self.predicted = is_predicted(self.device, self.unit)
        #: A budget of multipliers alone asks for none of LUTs.
        self.columns_of_luts = self.predicted and self.most.lut < whole(self.device).lut
        #: Those that differ, as often as they come.
        self.products = [
            replace(product, count=product.count * times)
            for product, times in Counter(replace(each, name="") for each in self.work.products).items()
        ]
        #: Of an image, by shape: neither what lanes multiply with nor columns of LUTs change an engine's.
        self.known: dict[_Shape, int] = {}
        #: Those that need more cycles than are asked for.
        self.slow: list[Engine] = []
        #: Those that take more blocks of memory than there may be, with how many at least.
        self.large: list[tuple[int, Engine]] = []

    def size(self, engine: Engine) -> int:
        """Multipliers of an engine at least, of LUTs too, with its LayerNorm unit."""
        return _multipliers(engine, self.unit) + engine.lut_multipliers

    def engines(self, tokens: int, activation_bits: int) -> Iterator[Engine]:
        """Those whose arrays alone take no more than there may be."""
        for engine in _engines(tokens, self.device, activation_bits):
            for rescale in ("lut", "dsp") if self.predicted else ("lut",):
                each = replace(engine, rescale=rescale)
                excess = max(0, _multipliers(each, self.unit) - self.most.dsp)
                luts = -(-excess // (each.multipliers // each.columns))
                if luts > (each.columns if self.columns_of_luts else 0):
                    continue
                each = replace(each, lut_columns=luts)
                if not self.predicted or least_resources(each).within(self.most):
                    yield each

    def front(self, tried: Sequence[Engine]) -> list[Candidate]:
        found: list[Candidate] = []
        limit, fastest = self.cycles, 1 << 60
        # By size, so that whatever was found is no larger; of one size what may be fastest comes first.
        bounds = {engine: least_cycles(self.products, engine) for engine in tried}
        for engine in sorted(tried, key=lambda e: (self.size(e), bounds[e])):
            if limit is not None and found and self.size(engine) > found[-1].size:
                break
            if bounds[engine] >= fastest:
                continue
            if self.predicted and (blocks := least_blocks(engine, self.work)) > self.most.bram:
                self.large.append((blocks, engine))
                continue
            cycles = self._cycles(engine)
            if limit is not None and cycles > limit:
                self.slow.append(engine)
                continue
            candidate = self._candidate(engine) if cycles < fastest else None
            if candidate is not None:
                if found and found[-1].size == candidate.size:
                    found.pop()
                found.append(candidate)
                fastest = cycles
        return found

    def fastest(self, tried: Sequence[Engine]) -> Candidate | None:
        """Of the engines that are within what there may be."""
        bounds = [(least_cycles(self.products, engine), i) for i, engine in enumerate(tried)]
        best: Candidate | None = None
        for bound, i in sorted(bounds):
            if best is not None and bound >= best.cycles:
                break
            if best is None or self._cycles(tried[i]) < best.cycles:
                best = self._candidate(tried[i]) or best
        return best

    def _cycles(self, engine: Engine) -> int:
        shape = engine.tokens, engine.columns, engine.depth
        if shape not in self.known:
            self.known[shape], _, _ = counters(self.work, engine)
        return self.known[shape]

    def _candidate(self, engine: Engine) -> Candidate | None:
        """An engine that can be scheduled, and is within what there may be."""
        try:
            candidate = evaluate(self.network, engine, self.image)
        except InputError as reason:
            self.refused = str(reason)
            return None
        taken = candidate.resources or Resources(0, 0, candidate.dsps, 0)
        if taken.within(self.most):
            return candidate
        share = taken.share(self.most)
        if self.nearest is None or share < self.share:
            self.nearest, self.share = candidate, share
        return None

    @property
    def reason(self) -> str:
        for engine in sorted(self.slow, key=self._cycles):
            if self._candidate(engine) is not None:
                return (
                    f"engine: {self.cycles} cycles an image are asked for; the fastest engine of at most "
                    f"{self.most.told()} needs {self._cycles(engine)}"
                )
        for blocks, engine in sorted(self.large, key=lambda pair: pair[0]):
            # Where there may be none at all, each is as far from it as another.
            if self.nearest is not None and not blocks < self.share * self.most.bram:
                break
            self._candidate(engine)
        if self.nearest is not None:
            engine, taken = self.nearest.engine, self.nearest.resources
            return (
                f"engine: at most {self.most.told()}; the nearest engine, {engine}, takes "
                f"{taken.told() if taken is not None else f'{self.nearest.dsps} DSP'}"
            )
        return self.refused


_Shape = tuple[int, int, int]


def _multipliers(engine: Engine, unit: NormUnit | None, sum_bits: int = 0) -> int:
    """Of the device, with those of a LayerNorm unit."""
    return engine.dsps(sum_bits) + (0 if unit is None else unit.multipliers(engine))


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

    Where some tokens share a multiplier, tiles have whole ones of these.

    The stream of weights is so wide that it brings a word, and half the time is left for what else a tile
    has, while all tiles of tokens use the one before; but no wider than :data:`BEATS` have it.
    """
    pair = sharing(device, activation_bits).pair
    sizes = sorted({-(-tokens // (tiles * pair)) * pair for tiles in range(1, tokens + 1)})
    for size in sizes:
        for columns in COLUMNS:
            for depth in DEPTHS:
                try:
                    yield _fed(Engine(size, columns, depth, activation_bits, device=device), tokens)
                except InputError:
                    continue


def _fed(engine: Engine, tokens: int) -> Engine:
    tiles = -(-tokens // engine.tokens)
    word = max(engine.word_bits(4), engine.word_bits(8))
    return replace(engine, beat=next((beat for beat in BEATS if 2 * -(-word // beat) <= tiles), BEATS[-1]))


class NoEngine(InputError):
    """No engine within a budget runs a network."""


class Fastest:
    """Finds the fastest engine within ``most`` of a device, network after network.

    As exact as :func:`front`; what depends on the engine alone is found once for all networks of as many
    tokens.

    Args:
        image: channels, height and width of what all networks see.
    """

    def __init__(self, image: ImageSize, most: Resources, device: str, activation_bits: int) -> None:
        self.image, self.most, self.device, self.activation_bits = image, most, device, activation_bits
        self._tried: dict[tuple[int, NormUnit | None], list[Engine]] = {}

    def __call__(self, network: IntegerNetwork) -> Candidate:
        """The fastest engine for a network.

        Raises:
            NoEngine: none is within the budget; says which comes nearest.
        """
        work = workload_of(network, self.image)
        search = _Search(network, self.image, work, self.most, None, self.device)
        tokens = max(product.tokens for product in work.products)
        if (tokens, search.unit) not in self._tried:
            self._tried[tokens, search.unit] = list(search.engines(tokens, self.activation_bits))
        best = search.fastest(self._tried[tokens, search.unit])
        if best is None:
            raise NoEngine(search.reason)
        return best
