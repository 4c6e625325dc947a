"""How each technology is synthesized with Yosys, and how its cells are counted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError


@dataclass(frozen=True, slots=True)
class Counts:
    """What a synthesized design takes. Without a liberty file ``area`` is 0, with one ``lut`` is.

    ``lut`` counts LUTs in logic, as memory and in carry cells; ``bram`` the family's smallest blocks
    (18 kbit on UltraScale+ and ECP5, 4 kbit on iCE40); ``area`` is in the unit of the liberty file.
    """

    lut: int
    ff: int
    dsp: int
    bram: int
    area: float = 0.0

    def in_unit(self, unit: str) -> float:
        """The area in a target's unit: LUTs, or what the liberty file says."""
        return float(self.lut) if unit == "LUT" else self.area


@dataclass(frozen=True)
class Technology:
    """One family of Yosys flows. Patterns are regular expressions for names of cells, each with a weight."""

    #: The script behind ``read_verilog`` and ``hierarchy``; ``{options}`` comes from the target.
    script: str
    #: The same with each module synthesized once, whatever it is instantiated in; empty where none is known.
    by_module: str
    lut: Mapping[str, int]
    ff: Mapping[str, int]
    dsp: Mapping[str, int]
    bram: Mapping[str, int]


TECHNOLOGIES = {
    "xilinx": Technology(
        "synth_xilinx {options} -flatten -noiopad -noclkbuf",
        "synth_xilinx {options} -noiopad -noclkbuf",
        lut={
            r"LUT\d|INV|SRL\w+": 1,
            r"RAM\d+X1S\w*": 1,
            r"RAM(32|64)M|RAM\d+X1D\w*": 4,
            r"RAM\d+M(8|16)\w*": 8,
        },
        ff={r"FD\w+": 1},
        dsp={r"DSP48\w+": 1},
        bram={r"RAMB18\w+": 1, r"RAMB36\w+": 2},
    ),
    "ecp5": Technology(
        "synth_ecp5 {options}",
        "synth_ecp5 {options} -noflatten",
        # A carry cell is two LUTs; a distributed RAM takes four LUTs' places.
        lut={r"LUT4": 1, r"CCU2C": 2, r"TRELLIS_DPR16X4": 4},
        ff={r"TRELLIS_FF": 1},
        dsp={r"MULT18X18D": 1, r"ALU54B": 1},
        bram={r"DP16KD|PDPW16KD": 1},
    ),
    "ice40": Technology(
        "synth_ice40 {options}",
        "",
        lut={r"SB_LUT4": 1},
        ff={r"SB_DFF\w*": 1},
        dsp={r"SB_MAC16": 1},
        bram={r"SB_RAM40_4K\w*": 1, r"SB_SPRAM256KA": 64},
    ),
    "liberty": Technology(
        "synth {options} -flatten -noabc; dfflegalize -cell $_DFF_P_ x; dfflibmap -liberty {liberty}; "
        "abc -liberty {liberty}; opt_clean",
        "",
        lut={},
        ff={},  # the cells of the liberty file that hold a state
        dsp={},
        bram={},
    ),
}


def technology(name: str) -> Technology:
    """A technology by name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in TECHNOLOGIES:
        raise InputError(f"technology {name!r}: unknown; there are {', '.join(TECHNOLOGIES)}")
    return TECHNOLOGIES[name]


def count_cells(name: str, cells: Mapping[str, int], area: float, states: frozenset[str]) -> Counts:
    """The counts of a design from the numbers of its cells by type.

    Args:
        name: the technology.
        cells: number of cells by type, as Yosys' ``stat -json`` has it.
        area: of all cells, by the liberty file; 0 without one.
        states: names of the liberty file's flip-flops and latches.
    """
    used = technology(name)

    def number(patterns: Mapping[str, int]) -> int:
        return sum(
            weight * count
            for kind, count in cells.items()
            for pattern, weight in patterns.items()
            if re.fullmatch(pattern, kind)
        )

    ff = number(used.ff) if name != "liberty" else sum(cells.get(state, 0) for state in states)
    return Counts(number(used.lut), ff, number(used.dsp), number(used.bram), round(area, 3))


def state_cells(liberty: Path) -> frozenset[str]:
    """Names of the cells of a liberty file that hold a state.

    Raises:
        InputError: it cannot be read, or has no flip-flop.
    """
    try:
        text = liberty.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{liberty}: cannot be read ({error.strerror})") from None
    parts: list[str] = re.split(r"\bcell\s*\(\s*\"?", text)[1:]
    names = {
        re.split(r"[\")\s]", part, maxsplit=1)[0] for part in parts if re.search(r"\b(ff|latch)\s*\(", part)
    }
    if not names:
        raise InputError(f"{liberty}: has no cell with a flip-flop (ff group); a liberty file was expected")
    return frozenset(names)


def module_counts(
    name: str, stat: Mapping[str, Any], states: frozenset[str] = frozenset()
) -> dict[str, Counts]:
    """The counts of every module of Yosys' ``stat -json``, each without its submodules.

    Yosys leaves the cells of submodules out of a module's numbers, but not out of its area.
    """
    areas = {
        module.removeprefix("\\"): float(found.get("area", 0.0)) for module, found in stat["modules"].items()
    }

    def own(module: str, cells: Mapping[str, int]) -> float:
        return areas[module] - sum(count * areas.get(kind, 0.0) for kind, count in cells.items())

    return {
        module: count_cells(name, cells, own(module, cells), states)
        for module, cells in (
            (module.removeprefix("\\"), found["num_cells_by_type"])
            for module, found in stat["modules"].items()
        )
    }


def design_counts(name: str, stat: Mapping[str, Any], states: frozenset[str] = frozenset()) -> Counts:
    """The counts of the whole design, submodules included."""
    design = stat["design"]
    return count_cells(name, design["num_cells_by_type"], float(design.get("area", 0.0)), states)


def instances_counts(name: str, stat: Mapping[str, Any], top: str) -> Counts:
    """The counts of a module with all that it instantiates, each submodule as often as it is there.

    Args:
        name: the technology; one without a liberty file.
        stat: Yosys' ``stat -json`` of a design that was not flattened.
        top: the module.
    """
    modules = {module.removeprefix("\\"): found for module, found in stat["modules"].items()}
    known: dict[str, Counts] = {}

    def of(module: str) -> Counts:
        if module not in known:
            cells = modules[module]["num_cells_by_type"]
            own = count_cells(name, cells, 0.0, frozenset())
            parts = [(count, of(kind)) for kind, count in cells.items() if kind in modules]
            known[module] = Counts(
                *(
                    getattr(own, field) + sum(count * getattr(part, field) for count, part in parts)
                    for field in ("lut", "ff", "dsp", "bram")
                )
            )
        return known[module]

    return of(top)
