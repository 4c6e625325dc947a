"""What a unit of tables takes, predicted: for the choice between the ways to build one."""

from __future__ import annotations

from collections.abc import Mapping

from hwnorm.cost.blocks import known, memory
from hwnorm.cost.cost import Resources, weighed, wrapper
from hwnorm.targets.target import Target


def tables_resources(p: Mapping[str, int], lanes: int, latency: int, target: Target) -> Resources | None:
    """Of the stream stage of so many lanes with ``rtl/hwnorm_tables.v``, whose parameters are ``p``.

    The operations are those of the Verilog, each with the area that it has alone; memories follow from the
    rule of their parameters. None where nothing is known of the technology's memories.
    """
    if not known(target.flow.technology):
        return None
    code, address, select = p["CODE"], p["ADDRESS"], p["SELECT"]
    place = 2 * address + p["DROP"] - 1
    # A LUT of six inputs chooses one of four, and so shifts by two bits of drop.
    inputs = 4 if target.flow.technology == "xilinx" else 2
    operations = (
        *[("mux", code)] * -(-p["DROP"] // (inputs // 2)),
        ("gate", -(-code // 2)),  # which bits above disagree, two a LUT
        ("fits", code),  # whether any does
        ("complement", address),  # the end that is taken instead
        ("mux", address),  # the code, or that end
        ("gate", address),  # the mask, with the base
    )
    area = sum(target.cost(kind, bits).area for kind, bits in operations)
    words = memory(1 << address, p["OUT"], target.flow.technology)
    places = memory(1 << select, place, target.flow.technology)
    for held, bits in ((words, p["OUT"]), (places, place)):
        area += held.lut + (bits * max(1, held.parts // inputs) if held.parts > 1 else 0)
    ff = (place + code) + (2 * address - 1 + code) + address
    # A block holds the word that was read; LUTs do not.
    ff += 0 if words.bram else p["OUT"]
    stream_area, stream_ff = wrapper(lanes, select + code, latency, target)
    return weighed(
        lanes * area + stream_area,
        lanes * ff + stream_ff,
        0.0,
        latency,
        target,
        bram=lanes * words.bram,
    )
