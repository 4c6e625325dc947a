"""A target technology: one JSON file of cell costs by width, with the tool that measured them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, model_validator

from hwnorm.errors import InputError

#: The layout of a target's file that this version reads.
SCHEMA_VERSION = 1
#: What must be measured, and how many widths say how large each is.
KINDS = {
    "add": 1,
    "neg": 1,
    "abs": 1,
    "negate_if": 1,
    "complement_if": 1,
    "gate": 1,
    "mux": 1,
    "select": 1,
    "clamp": 1,
    "round": 1,
    "saturate": 1,
    "square": 1,
    "mul": 2,
    "table": 2,
}

_SHIPPED = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True)
class CellCost:
    """LUTs, DSP blocks and delay in ns of one cell."""

    lut: float
    dsp: float
    delay_ns: float


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Strict):
    """One measured cell. ``size`` is its widths in bits; what they mean is in ``characterize.py``."""

    size: tuple[int, ...]
    lut: float
    dsp: float
    levels: float


class Weights(_Strict):
    """What one of each counts in LUT-equivalents: the device's LUTs over its FFs or DSP blocks.

    ``cycle`` is what a cycle of latency counts; it is a choice, not a measurement.
    """

    lut: float
    ff: float
    dsp: float
    cycle: float


class Target(_Strict):
    """Cell costs of one technology, and the weights that make one figure of area."""

    schema_version: int
    name: str
    description: str
    #: Tool, version and command that measured the rows.
    measured_with: str
    #: Where the delays come from.
    delay_source: str
    #: Delay of one level of logic with its wiring, and of a register (clock to output and set-up).
    level_ns: float
    register_ns: float
    weights: Weights
    cells: dict[str, tuple[Row, ...]]
    _known: dict[tuple[object, ...], CellCost] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version}; this hwnorm reads {SCHEMA_VERSION}")
        if self.cells.keys() != KINDS.keys():
            odd = ", ".join(sorted(self.cells.keys() ^ KINDS.keys()))
            raise ValueError(f"cells: missing or unknown: {odd}; there must be {', '.join(KINDS)}")
        for kind, widths in KINDS.items():
            sizes = {row.size for row in self.cells[kind]}
            axes = [sorted(set(axis)) for axis in zip(*sizes, strict=False)]
            if not sizes or {len(size) for size in sizes} != {widths} or sizes != set(product(*axes)):
                raise ValueError(f"cells.{kind}: rows must fill a grid of {widths} width(s)")
        return self

    def cost(self, kind: str, *size: int) -> CellCost:
        """The cost of a cell of the given widths (bits), interpolated between measured ones."""
        key = (kind, *size)
        if key not in self._known:
            rows = self.cells[kind]
            further = 0
            if kind == "table":
                # Beyond what was measured, an address bit doubles a table; two need one more level.
                most = max(row.size[0] for row in rows)
                further, size = max(0, size[0] - most), (min(size[0], most), size[1])
            lut, dsp, levels = _interpolate(rows, size)
            self._known[key] = CellCost(
                lut * 2.0**further, dsp * 2.0**further, (levels + further / 2) * self.level_ns
            )
        return self._known[key]


def _interpolate(rows: tuple[Row, ...], size: tuple[int, ...]) -> list[float]:
    """LUTs, DSPs and levels at ``size``: multilinear between measured sizes, in proportion beyond."""
    axes = [sorted({row.size[d] for row in rows}) for d in range(len(size))]
    table = {row.size: (row.lut, row.dsp, row.levels) for row in rows}
    corners: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for wanted, axis in zip(size, axes, strict=True):
        inside = min(max(wanted, axis[0]), axis[-1])
        upper = next(v for v in axis if v >= inside)
        lower = max(v for v in axis if v <= inside)
        share = 0.0 if upper == lower else (inside - lower) / (upper - lower)
        corners = [
            ((*at, v), weight * part)
            for at, weight in corners
            for v, part in ((lower, 1.0 - share), (upper, share))
            if part > 0.0
        ]
    beyond = prod(max(1.0, wanted / axis[-1]) for wanted, axis in zip(size, axes, strict=True))
    return [beyond * sum(table[at][i] * weight for at, weight in corners) for i in range(3)]


@lru_cache(maxsize=16)
def load_target(name: str) -> Target:
    """A shipped target by name, or the user's own by the path of its JSON file.

    Raises:
        InputError: no such target, or the file does not hold one.
    """
    path = Path(name) if name.endswith(".json") else _SHIPPED / f"{name}.json"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in _SHIPPED.glob("*.json")))
        raise InputError(f"target {name!r}: unknown; there are {shipped}, or the path of a .json file")
    try:
        return Target.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise InputError(f"{path}: {where + ': ' if where else ''}{first['msg']}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
