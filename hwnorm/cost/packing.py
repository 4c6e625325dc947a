"""Which gates share a lookup table with what reads them.

Synthesis covers logic by lookup tables of few inputs: a gate that one other gate reads vanishes in that one's
table, and one before a carry chain in the chain's. Here the same is said gate by gate, from the inputs on: a
gate joins its only reader while both together have at most ``INPUTS`` inputs. What a target makes of each
class of gates is fitted (:mod:`hwnorm.characterize.fit`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hwnorm.datapath.cells.bits import ONE

#: Inputs of a lookup table.
INPUTS = 5


class Packing:
    """The gates of a datapath that are read, and what reads them.

    ``gates`` maps a bit to its gate: a kind and its inputs, a multiplexer's choice first. ``stage`` is the
    stage that makes a bit, ``reads`` the stages that read it. Gates in numerical order follow their inputs.
    """

    def __init__(
        self,
        gates: Mapping[int, tuple[str, tuple[int, ...]]],
        stage: Sequence[int],
        reads: Mapping[int, set[int]],
    ) -> None:
        self.gates = {bit: gates[bit] for bit in sorted(gates) if bit in reads}
        self.stage, self.reads = stage, reads
        self._signals: set[int] = set()
        #: How many gates and sums of its own stage read each bit that a gate makes.
        self._uses: Counter[int] = Counter()
        for bit, (_, inputs) in self.gates.items():
            self._uses.update(i for i in inputs if i in self.gates and stage[i] == stage[bit])
        self._summed: set[int] = set()

    def signal(self, bits: Iterable[int], stage: int) -> None:
        """Something of a stage reads these bits as they are: they need lookup tables of their own."""
        self._signals.update(bit for bit in bits if self.stage[bit] == stage)

    def sum(self, bits: Iterable[int], stage: int) -> None:
        """The lookup tables of a carry chain read these bits, one each."""
        for bit in bits:
            if self.stage[bit] == stage:
                self._uses[bit] += 1
                self._summed.add(bit)

    def classes(self) -> Iterator[tuple[int, str]]:
        """Each gate's bit, and its kind with ``_packed``, ``_summed``, ``_reset`` or nothing behind it."""
        reset = self._resets()
        inputs: dict[int, set[int]] = {}
        packed: set[int] = set()
        for bit, (_, reads) in self.gates.items():
            joining = []
            own: set[int] = set()
            for i in reads:
                free = i in inputs and i not in reset and self.stage[i] == self.stage[bit]
                if free and self._alone(i):
                    joining.append(i)
                elif i > ONE:
                    own.add(i)
            for n, i in enumerate(sorted(joining, key=lambda i: len(inputs[i]))):
                left = len(joining) - n - 1
                if len(own | inputs[i]) + left <= INPUTS and bit not in reset:
                    own |= inputs[i]
                    packed.add(i)
                else:
                    own.add(i)
            inputs[bit] = own
        for bit, (kind, _) in self.gates.items():
            if bit in reset:
                yield bit, f"{kind}_reset"
            elif bit in packed:
                yield bit, f"{kind}_packed"
            elif bit in self._summed and self._alone(bit) and len(inputs[bit]) < INPUTS:
                yield bit, f"{kind}_summed"
            else:
                yield bit, kind

    def _alone(self, bit: int) -> bool:
        """Whether one reader, gate or sum of the same stage, is all that a gate has."""
        return self._uses[bit] == 1 and bit not in self._signals and self.reads[bit] == {self.stage[bit]}

    def _resets(self) -> set[int]:
        """Multiplexers of a constant that are the set or reset of the register behind them.

        Of two, one behind the other, the inner one too where both constants are the same.
        """
        found: set[int] = set()
        for bit in self.gates:
            if self._uses[bit] or bit in self._signals or self.stage[bit] in self.reads[bit]:
                continue
            constant = self._constant(bit)
            while constant is not None:
                found.add(bit)
                _, (choice, a, b) = self.gates[bit]
                inner = a if b <= ONE else b
                self.signal([choice], self.stage[bit])
                alone = inner in self.gates and self._alone(inner)
                if not alone or self._constant(inner) != constant:
                    self.signal([inner], self.stage[bit])
                    break
                bit = inner
        return found

    def _constant(self, bit: int) -> int | None:
        """The constant that a multiplexer may choose; None if it is none or chooses between two signals."""
        kind, inputs = self.gates[bit]
        return min(inputs[1:]) if kind == "mux_constant" else None
