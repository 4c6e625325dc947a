"""What other tools take an engine's package by: FuseSoC, and Vivado for its devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwnorm.emit.hls import PARTS
from hwnorm.emit.render import render
from hwnorm.engine.emit import pixels_a_beat
from hwnorm.engine.program import Program
from hwnorm.engine.registers import description_file, read
from hwnorm.synth.flow import technology
from hwnorm.targets.target import load_target
from hwnorm.version import VERSION

#: What the package's own simulation reads beside the files of the memories.
VECTORS = ("expected.txt", "weights.bin", "images.bin")


def handover(
    program: Program, rtl: Sequence[str], memories: Sequence[str], weight_bytes: int, clock_mhz: float
) -> dict[str, str]:
    """The FuseSoC core, and the scripts for Vivado where the engine's device is one of its own.

    Args:
        program: what the package holds.
        rtl: names of its Verilog files.
        memories: names of the files that the Verilog reads.
        weight_bytes: that are streamed for an image.
        clock_mhz: what a board's clock is set to.

    Returns:
        Text by name in the package.
    """
    engine = program.engine
    registers = read(description_file())
    version = registers.register("VERSION")
    context = {
        "version": VERSION,
        "rtl": rtl,
        "memories": memories,
        "vectors": VECTORS,
        "synthesis": _synthesis(engine.device),
        "map": registers,
        "ip_version": f"{version.field('MAJOR').value}.{version.field('MINOR').value}",
        "part": PARTS.get(engine.device),
        "clock": f"{clock_mhz:g}",
        "engine": engine,
        "weight_bytes": weight_bytes,
        # A DMA engine's stream has a power of two of bits.
        "weight_bits": engine.beat & -engine.beat,
        "image_bits": 8 * pixels_a_beat(program),
    }
    found = {"hwnorm_engine.core": "engine/fusesoc.core.j2"}
    if engine.device in PARTS:
        found |= {f"vivado/{name}.tcl": f"engine/{name}.tcl.j2" for name in ("package_ip", "zcu102")}
    return {name: render(template, context) for name, template in found.items()}


def _synthesis(device: str) -> dict[str, Any]:
    """Yosys' command for the device's technology, that of ``hwnorm synth``, as FuseSoC wants it told."""
    flow = load_target(device).flow
    command, *options = technology(flow.technology).by_module.format(options=flow.options).split()
    return {"arch": command.removeprefix("synth_"), "options": options}
