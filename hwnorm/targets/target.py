"""A target technology: one JSON file of measured costs, with the tools that measured them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hwnorm.errors import InputError
from hwnorm.targets import flows

#: The layout of a target's file that this version reads.
SCHEMA_VERSION = 3
#: What must be measured, and how many widths say how large each is (``templates/characterize``).
KINDS = {
    "add": 1,  # a + b
    "sub": 1,  # a - b
    "constant_sum": 1,  # a + constant
    "operand": 1,  # what a third operand adds to a sum of two
    "negate": 1,  # -a
    "magnitude": 1,  # |a|
    "complement": 1,  # ~a or a, by a sign
    "gate": 1,  # a or 0, by a bit
    "mux": 1,  # a or b, by a sign
    "mux_constant": 1,  # a or a constant, by a sign
    "compare": 1,  # a < b
    "compare_constant": 1,  # a < constant
    "round": 1,  # a + a bit
    "fits": 1,  # all bits of a agree: a value that needs no saturation
    "float": 1,  # normalization of a
    "square": 1,  # a * a
    "mul": 2,  # a * b
    "table": 1,  # a lookup, by address bits: its delay (what it takes is in ``tables``)
    "register": 1,  # flip-flops with an enable
    "skid": 1,  # the stream's skid buffer, by bits of a beat
    "pipe": 1,  # the stream's control, by cycles of latency
}
#: Gates, bit by bit.
GATES = ("complement", "gate", "mux", "mux_constant")
#: Operations that share another kind's rows, each with a factor of its own in ``context``.
SAME_ROWS = {
    "constant_low": "constant_sum",  # below the first place that carries
    "compare_sign": "complement",  # a < 0
    "constant_one": "complement",  # a one of a constant in a sum: where constants are not free, an inverter
    "mux_constant_reset": "mux_constant",  # before a register: its set or reset
    **{f"{gate}_packed": gate for gate in GATES},  # read by one other gate, with which it shares a table
    **{f"{gate}_summed": gate for gate in GATES},  # read by a sum alone
}
#: Numbers of address bits that tables have coefficients for; the last stands for all larger ones.
TABLE_BITS = range(1, 10)

_SHIPPED = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True)
class CellCost:
    """What one operation takes: area in the target's unit, flip-flops, DSP blocks, and delay in ns."""

    area: float
    ff: float
    dsp: float
    delay_ns: float


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Strict):
    """One measured operation. ``size`` is its widths in bits."""

    size: tuple[int, ...]
    area: float
    ff: float = 0.0
    dsp: float = 0.0
    delay_ns: float


class TableRow(_Strict):
    """Area of tables of so many address bits: coefficients of what ``hwnorm.cost.tables`` counts.

    ``functions`` weighs the sum over columns of what a function of as many inputs takes; ``levels[n]`` the
    distinct functions of the lowest n + 2 address bits that occur in the table, the last one those of all
    more bits together.
    """

    address_bits: int
    functions: float
    levels: tuple[float, ...]


class Weights(_Strict):
    """What one of each counts in units of area: a device's LUTs over its flip-flops, DSP blocks, memories.

    ``cycle`` is what a cycle of latency counts; it is a choice, not a measurement.
    """

    area: float = 1.0
    ff: float
    dsp: float
    bram: float
    cycle: float


class Device(_Strict):
    """A part of the family, by what it holds; zero where it has none. For place and route, its options."""

    part: str
    lut: int = Field(ge=0)
    ff: int = Field(ge=0)
    dsp: int = Field(ge=0)
    bram: int = Field(ge=0)


class Flow(_Strict):
    """How the target is synthesized (``hwnorm.synth.flow``), and placed and routed if that is possible.

    Programs and options are those that :mod:`hwnorm.targets.flows` knows, and no others.
    """

    model_config = ConfigDict(validate_default=True)

    technology: Annotated[str, AfterValidator(flows.check_technology)]
    options: str = ""
    liberty: str = ""
    pnr: str = ""
    pnr_options: str = ""

    @field_validator("options", "liberty", "pnr", "pnr_options")
    @classmethod
    def _known(cls, text: str, info: ValidationInfo) -> str:
        technology = info.data.get("technology")
        if technology is None:  # which is wrong, and told of
            return text
        allowed = flows.ALLOWED[technology]
        match info.field_name:
            case "options":
                return flows.check_options(text, allowed.synth, "Yosys")
            case "liberty":
                return flows.check_liberty(text, technology)
            case "pnr":
                return flows.check_pnr(text, technology)
            case _:
                return flows.check_options(text, allowed.pnr_options, "nextpnr")


def _check_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}", text):
        raise ValueError(f"{text!r}; a name of at most 64 letters, digits and _ . + - was expected")
    return text


class Target(_Strict):
    """Costs of operations in one technology, and the weights that make one figure of them."""

    schema_version: int
    #: Part of the names of folders and of generated files' headers.
    name: Annotated[str, AfterValidator(_check_name)]
    description: str
    #: What ``area`` counts.
    unit: Literal["LUT", "NAND2", "um2"]
    device: Device
    flow: Flow
    #: Tools, versions and commands that measured the rows.
    measured_with: str
    #: Where the delays come from.
    delay_source: str
    #: The clock that is built for where none is asked for.
    clock_mhz: float = Field(250.0, gt=0)
    #: From a register's clock to the next one's input with nothing between: clock to output, wire, set-up.
    register_ns: float
    #: Time of a level of logic with its wire where delays are estimated; 0 where they were placed and routed.
    level_ns: float
    #: Time of a path through several operations over the sum of their times, fitted to placed kernels.
    path_factor: float
    #: Time that the wires of a table take, by the square root of its area: its LUTs are far apart.
    table_spread_ns: float
    #: Registers in a row, none of them read, from which on they become LUTs; 0: never.
    shift_register: int
    weights: Weights
    cells: dict[str, tuple[Row, ...]]
    #: Area inside a kernel over area alone, by operation: synthesis melts neighbours into one another.
    context: dict[str, float]
    #: Area of one function of 2, 3, ... inputs.
    functions: tuple[float, ...]
    tables: tuple[TableRow, ...]
    _known: dict[tuple[object, ...], CellCost] = PrivateAttr(default_factory=dict)
    _tables: dict[int, TableRow] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _version_first(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version {data.get('schema_version')}; this hwnorm reads {SCHEMA_VERSION}"
            )
        return data

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _same_keys("cells", self.cells, KINDS)
        for kind, widths in KINDS.items():
            sizes = {row.size for row in self.cells[kind]}
            axes = [sorted(set(axis)) for axis in zip(*sizes, strict=False)]
            if not sizes or {len(size) for size in sizes} != {widths} or sizes != set(product(*axes)):
                raise ValueError(f"cells.{kind}: rows must fill a grid of {widths} width(s)")
        _same_keys("context", self.context, CONTEXT)
        if [row.address_bits for row in self.tables] != list(TABLE_BITS):
            raise ValueError(
                f"tables: one row for each of {TABLE_BITS.start} to {TABLE_BITS.stop - 1} address bits"
            )
        self._tables.update({row.address_bits: row for row in self.tables})
        return self

    def changed(self, **fields: object) -> Target:
        """A target with other values in some fields, checked as a file is."""
        return Target.model_validate(self.model_dump() | fields)

    def cost(self, kind: str, *size: int) -> CellCost:
        """What an operation of the given widths (bits) takes alone, interpolated between measured ones."""
        key = (kind, *size)
        if key not in self._known:
            self._known[key] = CellCost(*_interpolate(self.cells[SAME_ROWS.get(kind, kind)], size))
        return self._known[key]

    @property
    def register_area(self) -> float:
        """Area of one flip-flop with an enable; 0 where flip-flops are counted apart."""
        row = max(self.cells["register"], key=lambda row: row.size)
        return row.area / row.size[0]

    def table_row(self, address_bits: int) -> TableRow:
        """The coefficients of tables of so many address bits."""
        return self._tables[min(address_bits, TABLE_BITS.stop - 1)]


#: Operations that a kernel's area is a weighted sum of.
CONTEXT = tuple(k for k in KINDS if k not in ("table", "register", "skid", "pipe")) + tuple(SAME_ROWS)


def _same_keys(field: str, found: dict[str, object] | dict, wanted: object) -> None:
    names = list(wanted)  # type: ignore[call-overload]
    odd = sorted(set(found) ^ set(names))
    if odd:
        raise ValueError(f"{field}: missing or unknown: {', '.join(odd)}; there must be {', '.join(names)}")


def _interpolate(rows: tuple[Row, ...], size: tuple[int, ...]) -> list[float]:
    """Area, flip-flops, DSP blocks and delay at ``size``: multilinear between rows, in proportion beyond.

    DSP blocks are whole: those of the next larger row.
    """
    axes = [sorted({row.size[d] for row in rows}) for d in range(len(size))]
    table = {row.size: (row.area, row.ff, row.dsp, row.delay_ns) for row in rows}
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
    area, ff, dsp, delay = (beyond * sum(table[at][i] * weight for at, weight in corners) for i in range(4))
    if dsp:  # blocks are whole: those of the next larger row
        dsp = max(table[at][2] for at, _ in corners)
    return [area, ff, dsp, delay]


def load_target(name: str, weights: str = "") -> Target:
    """A shipped target by name, or the user's own by the path of its JSON file.

    Args:
        name: of the target, or the path.
        weights: some of its weights, to be changed, such as ``lut=1,dsp=50``.

    Raises:
        InputError: no such target, the file does not hold one, or a weight is none.
    """
    return _made(*_read(name), weights)


@lru_cache(maxsize=16)
def _made(path: Path, text: str, weights: str) -> Target:
    """The target that a file's text holds: kept by what it says, for the file may be another tomorrow."""
    target = _parsed(path, text)
    if not weights:
        return target
    changed = _weights(weights, target.weights)
    return target.changed(weights=changed)


def _weights(text: str, weights: Weights) -> Weights:
    """The weights with those changed that ``text`` names."""
    names = {"lut": "area"} | {name: name for name in Weights.model_fields}
    found = weights.model_dump()
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            found[names[name.strip()]] = float(value)
            if not 0 <= float(value) < math.inf:
                raise ValueError
        except (KeyError, ValueError):
            raise InputError(
                f"option --cost-weights: {part.strip()!r}; {', '.join(names)} are possible, each with a "
                "number, such as lut=1,dsp=50"
            ) from None
    return Weights(**found)


def _read(name: str) -> tuple[Path, str]:
    """The file of a target, and what it says."""
    own = name.endswith(".json")
    path = Path(name) if own else _SHIPPED / f"{name}.json"
    if not (path.is_file() if own else name in shipped_targets()):
        raise InputError(
            f"target {name!r}: unknown; there are {', '.join(shipped_targets())}, or the path of a .json file"
        )
    try:
        return path, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def _parsed(path: Path, text: str) -> Target:
    try:
        return Target.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {where + ': ' if where else ''}{what}") from None


def liberty_path(flow: Flow) -> Path:
    """The liberty file of a flow: a path, or the name of one that comes with hwnorm.

    Raises:
        InputError: it is not there.
    """
    for path in (Path(flow.liberty), _SHIPPED / flow.liberty):
        if path.is_file():
            return path
    raise InputError(f"{flow.liberty}: not there; a liberty file was expected (flow.liberty of the target)")


def of_cells(target: Target, liberty: Path) -> Target:
    """A target of standard cells, for a liberty file of the user's own, after which it is called.

    Raises:
        InputError: the file's path could not stand in a target's file.
    """
    flow = target.flow.model_dump() | {"liberty": str(liberty.resolve())}
    name = re.sub(r"[^A-Za-z0-9_.+-]", "_", liberty.stem)[:64]
    try:
        return target.changed(name=name, unit="um2", flow=flow)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"option --liberty: {first['msg'].removeprefix('Value error, ')}") from None


def shipped_targets() -> list[str]:
    """Names of the targets that come with hwnorm."""
    return sorted(path.stem for path in _SHIPPED.glob("*.json"))
