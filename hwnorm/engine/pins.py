"""A top with many ports between few pins, so that it can be placed and routed on any package."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwnorm.emit.render import render
from hwnorm.errors import InputError

_PORT = re.compile(r"(input|output)\s+(?:wire|reg)\s*(?:\[\s*(\d+)\s*:\s*0\s*\])?\s*(\w+)")


@dataclass(frozen=True)
class Port:
    """A port of a module, and where its bits begin in the chain of all inputs, or of all outputs."""

    name: str
    input: bool
    bits: int
    at: int


def ports_of(top: str, text: str) -> list[Port]:
    """The ports of a module but its clock ``aclk``, in order.

    Args:
        top: the module.
        text: its Verilog; ranges are numbers, as in a rendered top.

    Raises:
        InputError: there is no such module in the text, or a port is declared in another way.
    """
    head = re.search(rf"^module {top} #\(\n.*?^\) \(\n(.*?)^\);", text, re.MULTILINE | re.DOTALL)
    if head is None:
        raise InputError(f"{top}.v: has no module {top} with its parameters and ports in its head")
    found: list[Port] = []
    reach = {True: 0, False: 0}
    for declared in head[1].split(","):
        port = _PORT.fullmatch(declared.strip())
        if port is None:
            raise InputError(
                f"{top}.v: port {' '.join(declared.split())!r}; input or output, wire or reg, "
                "and a range of numbers were expected"
            )
        if port[3] == "aclk":
            continue
        is_input, bits = port[1] == "input", int(port[2] or 0) + 1
        found.append(Port(port[3], is_input, bits, reach[is_input]))
        reach[is_input] += bits
    return found


def pins(top: str, ports: list[Port]) -> str:
    """The Verilog of the module ``TOP_pins``: each bit of a port has a register, in one of two chains."""
    sums = {kind: sum(port.bits for port in ports if port.input is kind) for kind in (True, False)}
    context = {"top": top, "ports": ports, "inputs_bits": sums[True], "outputs_bits": sums[False]}
    return render("engine/pins.v.j2", context)
