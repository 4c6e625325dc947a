"""How many cycles an image takes: exactly those that the hardware counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwnorm.engine.emit import pixels_a_beat
from hwnorm.engine.engine import PIXEL_BITS, Engine
from hwnorm.engine.passes import NEVER, Passes
from hwnorm.engine.phase import Kind
from hwnorm.engine.program import Program
from hwnorm.engine.work import Product, Workload, latency


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
    latencies = latency(program.functions), latency(program.exponentials)
    array = Passes(program.engine, *latencies, program.sizes.digits, interval)
    beats = math.prod(program.image) // pixels_a_beat(program)
    found: list[Timing] = []
    ends: list[int] = []
    start = there = 0
    for image in range(images):
        if image > 1:
            # Two images are held: this one comes once that before the one before it has been computed.
            there = max(there, ends[image - 2] + 1) + beats
        start = max(start, there)
        found.append(_image(program, array, start))
        ends.append(start + found[-1].cycles)
        # The logits leave before the next image begins.
        start = ends[-1] + 1 + program.sizes.classes
    return found


def counters(workload: Workload, engine: Engine) -> tuple[int, int, int]:
    """Cycles, busy and stall of an image in the middle of a row of them; no program is made.

    They are those that :func:`predict` has for the second image of a program.
    """
    array = Passes(engine, workload.functions, workload.exponentials, workload.digits, 1)
    walk = _Walk(workload, array)
    cycles = busy = stall = start = 0
    for _ in range(2):
        busy, stall = walk.image(start)
        cycles = array.end + 1 - start
        start += cycles + 1 + workload.classes
    return cycles, busy, stall


def _image(program: Program, array: Passes, start: int) -> Timing:
    """The image that begins in cycle ``start``."""
    array.start(start)
    phases: list[PhaseTiming] = []
    #: When the softmax of so many tiles of tokens had begun.
    begun, tiles = {0: NEVER}, 0
    for phase in program.phases[:-1]:
        match phase.op:
            case Kind.LINEAR:
                # Tiles of weights come once, however often their words are read.
                words = phase.words // (1 + phase.halves)
                rows = phase.tiles8, phase.rows8, phase.tiles4, phase.rows4
                busy = array.linear(phase.words, phase.tiles, _runs(array.engine, words, *rows))
            case Kind.SCORES:
                busy = array.scores(phase.words, phase.tiles, phase.token_to)
                tiles += phase.tiles
                begun[tiles] = array.begun[0]
            case Kind.NORM:
                unit = program.norm_unit
                assert unit is not None
                busy = array.norm(unit.cycles(array.engine, phase.tiles))
            case _:
                there = begun[phase.need] + array.division(phase.token_to)
                busy = array.values(phase.words, phase.tiles, phase.tiles8, phase.rows8, there)
        waited = {name: getattr(array, name) for name in ("codes", "epilogue", "weights", "softmax")}
        end = array.begin + array.words
        phases.append(PhaseTiming(phase.name, phase.op, array.first - start, end - start, busy, waited))
    return Timing(
        array.end + 1 - start,
        sum(phase.busy for phase in phases),
        sum(phase.waited["weights"] for phase in phases),
        tuple(phases),
    )


#: Beats that bring a tile of weights, its rows, and how many such tiles there are.
_Run = tuple[int, int, int]


def _runs(engine: Engine, words: int, tiles8: int, rows8: int, tiles4: int, rows4: int) -> list[_Run]:
    """The tiles of weights of a linear layer: all are whole but the last one of either kind."""
    found = []
    for bits, tiles, whole, last in ((8, tiles8, engine.rows8, rows8), (4, tiles4, engine.rows4, rows4)):
        for rows, count in ((whole, tiles - 1), (last, 1)):
            if tiles and count:
                beats = 1 + words * engine.word_beats(bits) + engine.row_beats(rows)
                found.append((beats, rows, count))
    return found


#: What the next phases depend on, in cycles from the begin of the last pass.
_State = tuple[int, ...]


class _Walk:
    """The products of a workload, one after the other.

    What one does from a state is computed once: the blocks of a network, and its images, are much alike.
    """

    def __init__(self, workload: Workload, array: Passes) -> None:
        self.workload, self.array = workload, array
        #: By step and state before: cycles to the begin of its last pass, state after it, words, stalls.
        self.known: dict[tuple[int, _State], tuple[int, _State, int, int]] = {}

    def image(self, start: int) -> tuple[int, int]:
        """Words that are read, and stalls, of the image that begins in cycle ``start``."""
        array, known = self.array, self.known
        array.start(start)
        busy = stall = 0
        steps, order = self.workload.steps
        for number in order:
            begin, state = array.begin, self._state()
            found = known.get((number, state))
            if found is None:
                words = self._step(steps[number])
                found = array.begin - begin, self._state(), words, array.weights
                known[number, state] = found
            else:
                self._restore(begin + found[0], found[1])
            busy += found[2]
            stall += found[3]
        return busy, stall

    def _state(self) -> _State:
        array = self.array
        begin, (last, before), (newest, older) = array.begin, array.released, array.begun
        return (
            array.words,
            array.rows,
            array.earliest - begin,
            _since(begin, array.loaded),
            _since(begin, last),
            _since(begin, before),
            _since(begin, newest),
            _since(begin, older),
        )

    def _restore(self, begin: int, state: _State) -> None:
        array, array.begin = self.array, begin
        array.words, array.rows = state[:2]
        array.earliest, array.loaded, *others = (begin + each for each in state[2:])
        array.released, array.begun = (others[0], others[1]), (others[2], others[3])

    def _step(self, products: tuple[Product, ...]) -> int:
        """Words of a product, or of scores with their context."""
        engine, array, (product, *context) = self.array.engine, self.array, products
        tiles = -(-product.span // engine.tokens)
        match product.kind:
            case Kind.LINEAR:
                words = -(-product.inputs // engine.depth)
                runs = _runs(engine, words, *engine.tiles(product.rows8, product.rows4))
                halves = product.pixels and engine.activation_bits < PIXEL_BITS
                return array.linear(words * (1 + halves), tiles, runs)
            case Kind.SCORES:
                return self._attention(product, context[0], tiles)
            case Kind.NORM:
                assert self.workload.norms is not None
                return array.norm(self.workload.norms.cycles(engine, tiles))
            case _:
                parts, rows = engine.parts(product.rows8)
                return array.values(engine.keys_words(product.span), 1, parts, rows)

    def _attention(self, scores: Product, context: Product, tiles: int) -> int:
        """All heads: the context of a head comes after the scores of the next one."""
        engine, array, keys = self.array.engine, self.array, scores.span
        deep, words = -(-scores.inputs // engine.depth), engine.keys_words(keys)
        parts, rows = engine.parts(context.rows8)
        division = array.division(keys)
        read = array.scores(deep, tiles, keys)
        there, known = array.begun[0] + division, None
        for left in reversed(range(scores.count - 1)):
            begin, before = array.begin, read
            read += array.scores(deep, tiles, keys)
            following = array.begun[0] + division
            read += array.values(words, tiles, parts, rows, there)
            there = following
            now = array.rows, array.begun[0] - array.begin, array.begun[1] - array.begin
            if now == known:
                # All is as far behind as it was a head before: so it is with the heads that follow.
                more = left * (array.begin - begin)
                array.begin, array.earliest, there = array.begin + more, array.earliest + more, there + more
                array.begun = array.begun[0] + more, array.begun[1] + more
                read += left * (read - before)
                break
            known = now
        return read + array.values(words, tiles, parts, rows, there)


def _since(begin: int, cycle: int) -> int:
    """Cycles from ``begin`` on; what has not been is always as far away."""
    return max(cycle - begin, NEVER // 2)
