"""What a unit of tables takes, predicted: for the choice between the ways to build one."""

from __future__ import annotations

from collections.abc import Mapping

from hwnorm.cost.blocks import known, memory
from hwnorm.cost.cost import Resources, weighed
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
    operations = (
        *[("mux", code)] * p["DROP"],  # a shift by each bit of drop
        ("gate", code),  # which bits above disagree
        ("fits", code),
        ("complement", address),  # the end that is taken
        ("mux", address),
        ("gate", address),  # the mask, with base
    )
    area = sum(target.cost(kind, bits).area for kind, bits in operations)
    words = memory(1 << address, p["OUT"], target.flow.technology)
    places = memory(1 << select, place, target.flow.technology)
    ff = (place + code) + (2 * address - 1 + code) + address
    # A block holds the word that was read; LUTs do not.
    ff += 0 if words.bram else p["OUT"]
    beat = 2 + lanes * (select + code)
    wrapper = target.cost("skid", beat), target.cost("pipe", latency)
    return weighed(
        lanes * (area + words.lut + places.lut) + sum(part.area for part in wrapper),
        lanes * ff + sum(part.ff for part in wrapper),
        0.0,
        latency,
        target,
        bram=lanes * words.bram,
    )
