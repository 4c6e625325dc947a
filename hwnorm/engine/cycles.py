"""How many cycles an image takes: exactly those that the hardware counts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hwnorm.engine.engine import Engine
from hwnorm.engine.phase import Kind, Phase
from hwnorm.engine.program import Program

#: Cycles from the last row that is drained, counted as if it were the array's, until its codes can be read:
#: memory, array and epilogue. The function's latency comes on top.
SETTLE = 13
#: From an image's start to the first pass at the earliest, and from a phase's last word to the next's first.
START, SWITCH = 3, 2


@dataclass(frozen=True)
class Timing:
    """Cycles of an image.

    ``total`` is from its start to its last logit, ``busy`` those in which the array worked, ``stall`` those
    in which it waited for weights. ``phases`` gives for each phase when it began, when its last word was
    read, and the cycles in which passes waited for epilogue, weights and softmax.
    """

    total: int
    busy: int
    stall: int
    phases: tuple[PhaseTiming, ...]


@dataclass(frozen=True)
class PhaseTiming:
    """When a phase's first and last words are read, and how long passes waited, by what they waited for."""

    name: str
    begin: int
    end: int
    busy: int
    waited: dict[str, int]


def predict(program: Program, f_latency: int, e_latency: int, interval: int = 1) -> Timing:
    """The cycles of an image whose weights come a beat every ``interval`` cycles, none before its start.

    A pass begins when the pass before it has ended, its sums will find the drained registers free, and what
    it reads is there (``rtl/engine/engine_sequencer.v``).
    """
    return _Model(program, f_latency, e_latency, interval).run()
