"""Units of functions as stream kernels: of fixed functions, and of tables that are loaded at run time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from hwnorm.artefact import Part, first_fault
from hwnorm.cost.cost import Resources
from hwnorm.datapath.ir import Certificate, Datapath
from hwnorm.datapath.serial import DatapathField
from hwnorm.emit.stage import RTL_PARTS, DatapathStage, ElementStage, Piece
from hwnorm.errors import InputError
from hwnorm.kernel.manifest import PackageManifest
from hwnorm.resources import resource
from hwnorm.share.form import Form
from hwnorm.share.functions import Functions, Layer
from hwnorm.share.price import tables_resources
from hwnorm.share.tables import Layout, direct, side_by_side
from hwnorm.targets.target import Target

#: Cycles that it takes.
LATENCY = 4
#: The ways to build it of cells.
FixedForm = Literal[Form.TABLES, Form.KERNELS]


class _FunctionsStage(ElementStage):
    """A stage of several functions: its stimulus is theirs, each with every code of its own."""

    functions: Functions

    def inputs(self, seed: int) -> np.ndarray:
        return self.functions.codes(seed)

    def pieces(self, codes: np.ndarray) -> Iterator[Piece]:
        return self.functions.pieces(codes)

    @property
    def exhaustive(self) -> bool:
        return self.functions.exhaustive


class _Fixed(Part):
    """``shared.json``: how the functions are built, which they are, and the unit that was made of them."""

    form: FixedForm
    layers: tuple[Layer, ...]
    functions: tuple[DatapathField, ...]
    unit: DatapathField


class SharedStage(_FunctionsStage, DatapathStage):
    """A unit whose functions are fixed: a datapath, whose input has the select above the code.

    Args:
        form: ``tables``: one table of all functions; ``kernels``: each one's cells, and a choice of results.
        functions: what it computes.
        unit: its cells, which give the functions' own codes.
    """

    kind = "shared"

    def __init__(
        self,
        form: FixedForm,
        functions: Functions,
        unit: Datapath,
        top: str,
        lanes: int = 1,
    ) -> None:
        super().__init__(unit, top, lanes, functions.note)
        self.form = form
        self.functions = functions

    def description(self) -> Any:
        told = self.functions
        return _Fixed(
            form=self.form, layers=told.layers, functions=told.functions, unit=self.datapath
        ).to_json()

    @classmethod
    def from_description(cls, data: Any, manifest: PackageManifest) -> SharedStage:
        told = _validated(_Fixed, data)
        functions = _functions(told)
        unit: Datapath = told.unit
        for name, fmt in (("input", functions.input), ("output", functions.output)):
            if getattr(unit, name) != fmt:
                raise ValueError(f"unit.{name}: {getattr(unit, name)}; the functions need {fmt}")
        return cls(told.form, functions, unit, manifest.top, manifest.lanes)


class _Loaded(Part):
    """``loaded.json``: the functions whose tables it begins with, and what it was made for."""

    layers: tuple[Layer, ...]
    functions: tuple[DatapathField, ...]
    target: str
    clock_mhz: Annotated[float, Field(gt=0)]


class LoadedStage(_FunctionsStage):
    """A unit of tables that are loaded at run time: ``rtl/hwnorm_tables.v``.

    Its hardware follows from the number of functions, the widths of codes and the words of the memory: it
    serves every network that they are enough for. Here it begins with the tables of ``functions``.

    Raises:
        InputError: an input is too wide for a table, or the memory has more words than codes.
    """

    kind = "loaded"
    TEMPLATES = ("share/core.v.j2", "share/comb.v.j2", "share/kernel.cpp.j2")

    def __init__(self, functions: Functions, top: str, target: str, clock_mhz: float, lanes: int = 1) -> None:
        super().__init__(
            top=top,
            input=functions.input,
            output=functions.output,
            lanes=lanes,
            beats=1,
            latency=LATENCY,
            expression=functions.expression,
            parameters={"LANES": lanes},
            note=functions.note,
            target=target,
            clock_mhz=clock_mhz,
        )
        self.functions = functions
        self.layout = layout_of(functions)

    def evaluate(self, tokens: np.ndarray) -> np.ndarray:
        low, layout = self.functions.code_bits, self.layout
        function = (np.asarray(tokens, dtype=np.int64) & ((1 << self.input.width) - 1)) >> low
        code = ((tokens + (1 << (low - 1))) & ((1 << low) - 1)) - (1 << (low - 1))
        drop, limit, base = (np.asarray(column)[function] for column in zip(*self._places, strict=True))
        kept = np.clip(code >> drop, ~limit, limit)
        return np.asarray(layout.words[base + (kept & (2 * limit + 1))])

    @property
    def _places(self) -> list[tuple[int, int, int]]:
        """Drop, limit and base of each function that the select can name."""
        layout = self.layout
        found = [
            (table.drop, (1 << (table.bits - 1)) - 1, base)
            for table, base in zip(layout.tables, layout.bases, strict=True)
        ]
        return found + [(0, 0, 0)] * ((1 << self.functions.select_bits) - len(found))

    @property
    def tables(self) -> dict[str, int]:
        """The parameters of ``hwnorm_tables``."""
        code = self.functions.code_bits
        return {
            "SELECT": self.functions.select_bits,
            "CODE": code,
            "OUT": self.output.width,
            "ADDRESS": self.layout.address_bits,
            "DROP": (code - 1).bit_length(),
        }

    @property
    def stage_context(self) -> dict[str, Any]:
        p = self.tables
        place = 2 * p["ADDRESS"] + p["DROP"] - 1
        load = {
            "address_bits": max(p["ADDRESS"], p["SELECT"]) + 1,
            "data_bits": max(place, p["OUT"]),
            "place_bits": place,
        }
        return {"tables": p, "load": load, "rtl_parts": ("hwnorm_tables.v", *RTL_PARTS)}

    def more_context(self) -> dict[str, Any]:
        return {
            "places": [dict(zip(("drop", "limit", "base"), p, strict=True)) for p in self._places],
            "words": self.layout.words.tolist(),
        }

    def memories(self) -> dict[str, str]:
        """The tables' words and the functions' places, as ``rtl/hwnorm_tables.v`` reads them."""
        p, mask = self.tables, (1 << self.output.width) - 1
        places = (
            base << (p["ADDRESS"] - 1 + p["DROP"]) | drop << (p["ADDRESS"] - 1) | limit
            for drop, limit, base in self._places
        )
        return {
            f"{self.top}_tables.mem": _lines((word & mask for word in self.layout.words.tolist()), p["OUT"]),
            f"{self.top}_places.mem": _lines(places, 2 * p["ADDRESS"] + p["DROP"] - 1),
        }

    def files(self) -> dict[str, str]:
        test = (resource("sim") / "test_load.py").read_text(encoding="utf-8")
        return super().files() | {"sim/test_load.py": test}

    def description(self) -> Any:
        assert self.target is not None
        assert self.clock_mhz is not None
        told = self.functions
        return _Loaded(
            layers=told.layers, functions=told.functions, target=self.target, clock_mhz=self.clock_mhz
        ).to_json()

    @classmethod
    def from_description(cls, data: Any, manifest: PackageManifest) -> LoadedStage:
        told = _validated(_Loaded, data)
        try:
            return cls(_functions(told), manifest.top, told.target, told.clock_mhz, manifest.lanes)
        except InputError as error:
            raise ValueError(str(error)) from None

    @property
    def certificate(self) -> Certificate:
        return self.functions.certificate

    def resources(self, target: Target) -> Resources | None:
        return tables_resources(self.tables, self.lanes, LATENCY, target)


def layout_of(functions: Functions) -> Layout:
    """The tables of all functions, side by side.

    Raises:
        InputError: an input is too wide, or the memory has more words than codes.
    """
    layout = side_by_side([direct(function) for function in functions.functions])
    if layout.address_bits > functions.code_bits:
        raise InputError(
            f"share: tables of {len(layout.words)} words; at most {1 << functions.code_bits} can be"
        )
    return layout


def _functions(told: _Fixed | _Loaded) -> Functions:
    try:
        return Functions(told.layers, told.functions)
    except InputError as error:
        raise ValueError(str(error)) from None


def _validated(model: Any, data: Any) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from None


def _lines(words: Any, bits: int) -> str:
    digits = -(-bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words)
