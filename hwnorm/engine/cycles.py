"""How many cycles an image takes: exactly those that the hardware counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from hwnorm.engine.emit import latency, pixels_a_beat
from hwnorm.engine.engine import Engine
from hwnorm.engine.phase import Kind, Phase
from hwnorm.engine.program import Program, Tile

#: From the cycle in which a pass's sums would be drained whole, were they there at its end, until its codes
#: can be read; the function's latency comes on top. Memory, array and epilogue: engine_core.v.
SETTLE = 13
#: Cycles from a phase's last word to the next phase's first: its descriptor is read.
SWITCH = 2
#: From a pass's last word to its sums: address, memory, array.
FLIGHT = 8
#: From a row's sums to its code: engine_lane.v.
EPILOGUE = 6


@dataclass(frozen=True)
class PhaseTiming:
    """A phase of an image, in cycles from the image's start.

    ``begin`` and ``end`` are when its first word and what follows its last one are read, ``busy`` its words.
    ``waited`` says for how many cycles its passes waited, and for what: ``codes`` of the phase before, the
    ``epilogue``, ``weights``, or the ``softmax``.
    """

    name: str
    op: Kind
    begin: int
    end: int
    busy: int
    waited: dict[str, int]


@dataclass(frozen=True)
class Timing:
    """Cycles of an image, as the engine's registers count them.

    ``cycles`` from its start to its end, ``busy`` those in which the array read words, ``stall`` those in
    which nothing but weights was missing.
    """

    cycles: int
    busy: int
    stall: int
    phases: tuple[PhaseTiming, ...]

    @property
    def counters(self) -> tuple[int, int, int]:
        """Cycles, busy, stall: what the engine's registers say."""
        return self.cycles, self.busy, self.stall


@dataclass
class _Pass:
    """What the next passes need to know of one."""

    begin: int = -(1 << 40)
    words: int = 0
    rows: int = 0

    @property
    def free(self) -> int:
        return self.begin + self.words + self.rows


@dataclass
class _Weights:
    """The loader: when each tile is there, and from when on its buffer is free again.

    ``tiles`` are an image's; those of the next image come behind them.
    """

    engine: Engine
    interval: int
    tiles: Sequence[Tile]
    ready: list[int] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    last: int = -(1 << 30)

    def there(self, number: int) -> int:
        """The first cycle in which a tile can be read; the buffers of those two before it are released."""
        while len(self.ready) <= number:
            tile = self.tiles[len(self.ready) % len(self.tiles)]
            beats = 1 + tile.words * self.engine.word_beats(tile.bits) + self.engine.row_beats(len(tile.rows))
            at = len(self.ready) - 2
            head = max(self.last + self.interval, self.released[at] if at >= 0 else self.last)
            self.last = head + (beats - 1) * self.interval
            self.ready.append(self.last + 1)
        return self.ready[number]

    def since(self, cycle: int) -> tuple[int, ...]:
        """All that later tiles depend on, in cycles from one."""
        return tuple(at - cycle for at in (self.last, *self.released[-2:]))

    def skip(self, count: int, each: int) -> None:
        """So many tiles more, each loaded and released as many cycles after the one before it."""
        steps = range(each, each * (count + 1), each)
        self.ready += [self.ready[-1] + step for step in steps]
        self.released += [self.released[-1] + step for step in steps]
        self.last += each * count


def predict(program: Program, images: int = 1, interval: int = 1) -> list[Timing]:
    """The cycles of each of some images, one right behind the other.

    A beat of weights comes every ``interval`` cycles at most, a beat of pixels every cycle; the first image
    begins when the engine holds all that it can of both. Logits are taken at once. A pass begins when the one
    before it has ended, its sums will find the drained registers free, and what it reads is there
    (``rtl/engine/engine_sequencer.v``).

    Args:
        program: what is computed.
        images: how many.
        interval: cycles from a beat of weights to the next.
    """
    weights = _Weights(program.engine, interval, program.tiles)
    model = _Model(program, weights)
    beats = math.prod(program.image) // pixels_a_beat(program)
    found: list[Timing] = []
    ends: list[int] = []
    start = there = 0
    for image in range(images):
        if image > 1:
            # Two images are held: this one comes once that before the one before it has been computed.
            there = max(there, ends[image - 2] + 1) + beats
        start = max(start, there)
        found.append(model.image(start, image * len(program.tiles)))
        ends.append(start + found[-1].cycles)
        # The logits leave before the next image begins.
        start = ends[-1] + 1 + program.sizes.classes
    return found


class _Model:
    def __init__(self, program: Program, weights: _Weights) -> None:
        self.program, self.engine, self.weights = program, program.engine, weights
        self.f_latency, self.e_latency = latency(program.functions), latency(program.exponentials)
        self.settle = SETTLE + self.f_latency
        #: Fewest cycles from one tile's exponentials to the next one's: a division takes as long.
        self.steps = program.sizes.digits + 1

    def image(self, start: int, tile: int) -> Timing:
        """The image that begins in cycle ``start``, whose first tile of weights has this number."""
        self.last = _Pass()
        self.softmax: list[int] = []
        self.tile, self.stall = tile, 0
        phases, earliest = [], start + 1
        for phase in self.program.phases:
            if phase.op == Kind.END:
                break
            self.earliest, self.first = earliest, True
            self.waited = dict.fromkeys(("codes", "epilogue", "weights", "softmax"), 0)
            self.begin, self.busy, self.keys = 0, 0, phase.token_to
            self._phase(phase)
            end = self.last.begin + self.last.words
            phases.append(
                PhaseTiming(phase.name, phase.op, self.begin - start, end - start, self.busy, self.waited)
            )
            earliest = end + SWITCH
        end = max(earliest, self.last.free + self.settle)
        busy = sum(phase.busy for phase in phases)
        return Timing(end + 1 - start, busy, self.stall, tuple(phases))

    def _phase(self, phase: Phase) -> None:
        match phase.op:
            case Kind.LINEAR:
                first = self.tile % len(self.program.tiles)
                tiles = self.program.tiles[first : first + phase.tiles8 + phase.tiles4]
                for (_, rows), same in groupby(tiles, key=lambda tile: (tile.bits, len(tile.rows))):
                    self._tiles(phase, rows, sum(1 for _ in same))
            case Kind.NORM:
                self._norm(phase)
            case Kind.SCORES:
                for _ in range(phase.tiles):
                    self._scores(phase)
            case _:
                there = self.softmax[phase.need - 1] + self._division if phase.need else 0
                for tile in range(phase.tiles8):
                    rows = phase.rows8 if tile + 1 == phase.tiles8 else self.engine.rows8
                    self._passes(phase, rows, [(rows, phase.tiles - 1)], softmax=there)

    def _tiles(self, phase: Phase, rows: int, count: int) -> None:
        """Tiles of weights of as many bits and rows.

        Once one finds all as far behind it as the one before did, so do those that follow.
        """
        before, found = self._now(), None
        while count:
            there = self.weights.there(self.tile)
            self._passes(phase, rows, [(rows, phase.tiles - 1)], weights=there)
            # The last row of its last pass gives the buffer back.
            self.weights.released.append(self.last.free + FLIGHT)
            self.tile += 1
            count -= 1
            now, last = self._now(), found
            found = self.weights.since(self.last.begin)
            if found == last:
                begin, self.busy, self.stall, *waited = (
                    b + count * (b - a) for a, b in zip(before, now, strict=True)
                )
                self.weights.skip(count, now[0] - before[0])
                self.last = replace(self.last, begin=begin)
                self.waited = dict(zip(self.waited, waited, strict=True))
                self.tile += count
                return
            before = now

    def _now(self) -> tuple[int, ...]:
        return self.last.begin, self.busy, self.stall, *self.waited.values()

    def _norm(self, phase: Phase) -> None:
        """From when the stream is there; its codes are there at its end."""
        at, there = self.earliest, self.last.free + self.settle
        self.waited["codes"] += max(0, there - at)
        self.begin = max(at, there)
        unit = self.program.norm_unit
        assert unit is not None
        self.last = _Pass(self.begin, unit.cycles(self.engine, phase.tiles), -self.settle)

    @property
    def _division(self) -> int:
        """From a tile's start in the softmax to its reciprocals."""
        return self.keys + self.e_latency + self.steps + 5

    def _scores(self, phase: Phase) -> None:
        """The passes of a tile of tokens, and when its softmax begins."""
        room = self.softmax[-2] + self.keys + 1 if len(self.softmax) > 1 else 0
        # All passes but the first wait for the rows of the one before alone.
        counts: Counter[int] = Counter()
        for keys, tiles in ((self.engine.tokens, phase.keys - 1), (phase.keys_last, 1)):
            whole, rest = divmod(keys, self.engine.rows8)
            counts[self.engine.rows8] += whole * tiles
            counts[rest] += tiles
        last = rest or self.engine.rows8
        counts[last] -= 1
        self._passes(phase, last, [(rows, n) for rows, n in counts.items() if rows and n], softmax=room)
        written = self.last.begin + self.last.words - 1 + FLIGHT + self.last.rows + EPILOGUE + self.f_latency
        before = self.softmax[-1] + max(self.keys, self.steps + 3) if self.softmax else 0
        self.softmax.append(max(written + 1, before))

    def _passes(
        self, phase: Phase, rows: int, others: list[tuple[int, int]], weights: int = 0, softmax: int = 0
    ) -> None:
        """Passes in a row, of which the first may wait for weights or the softmax.

        Args:
            rows: of the last one.
            others: rows, and how many passes before it have so many.
        """
        last, words = self.last, phase.words
        at = self.earliest if self.first else last.begin + last.words
        reasons = {
            "codes": last.free + self.settle if self.first else 0,
            "epilogue": last.free - words,
            "softmax": softmax,
            "weights": weights,
        }
        for reason, there in reasons.items():
            if there > at:
                self.waited[reason] += there - at
                if reason == "weights":
                    self.stall += there - at
                at = there
        if self.first:
            self.begin, self.first = at, False
        for more, count in others:
            self.waited["epilogue"] += count * max(0, more - words)
            self.busy += count * words
            at += count * max(more, words)
        self.busy += words
        self.last = _Pass(at, words, rows)
