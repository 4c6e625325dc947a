"""The grid of operations and widths that a target is measured over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwnorm.targets.target import KINDS

WIDTHS = (2, 4, 6, 8, 10, 12, 16, 20, 24, 32)
#: Bits that must agree.
AGREEING = (2, 3, 4, 5, 6, 8, 10, 14, 18)
#: Factors of products: those at which synthesis turns to DSP blocks, or to one more of them, are among them.
FACTORS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 18, 19, 25, 27, 28)
#: The same where all products are logic.
LOGIC_FACTORS = (2, 3, 4, 6, 8, 10, 12, 16, 20)
SQUARES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 18, 20, 25)
LATENCIES = (1, 2, 3, 4, 6, 8, 12)
BEATS = (10, 18, 34, 66, 130)
#: Inputs of Boolean functions, and how many random ones of each are measured.
FUNCTIONS = {2: 3, 3: 4, 4: 6, 5: 6, 6: 6}
_TABLE_BITS = tuple(range(1, 10))
_TABLE_OUT = 8


@dataclass(frozen=True)
class Operation:
    """A module of ``templates/characterize/operations.v.j2``: kind, widths, and its ports' bits."""

    kind: str
    size: tuple[int, ...]
    a: int
    b: int
    c: int
    out: int
    limit: int = 0
    contents: tuple[int, ...] = ()
    number: int = 0
    steps: tuple[dict[str, Any], ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """The module's name."""
        return "_".join(
            [self.kind, *map(str, self.size), *([str(self.number)] if self.kind == "function" else [])]
        )

    @property
    def w(self) -> int:
        """The first width."""
        return self.size[0]

    @property
    def v(self) -> int:
        """The last width."""
        return self.size[-1]

    @property
    def clocked(self) -> bool:
        """Whether it has a clock."""
        return self.kind in ("register", "skid", "pipe")


def operations(logic_only: bool) -> list[Operation]:
    """Every kind and size; with ``logic_only`` products no wider than logic is likely to take."""
    found = []
    for w in (1, *WIDTHS):
        limit = (0x2D2D2D2D & ((1 << (w - 1)) - 1)) | 1
        ports = {
            "add": (w, w, 0, w), "sub": (w, w, 0, w), "constant_sum": (w, 0, 0, w),
            "complement": (w, 1, 0, w), "gate": (w, 1, 0, w), "mux": (w, w, 1, w),
            "mux_constant": (w, 1, 0, w),
        }  # fmt: skip
        found += [Operation(kind, (w,), *port, limit=limit) for kind, port in ports.items()]
    for w in WIDTHS:
        ports = {
            "operand": (w, w, w, w), "negate": (w, 0, 0, w), "magnitude": (w, 0, 0, w),
            "compare": (w, w, 0, 1), "compare_constant": (w, 0, 0, 1), "round": (w, 1, 0, w),
            "register": (w, 0, 0, w),
        }  # fmt: skip
        limit = (0x2D2D2D2D & ((1 << (w - 1)) - 1)) | 1
        found += [Operation(kind, (w,), *port, limit=limit) for kind, port in ports.items()]
        found.append(_float(w))
    found += [Operation("fits", (n,), n, 0, 0, 1) for n in AGREEING]
    found += [Operation("square", (w,), w, 0, 0, 2 * w) for w in SQUARES]
    factors = LOGIC_FACTORS if logic_only else FACTORS
    found += [Operation("mul", (w, v), w, v, 0, w + v) for w in factors for v in factors if w <= v]
    found += [
        Operation("table", (bits,), bits, 0, 0, _TABLE_OUT, contents=_entries(bits)) for bits in _TABLE_BITS
    ]
    found += [Operation("skid", (beat,), beat, 2, 0, beat + 2) for beat in BEATS]
    found += [Operation("pipe", (latency,), 4, 0, 0, 5) for latency in LATENCIES]
    assert {operation.kind for operation in found} == set(KINDS)
    return found


def random_functions() -> list[Operation]:
    """Random Boolean functions that depend on all their inputs."""
    rng = np.random.default_rng(0)
    return [
        Operation("function", (n,), n, 0, 0, 1, contents=_function(rng, n), number=number)
        for n, count in FUNCTIONS.items()
        for number in range(count)
    ]


def _function(rng: np.random.Generator, inputs: int) -> tuple[int, ...]:
    while True:
        values = rng.integers(0, 2, size=1 << inputs)
        halves = [values.reshape(-1, 2, 1 << n) for n in range(inputs)]
        if all((half[:, 0] != half[:, 1]).any() for half in halves):
            return tuple(int(v) for v in values)


def _entries(bits: int) -> tuple[int, ...]:
    """A curve, as tables hold them."""
    x = np.linspace(0.0, 3.0, 1 << bits)
    return tuple(int(v) for v in np.round((2**_TABLE_OUT - 1) * np.tanh(x)))


def _float(w: int) -> Operation:
    """As ``verilog/cells.v.j2`` writes a float code."""
    steps, before = [], "a"
    for place in reversed(range((w - 1).bit_length())):
        steps.append({"places": 1 << place, "before": before})
        before = f"shifted{1 << place}"
    return Operation("float", (w,), w, 0, 0, w - 1 + w.bit_length(), steps=tuple(steps))
