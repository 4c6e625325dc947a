"""A target technology: one JSON file of cell costs by width, with the tool that measured them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from hwnorm.errors import InputError

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
    #: LUT-equivalents of a LUT, a flip-flop and a DSP block: the device's LUTs over its FFs or DSPs.
    weights: dict[str, float]
    cells: dict[str, tuple[Row, ...]]
    _known: dict[tuple[object, ...], CellCost] = PrivateAttr(default_factory=dict)

    def cost(self, kind: str, *size: int) -> CellCost:
        """The cost of a cell of the given widths (bits), interpolated between measured ones."""
        key = (kind, *size)
        if key not in self._known:
            lut, dsp, levels = _interpolate(self.cells[kind], size)
            self._known[key] = CellCost(lut, dsp, levels * self.level_ns)
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
        raise InputError(f"{path}: {where}: {first['msg']}") from None
